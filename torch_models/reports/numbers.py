"""Numbers as tables and pages show them."""

from __future__ import annotations

import math


def number(value: float, digits: int = 3) -> str:
    """So many digits after the point, or a power of ten where they would say little; - for NaN."""
    if math.isnan(value):
        return "-"
    if value != 0 and not 10.0**-digits <= abs(value) < 10.0 ** (digits + 2):
        return f"{value:.{digits}e}"
    return f"{value:.{digits}f}"


def mean_and_deviation(mean: float, std: float | None, digits: int) -> str:
    """Both, or the mean alone; the paper prints deviations below .01 with a third digit."""
    if std is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {std:.{3 if 0 < std < 0.01 else digits}f}"
