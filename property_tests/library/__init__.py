"""`sparsity_theory` as a library: its numerics to the last digit, bad input, and who imports whom.

May import: references, support, sparsity_theory, torch_models; pytest, hypothesis, numpy, scipy,
grimp, playwright.
"""
