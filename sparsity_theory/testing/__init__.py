"""Tools for other people's tests: activations and maps compared with the exact ones.

===============  ==========================================================================
`conformance`    `assert_conforms`: an activation or kernel of NumPy, torch or JAX
`maps`           `assert_variance_map`, `assert_correlation_map`
`strategies`     Hypothesis strategies for activations, variances, sparsities (needs hypothesis)
`certify`        proofs over boxes of parameters by ball arithmetic (needs python-flint)
`zeros`          all zeros of a function on an interval, rigorously (needs python-flint)
===============  ==========================================================================

The last three need libraries that ``pip install 'sparsity-theory[test]'`` brings.

May import: mean_field; numpy, hypothesis, flint.
"""

from .conformance import ConformanceReport, assert_conforms
from .maps import assert_correlation_map, assert_variance_map

__all__ = [
    "ConformanceReport",
    "assert_conforms",
    "assert_correlation_map",
    "assert_variance_map",
]
