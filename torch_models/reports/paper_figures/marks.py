"""How fixed points are marked: filled where they are stable, as rings where they are not."""

from __future__ import annotations

from collections.abc import Iterable

import sparsity_theory as st
from torch_models.reports.palette import BLACK
from torch_models.reports.panels import Points

STABLE, UNSTABLE = "stable fixed point", "unstable fixed point"


def fixed_point_marks(
    found: Iterable[st.FixedPoint], height: float | None = None, colour: str = BLACK
) -> tuple[Points, ...]:
    """Points (q, q), or at one height, in at most two groups by their stability."""
    listed = list(found)
    groups = []
    for stable, label in ((True, STABLE), (False, UNSTABLE)):
        q = [point.q for point in listed if point.stable == stable]
        if q:
            y = q if height is None else [height] * len(q)
            groups.append(Points.of(q, y, label, colour=colour, filled=stable))
    return tuple(groups)
