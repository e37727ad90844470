"""The picture of a row: its variance map and what q^l did on it, its sparsity, its accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from torch_models.records.outcomes import LEARNED
from torch_models.records.row_report import RowReport
from torch_models.records.run_record import RunRecord
from torch_models.reports.canvas import new_figure, save
from torch_models.reports.palette import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

SEED_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)
SEED_MARKERS = ("o", "s", "^", "D", "v", "P")
THEORY = BLACK
WIDEST = 12.0
"""Largest q shown on the variance map; what leaves it is marked at the border."""

CLOSE = (0.5, 1.7)
"""What an inset shows of a wide variance map: q* = 1 and where q^l hovers about it."""

MOST_SEEDS = 6
"""Seeds drawn one by one; more would hide each other."""


def save_figure(reports: Sequence[RowReport], path: Path) -> None:
    """Draw reports below one another and write the picture at ``path``, atomically."""
    figure = new_figure(15, 6 * len(reports))
    for part, report in zip(
        figure.subfigures(len(reports), squeeze=False).flat, reports, strict=True
    ):
        _draw_report(part, report)
    save(figure, path)


def _draw_report(figure: SubFigure, report: RowReport) -> None:
    left, middle, right = figure.subplots(1, 3)
    draw_variance_map(left, report)
    draw_sparsity(middle, report)
    draw_accuracy(right, report)
    experiment, seeds = report.experiment, len(report.records)
    shown = f", first {MOST_SEEDS} of {seeds}" if seeds > MOST_SEEDS else ""
    figure.suptitle(
        f"{report.design.label}    width {experiment.width}, depth {experiment.depth}, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}{shown}, {experiment.data}\n",
        fontsize=15,
        fontweight="bold",
    )
    figure.text(
        0.5,
        0.925,
        f"predicted: {report.prediction.outcome}    seen: {report.verdict.reason}    "
        f"verdict: {report.verdict.status}",
        ha="center",
        va="center",
        fontsize=11,
        color=THEORY,
    )


def draw_variance_map(axes: Axes, report: RowReport) -> None:
    """V with the diagonal, its fixed points, and the cobweb of q^l: mean field and every seed."""
    fixed = [float(point.q) for point in report.prediction.fixed_points or ()]
    paths = _paths(report)
    reach = float(np.max(np.minimum(np.nan_to_num(paths, nan=WIDEST, posinf=WIDEST), WIDEST)))
    top = 1.15 * max(2.0, reach, *(q for q in fixed if q <= WIDEST))
    _draw_map(axes, report, 0.0, top)
    for k, path in _shown(paths):
        if np.all(path <= top):
            continue
        layer = int(np.argmax(~(path <= top))) + 1
        height = (0.95 - 0.07 * k) * top
        axes.plot(0.97 * top, height, marker=">", color=_colour(k), ms=8)
        axes.annotate(
            f"seed {k} leaves at layer {layer}",
            (0.94 * top, height),
            ha="right",
            va="center",
            fontsize=9,
            color=_colour(k),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            zorder=6,
        )
    if top > 2 * CLOSE[1]:
        inset = axes.inset_axes((0.56, 0.07, 0.41, 0.41))
        _draw_map(inset, report, *CLOSE)
        inset.tick_params(labelsize=8)
    axes.set(xlabel="q^l", ylabel="q^(l+1)")
    axes.set_title("variance map and q^l at initialization")
    _legend_below(axes)
    _tidy(axes)


def _draw_map(axes: Axes, report: RowReport, low: float, high: float) -> None:
    """Draw everything on the square from ``low`` to ``high``."""
    q = np.linspace(max(low, high / 1000), high, 1000)
    axes.plot((low, high), (low, high), color=GREY, lw=1, ls="--", label="diagonal")
    axes.plot(q, report.design.net().variance_map(q), color=THEORY, lw=2, label="V(q)")
    for k, path in _shown(_paths(report)):
        axes.plot(*cobweb(path), color=_colour(k), lw=1, alpha=0.85, label=f"q^l, seed {k}")
    x, y = cobweb(report.prediction.variance)
    axes.plot(x, y, color=THEORY, lw=1.4, ls=":")
    label = "mean field, from q^1"
    axes.plot(x[:1], y[:1], color=THEORY, ls=":", lw=1.4, marker="*", ms=10, label=label, zorder=6)
    for point in report.prediction.fixed_points or ():
        face = THEORY if point.stable else "white"
        axes.plot(point.q, point.q, marker="o", ms=8, mfc=face, mec=THEORY, mew=1.5, zorder=5)
    axes.set(xlim=(low, high), ylim=(low, high))


def draw_sparsity(axes: Axes, report: RowReport) -> None:
    """Sparsity of every layer: s, the forecast, at initialization, after training."""
    layers = np.arange(1, report.experiment.depth + 1)
    before = np.array([record.initialization.sparsity for record in report.records])
    after = np.array([record.final.layer_sparsity for record in report.records])
    mean, spread = report.prediction.sparsity_mean, report.prediction.sparsity_std
    axes.axhline(report.design.sparsity, color=THEORY, lw=1.2, ls="--", label="s")
    axes.fill_between(
        layers,
        mean - spread,
        mean + spread,
        color=GREY,
        alpha=0.3,
        lw=0,
        label="forecast, mean and deviation",
    )
    for k, sparsity in _shown(before):
        axes.plot(layers, sparsity, color=_colour(k), lw=1.3, ls=":")
    for k, sparsity in _shown(after):
        axes.plot(layers, sparsity, color=_colour(k), lw=1.6, marker=_marker(k), ms=4)
    axes.plot([], [], color=GREY, lw=1.3, ls=":", label="each seed at initialization")
    axes.plot([], [], color=GREY, lw=1.6, marker="o", ms=4, label="each seed at the end")
    axes.set(xlim=(0.5, len(layers) + 0.5), ylim=(-0.03, 1.03))
    axes.set(xlabel="layer", ylabel="share of zeros")
    axes.set_title("sparsity before training and at its end")
    _legend_below(axes)
    _tidy(axes)


def draw_accuracy(axes: Axes, report: RowReport) -> None:
    """Validation accuracy over epochs, where a network diverged, and its test accuracy."""
    from matplotlib.ticker import MaxNLocator

    axes.axhline(LEARNED, color=GREY, lw=1, ls="--", label="counts as learned")
    for k, record in enumerate(report.records[:MOST_SEEDS]):
        curve = _accuracies(record)
        end = f"test {record.final.accuracy:.2f}"
        if record.divergence is not None:
            end = f"{record.outcome} at step {record.divergence.step}"
        axes.plot(
            np.arange(len(curve)),
            curve,
            color=_colour(k),
            lw=1.6,
            marker=_marker(k),
            ms=4,
            label=f"seed {k}: {end}",
        )
        if record.divergence is not None:
            axes.plot(len(curve) - 1, curve[-1], marker="x", ms=11, mew=2.5, color=_colour(k))
    epochs = report.experiment.epochs
    axes.set(xlim=(-0.03 * epochs, 1.03 * epochs), ylim=(0, 1.02))
    axes.set(xlabel="epoch", ylabel="validation accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("accuracy while training")
    _legend_below(axes)
    _tidy(axes)


def cobweb(path: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of the staircase (q^l, q^l), (q^l, q^(l+1)), (q^(l+1), q^(l+1)), ..."""
    return np.repeat(path, 2)[:-1], np.append(path[:1], np.repeat(path[1:], 2))


def _paths(report: RowReport) -> NDArray[np.float64]:
    """q^l of one image in every network, (seeds, depth); that over images in older records."""
    before = [record.initialization for record in report.records]
    return np.array([each.image_variance or each.variance for each in before])


def _accuracies(record: RunRecord) -> NDArray[np.float64]:
    """On held-out images, before training and after every epoch, (epochs + 1,)."""
    first = record.initialization.validation_accuracy
    later = [epoch.validation_accuracy for epoch in record.epochs]
    return np.array([np.nan if first is None else first, *later])


def _shown(rows: NDArray[np.float64]) -> Iterable[tuple[int, NDArray[np.float64]]]:
    return enumerate(rows[:MOST_SEEDS])


def _colour(k: int) -> str:
    return SEED_COLOURS[k % len(SEED_COLOURS)]


def _marker(k: int) -> str:
    return SEED_MARKERS[k % len(SEED_MARKERS)]


def _legend_below(axes: Axes) -> None:
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        fontsize=9,
        frameon=False,
        ncols=2,
        handlelength=1.5,
        columnspacing=1,
    )


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, lw=0.6)
    axes.set_axisbelow(True)
