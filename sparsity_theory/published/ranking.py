"""The forecasts of the published rows, ranked and compared to what the paper reports of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import scipy

from ..finite_width.forecast import Forecast, forecast
from .tables import PublishedRow

RANKINGS: dict[str, Callable[[RankedRow], float]] = {
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
    design, q_star = published.design, published.q_star
    return forecast(
        design.net(q_star),
        published.width,
        published.depth,
        networks,
        seed,
        design.input_variance(q_star),
    )


def area_under_curve(scores: Sequence[float], failed: Sequence[bool]) -> float:
    """The probability that a failed row scores higher than a trained one; ties count half."""
    of_failed = [score for score, fails in zip(scores, failed, strict=True) if fails]
    of_trained = [score for score, fails in zip(scores, failed, strict=True) if not fails]
    larger = float(scipy.stats.mannwhitneyu(of_failed, of_trained).statistic)
    return larger / (len(of_failed) * len(of_trained))


def ranked_row(row: PublishedRow, networks: int = 1000, seed: int = 0) -> RankedRow:
    """A published row with its forecast and V''(q*)."""
    curvature = float(row.design.net(row.q_star).variance_curvature(row.q_star))
    return RankedRow(row, forecast_of(row, networks, seed), curvature)
