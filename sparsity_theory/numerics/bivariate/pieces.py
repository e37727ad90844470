"""A line in the coordinates of its integrals: kinks by their sign and their distance from zero.

The difference of two kinks far out is lost when their standardized coordinates are rounded. So,
with scale the distance of the nearest one, every kink is kept as |k| = scale + beyond, and every
integral over a factor that depends on scale alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._types import Array
from ..gaussian import FAR
from .line import Bool, Index, Line


@dataclass(frozen=True)
class Pieces:
    """Kinks and pieces, one row each; slopes are less one of them, which leaves K as it is."""

    kinks: Array
    widths: Array
    slopes: Array
    positive: Bool
    beyond: Array
    """|k| - scale; >= 0 for every kink with a jump."""
    scale: Array

    def take(self, index: Index) -> Pieces:
        """The entries of the batch at ``index``; a batch of one stays as it is."""
        if self.scale.size == 1:
            return self
        return Pieces(*(getattr(self, name)[..., index] for name in self.__dataclass_fields__))


def pieces_of(line: Line, scale: Array) -> Pieces:
    """The kinks of ``line`` beyond ``scale``, which is 0 or the distance of the nearest one."""
    k, w = np.clip(line.kinks, -FAR, FAR), np.minimum(line.widths, FAR)
    n, size = k.shape
    positive = k >= 0
    beyond = np.abs(k) - scale
    for i in range(1, n):
        beyond[i] = np.where(positive[i - 1], beyond[i - 1] + w[i - 1], beyond[i])
    for i in range(n - 2, -1, -1):
        beyond[i] = np.where(positive[i + 1], beyond[i], beyond[i + 1] + w[i])
    # Kinks without a jump may be nearer; their terms vanish but must not overflow.
    beyond = np.where(scale < 1, beyond, np.maximum(beyond, 0.0))
    # The reference is the slope around zero, unless that piece is thin.
    centre = (~positive).sum(axis=0)
    column = np.arange(size)
    width = np.concatenate([w, np.full((1, size), FAR)])[np.maximum(centre - 1, 0), column]
    thin = (centre > 0) & (centre < n) & (line.nearest < 1) & (width < 1)
    reference = np.where(thin, line.slopes[0], line.slopes[centre, column])
    return Pieces(k, w, line.slopes - reference, positive, beyond, scale)
