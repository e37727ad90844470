"""The forecasts of the published rows, ranked beside what the paper reports of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import scipy

from ..finite_width.forecast import Forecast, forecast
from .tables import PublishedRow

SCORES: dict[str, Callable[[RankedRow], float]] = {
    "failure probability": lambda ranked: ranked.forecast.failure_probability,
    "severity": lambda ranked: ranked.forecast.severity,
    "V''(q*), the paper's criterion": lambda ranked: ranked.curvature,
}
"""What rows can be ranked by; higher is worse."""


@dataclass(frozen=True)
class RankedRow:
    """A published row with its forecast."""

    published: PublishedRow
    forecast: Forecast
    curvature: float


def forecast_of(published: PublishedRow, networks: int = 1000, seed: int = 0) -> Forecast:
    """The forecast of a published row, its networks starting at the paper's input variance."""
    row, q_star = published.row, published.q_star
    return forecast(
        row.net(q_star),
        published.width,
        published.depth,
        networks,
        seed,
        row.input_variance(q_star),
    )


def area_under_curve(scores: Sequence[float], failed: Sequence[bool]) -> float:
    """The probability that a row that failed scores higher than one that trained; ties are half."""
    bad = [score for score, fails in zip(scores, failed, strict=True) if fails]
    good = [score for score, fails in zip(scores, failed, strict=True) if not fails]
    return float(scipy.stats.mannwhitneyu(bad, good).statistic) / (len(bad) * len(good))


def ranked_row(row: PublishedRow, networks: int = 1000, seed: int = 0) -> RankedRow:
    """A published row with its forecast and V''(q*)."""
    curvature = float(row.row.net(row.q_star).variance_curvature(row.q_star))
    return RankedRow(row, forecast_of(row, networks, seed), curvature)
