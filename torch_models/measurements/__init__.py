"""Measured once and recorded under ``results/``, or held against theory layer by layer.

May import: experiments, records, training, networks, data, sparsity_theory; torch, numpy, scipy.
"""
