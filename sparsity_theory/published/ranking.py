"""The forecasts of the published rows, ranked and compared to what the paper reports of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import scipy

from ..finite_width.forecast import Forecast, forecast
from .tables import CNN_KERNEL, CNN_POSITIONS, PublishedRow, published_rows

RANKINGS: dict[str, Callable[[RankedRow], float]] = {
    "failure probability": lambda ranked: ranked.forecast.failure_probability,
    "severity": lambda ranked: ranked.forecast.severity,
    "V''(q*), the paper's criterion": lambda ranked: ranked.curvature,
}
"""What rows can be ranked by; higher is worse."""


NETWORKS = ("dnn", "cnn")
"""The paper's networks: dense on MNIST, and convolutional on CIFAR-10."""


@dataclass(frozen=True)
class RankedRow:
    """A published row with the forecast of its dense or convolutional networks."""

    published: PublishedRow
    forecast: Forecast
    curvature: float
    network: str = "dnn"

    @property
    def failed(self) -> bool:
        """Whether these networks failed to train in the paper."""
        return self.published.failed_as(self.network)


def published_outcomes(
    tables: Sequence[int] = (2, 4, 5), networks: Sequence[str] = NETWORKS
) -> list[tuple[PublishedRow, str]]:
    """All outcomes in these tables, as rows and networks: 65 dense ones and 33 convolutional ones.

    Raises:
        ValueError: for another table or network, or for tables with no outcome of a network.
    """
    rows = [row for number in dict.fromkeys(tables) for row in published_rows(number)]
    found: list[tuple[PublishedRow, str]] = []
    for network in dict.fromkeys(networks):
        if network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
        own = [(row, network) for row in rows if row.has(network)]
        if not own:
            numbers = ", ".join(str(number) for number in dict.fromkeys(tables))
            raise ValueError(f"network {network!r} has no rows in Table {numbers}")
        found += own
    return found


def forecast_of(
    published: PublishedRow, networks: int = 1000, seed: int = 0, network: str = "dnn"
) -> Forecast:
    """The forecast of a published row, its networks starting at the paper's input variance.

    Raises:
        ValueError: if the paper has no such networks in this row.
    """
    design, q_star = published.design, published.q_star
    return forecast(
        design.net(q_star),
        published.width,
        published.depth_of(network),
        networks,
        seed,
        design.input_variance(q_star),
        kernel=CNN_KERNEL if network == "cnn" else None,
        positions=CNN_POSITIONS if network == "cnn" else None,
    )


def area_under_curve(scores: Sequence[float], failed: Sequence[bool]) -> float:
    """The probability that a failed row scores higher than a trained one; ties count half."""
    of_failed = [score for score, fails in zip(scores, failed, strict=True) if fails]
    of_trained = [score for score, fails in zip(scores, failed, strict=True) if not fails]
    larger = float(scipy.stats.mannwhitneyu(of_failed, of_trained).statistic)
    return larger / (len(of_failed) * len(of_trained))


def ranked_row(
    row: PublishedRow, networks: int = 1000, seed: int = 0, network: str = "dnn"
) -> RankedRow:
    """A published row with its forecast and V''(q*)."""
    curvature = float(row.design.net(row.q_star).variance_curvature(row.q_star))
    return RankedRow(row, forecast_of(row, networks, seed, network), curvature, network)
