"""What tests share: comparisons, strategies, small networks and runs, and ways to be wrong.

A helper lies here as soon as tests of two files use it.

May import: references, sparsity_theory, torch_models; pytest, hypothesis, numpy, scipy, flint,
torch, sklearn, playwright.
"""
