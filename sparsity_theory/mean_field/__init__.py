"""Networks of infinite width: their maps, fixed points, phases and Jacobians.

`maps.MeanField` has what is evaluated at a point; what is solved or iterated is a function of it.

May import: numerics, activations; numpy, scipy.
"""
