"""Activations phi, and the expectations of them that a mean field needs.

May import: numerics; numpy, scipy.
"""
