"""Random weight matrices without a network around them."""

from __future__ import annotations

import numpy as np

from property_tests.support.scores import Floats


def random_weights(rng: np.random.Generator, n: int, orthogonal: bool) -> Floats:
    """An (n, n) matrix of independent N(0, 1 / n) entries, or a uniformly random orthogonal one."""
    weights = rng.standard_normal((n, n)) / np.sqrt(n)
    if orthogonal:
        weights, upper = np.linalg.qr(weights)
        weights = weights * np.sign(np.diag(upper))
    return np.asarray(weights)
