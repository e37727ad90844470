"""Claims that are proved: at every point of a box, or of an unbounded domain.

Three kinds of step occur, and each docstring says which:

exact     identities and signs of ``Form``s, in integer arithmetic, for all a >= 0 and w > 0
computed  signs of balls on every box that ``certify`` or ``isolate_zeros`` met
stated    an inequality or a theorem that is named, or argued in the docstring, and not computed

Everything is homogeneous: with a = tau / sqrt(q*) and w = m / sqrt(q*), q* may be taken as 1. On
the edge of chaos sigma_w^2 times the number of sides of phi is 1 / ``MASS``, so CReLU and CST with
equal tau and m have one V between them, as have ReLU_tau and ST_tau.

May import: references, support, sparsity_theory; pytest, numpy, flint.
"""
