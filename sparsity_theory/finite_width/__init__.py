"""Networks of finite width: the exact laws of their variance and gradients, and forecasts.

May import: numerics, activations, mean_field; numpy, scipy.
"""
