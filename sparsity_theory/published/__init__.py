"""What the paper's tables say, as data, and the forecast of every row.

May import: numerics, activations, mean_field, finite_width; numpy, scipy.
"""
