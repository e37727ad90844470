"""All figures of the paper by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch_models.records.results import TableSummary
from torch_models.reports.panels import Picture
from torch_models.reports.paper_figures import (
    activations,
    clip_choice,
    clipped_variance,
    correlation_maps,
    edge_of_chaos,
    gradient_norms,
    losses,
    unclipped_variance,
)

FROM_THEORY: dict[int, Callable[[], Picture]] = {
    1: activations.activations,
    2: unclipped_variance.by_threshold,
    3: clip_choice.slope_and_curvature,
    4: clipped_variance.unstable_to_train,
    6: partial(correlation_maps.of_unclipped, "relu"),
    7: partial(correlation_maps.of_unclipped, "st"),
    8: edge_of_chaos.edge,
    9: unclipped_variance.by_sparsity,
    10: partial(clipped_variance.at_and_beside_the_edge, "crelu"),
    11: partial(clipped_variance.at_and_beside_the_edge, "cst"),
    12: partial(correlation_maps.of_clipped, "crelu"),
    13: partial(correlation_maps.of_clipped, "cst"),
}

FROM_RECORDS: dict[int, Callable[[Sequence[TableSummary]], Picture]] = {
    5: gradient_norms.gradient_norms,
    14: losses.losses,
}
"""From the summaries of `recorded.dense_summaries`."""

NUMBERS = tuple(sorted({*FROM_THEORY, *FROM_RECORDS}))


def picture_of(number: int, summaries: Sequence[TableSummary]) -> Picture:
    """What a figure of the paper shows.

    Args:
        number: one of `NUMBERS`.
        summaries: of records, which the figures in `FROM_RECORDS` need.

    Raises:
        MissingRecords: if there are no records that it could be drawn from.
    """
    if number in FROM_THEORY:
        return FROM_THEORY[number]()
    return FROM_RECORDS[number](summaries)
