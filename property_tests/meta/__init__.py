"""The tools of this suite and of `sparsity_theory.testing`: they find what is wrong, and only that.

May import: __main__, ledger, references, support, sparsity_theory, torch_models; pytest,
hypothesis, numpy, scipy, flint, torch, playwright.
"""
