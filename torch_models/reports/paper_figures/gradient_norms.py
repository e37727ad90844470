"""Fig. 5: gradient norms by layer in the first steps of failed runs, from records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsity_theory._types import Array
from sparsity_theory.published.rows import Design
from torch_models.records.results import TableSummary
from torch_models.records.run_record import RunRecord
from torch_models.reports.palette import shades
from torch_models.reports.panels import Axis, Curve, Panel, Picture, in_one_row
from torch_models.reports.paper_figures.recorded import Recorded, of_papers_size, runs_of_each

FAILED_ROWS = (Design("crelu", 0.85, 0.9), Design("cst", 0.85, 0.9))
"""Figs. 5a and 5b. The paper's 5b is at V'(q*) = .8 (m = 1.22), which is no row of Table 2."""

STEPS = 15
"""Steps that the paper draws, and that a record has."""

NOTE = (
    "MNIST. A run is stopped at its first gradient above 1e6. "
    r"The paper's (b) is a run at $V^\prime(q^\ast) = 0.8$ ($m = 1.22$), no row of Table 2."
)

CAPTION = """\
Frobenius norms of the loss's gradient by the weights of every layer, in the first steps of failed
runs on MNIST, from records; each panel states the size of its network. (a) CReLU and (b) CST at
85% sparsity and V'(q\\*) = 0.9. The paper draws fifteen steps; here a run ends with its first
gradient above a million. (c), which the paper does not have, is of those that fail within fifteen
steps at the paper's size the one that took most."""


def gradient_norms(summaries: Sequence[TableSummary]) -> Picture:
    """A panel for each kind, of the run with most recorded steps, and one more at full size.

    Raises:
        MissingRecords: if there is no failed run of a kind.
    """
    found = runs_of_each("Fig. 5", "failed run", summaries, FAILED_ROWS, failed)
    panels = [
        _panel(letter, _longest(runs.runs), runs) for letter, runs in zip("ab", found, strict=True)
    ]
    slowest = slowest_explosion(summaries)
    if slowest is not None and slowest.runs[0].run.design not in FAILED_ROWS:
        panels.append(_panel("c", slowest.runs[0], slowest))
    return Picture(
        "Figure 5. Gradient norms in the first steps of failed runs",
        in_one_row(panels),
        CAPTION,
        NOTE,
        shared_legend=True,
        panel_size=(4.2, 3.5),
    )


def failed(record: RunRecord) -> bool:
    """Whether a run did not train, and has gradients to be drawn."""
    return record.outcome != "trained" and bool(record.gradient_norms)


def exploded_early(record: RunRecord) -> bool:
    """Whether a run diverged within its recorded steps, and not in the first."""
    steps = len(record.gradient_norms)
    return record.divergence is not None and 1 < record.divergence.step <= steps


def slowest_explosion(summaries: Sequence[TableSummary]) -> Recorded | None:
    """The run at the paper's size with most recorded steps until it diverged; None without any."""
    candidates = [
        Recorded((record,), summary.group, summary)
        for summary in summaries
        if summary.group is not None and of_papers_size(summary)
        for row in summary.rows
        for record in row.records
        if exploded_early(record)
    ]
    return max(candidates, key=lambda each: len(each.runs[0].gradient_norms), default=None)


def norms_by_step(record: RunRecord) -> Array:
    """Norms, (steps, layers); NaN where a logarithmic axis has no place for them."""
    norms = np.array(record.gradient_norms[:STEPS])
    return np.where((norms > 0) & np.isfinite(norms), norms, np.nan)


def how_it_failed(record: RunRecord) -> str:
    """For a title."""
    if record.divergence is None:
        return record.outcome
    return f"{record.outcome_in_detail} at step {record.divergence.step}"


def whole_decades(norms: Array) -> tuple[float, float]:
    """The powers of ten that the norms lie between."""
    known = norms[~np.isnan(norms)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 10.0)
    return float(10 ** np.floor(np.log10(low))), float(10 ** np.ceil(np.log10(high)))


def _longest(runs: Sequence[RunRecord]) -> RunRecord:
    return max(runs, key=lambda each: len(each.gradient_norms))


def _panel(letter: str, record: RunRecord, recorded: Recorded) -> Panel:
    norms = norms_by_step(record)
    layers = np.arange(1, norms.shape[1] + 1)
    colours = shades(STEPS)
    return Panel(
        f"({letter}) {record.run.design.label}, seed {record.run.seed}\n{how_it_failed(record)}\n"
        f"{recorded.size}",
        Axis("layer $l$", (1, float(layers[-1]))),
        Axis(r"$\|\partial \mathcal{L} / \partial W^l\|_F$", whole_decades(norms), "log"),
        tuple(
            Curve.of(layers, row, f"step {step + 1}", colour=colours[step], width=1.5)
            for step, row in enumerate(norms)
        ),
    )
