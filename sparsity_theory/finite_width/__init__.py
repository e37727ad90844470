"""Networks of N units in a layer: the exact laws of their variance and gradients, and forecasts.

May import: numerics, activations, mean_field; numpy, scipy.
"""
