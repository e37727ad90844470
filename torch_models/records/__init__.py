"""What was run and what came of it, as data; read and written without PyTorch.

May import: sparsity_theory; numpy, scipy.
"""
