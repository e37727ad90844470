"""What is held against theory in every layer: its limit, its law, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


TITLES = {
    "variance": "variance q^l",
    "sparsity": "share of zeros",
    "correlation": "correlation of two inputs",
    "gain": "gradient gain from h^L, log10",
}


@dataclass(frozen=True)
class Layers:
    """One quantity in every layer.

    Attributes:
        limit: in infinite width, (depth,).
        seen: in every network, (networks, depth).
        law: the 5% and 95% quantiles at the networks' width, (2, depth), where the law is known.
    """

    limit: Floats
    seen: Floats
    law: Floats | None = None
