"""Runs that become records on disk, and resume where they were interrupted.

May import: records, training, networks, data, sparsity_theory; torch, numpy, scipy, safetensors,
filelock, distributed.
"""
