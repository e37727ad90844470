"""The paper's Tables 2, 4 and 5 as data, and the forecast of every row.

May import: numerics, activations, mean_field, finite_width; numpy, scipy.
"""
