"""Sections 1 to 3, Appendices A, B, E and F: the library against definitions and the paper's text.

May import: references, support, sparsity_theory; pytest, hypothesis, numpy, scipy.
"""
