"""Section 4 and Appendices C, G and H: the tables' parameters, misprints and trained networks.

May import: references, support, sparsity_theory, torch_models; pytest, hypothesis, numpy, scipy.
"""
