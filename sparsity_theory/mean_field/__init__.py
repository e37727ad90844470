"""Networks of infinite width: their maps, fixed points, phases and Jacobians.

`maps.MeanField` has the maps, evaluated at a point; what is solved for or iterated is a function of
a `MeanField`. Residual networks have maps of their own, in `residual` and `pre_norm`.

May import: numerics, activations; numpy, scipy.
"""
