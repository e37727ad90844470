"""Tables, pictures and pages made of records, without PyTorch.

May import: records, experiments, sparsity_theory; numpy, matplotlib.
"""
