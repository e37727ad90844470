"""Random networks at initialization against the theory, in the limit and at finite width.

Seeds are fixed, and `support.chance` shares one probability of a false alarm among all tests.

May import: support, sparsity_theory, torch_models; pytest, hypothesis, numpy, scipy, torch.
"""
