"""What is held against theory in every layer: its limit, its law, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass

from sparsity_theory._types import Array

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

    limit: Array
    seen: Array
    law: Array | None = None
