"""What the theory and the training cost: benchmarks for airspeed velocity (asv).

May import: sparsity_theory, torch_models; torch, numpy, scipy.
"""
