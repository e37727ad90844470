"""Gaussian integrals and roots, to the last digits.

May import: numpy, scipy.
"""
