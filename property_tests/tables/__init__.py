"""Section 4, Appendices C, G and H: the tables' parameters, misprints, trained networks; figures.

May import: references, support, sparsity_theory, torch_models; pytest, hypothesis, numpy, scipy.
"""
