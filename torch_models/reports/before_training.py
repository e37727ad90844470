"""A row before training, as numbers to print: the theory beside what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from torch_models.records.row_report import RowReport
from torch_models.reports.numbers import number

COLUMNS = ("at initialization", "mean field", "90% of networks", "observed")

MOST_FIGURES = 4
"""Seeds whose figures share a line; those of more are summed up by median and range."""


def before_training(report: RowReport) -> list[tuple[str, ...]]:
    """Lines of `COLUMNS`: sparsity, the last layer's variance, and how gradients grow."""
    prediction = report.prediction
    before = [record.initialization for record in report.records]
    return [
        (
            "sparsity",
            number(float(prediction.sparsity.mean())),
            f"mean {number(float(prediction.sparsity_mean.mean()))}",
            _figures([sum(each.sparsity) / len(each.sparsity) for each in before]),
        ),
        (
            f"q^{report.experiment.depth}",
            number(float(prediction.variance[-1])),
            _range(prediction.variance_quantiles),
            _figures([(each.image_variance or each.variance)[-1] for each in before]),
        ),
        (
            "gradient growth",
            number(prediction.gain),
            _range(prediction.gain_quantiles),
            _figures([each.gain for each in before]),
        ),
    ]


def _figures(values: Sequence[float]) -> str:
    """A figure per seed, or their median and range where there are many."""
    if len(values) <= MOST_FIGURES:
        return ", ".join(number(value) for value in values)
    known = sorted(value for value in values if not math.isnan(value))
    if not known:
        return "-"
    return f"{number(statistics.median(known))} ({number(known[0])} to {number(known[-1])})"


def _range(quantiles: Sequence[float]) -> str:
    """The middle 90% of a law."""
    return f"{number(quantiles[0])} to {number(quantiles[-1])}"
