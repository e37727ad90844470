"""Tools for tests of theories like this one; nothing in ``sparsity_theory`` imports them."""
