"""Figs. 4, 10 and 11: variance maps of CReLU and CST."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import sparsity_theory as st
from sparsity_theory.published.rows import Design
from torch_models.reports.palette import BLACK, GREEN, ORANGE
from torch_models.reports.panels import Axis, Curve, Panel, Picture, Points, diagonal
from torch_models.reports.paper_figures.marks import fixed_point_marks
from torch_models.reports.paper_figures.phases import EDGE, Q_STAR, SIDES, at, missing_note

UNSTABLE_TO_TRAIN = {
    "(a)": ((Design("crelu", 0.85, 0.9), ORANGE, "-"),),
    "(b)": ((Design("cst", 0.85, 0.8), ORANGE, "-"), (Design("cst", 0.85, 0.9), GREEN, "--")),
}
"""The maps of Fig. 4, in the colours of its caption."""

REACH_4 = {"(a)": 3.0, "(b)": 8.0}
"""As far as the map hovers about the identity in (a), and beyond the last fixed point in (b)."""

THRESHOLDS = (0.0, 0.25, 0.5, 1.0)
CLIPS = (1.0, 1.5, 2.0)
"""Columns and rows of Figs. 10 and 11."""

REACH = 5.0
VARIANCES = np.linspace(0.0, REACH, 201)[1:]

CAPTION_4 = """\
Variance maps at 85% sparsity whose clip m makes V'(q\\*) < 1 at q\\* = 1, and which fail to train
all the same. Above V, below its distance from the identity, which the paper does not draw. (a)
CReLU at V'(q\\*) = 0.9 has one fixed point and hovers below the identity above it. (b) CST at
V'(q\\*) = 0.8 (orange) does the same; at 0.9 (green) V exceeds the identity, and there are three
fixed points: q\\* = 1, an unstable one at 1.26, and a stable one at 5.34 with chi_1 = 2.28. The
paper's caption speaks of these for CST without saying that they are those of the green curve."""

CAPTIONS = {
    "crelu": """\
Variance maps of CReLU at and on either side of the edge of chaos, all with q\\* = 1. Rows: m = 1,
1.5, 2; columns: tau = 0, 0.25, 0.5, 1 (the paper's caption speaks of different s). Dots and rings
are stable and unstable fixed points, black ones those of the edge; at tau = 1, m = 2 it has three.
A chaotic network may have others than q\\* too; it is left out where it would need
sigma_b^2 < 0.""",
    "cst": """\
The same for CST. With equal tau and m, its maps at equal chi_1 are those of CReLU: it needs half
the sigma_w^2, and the same sigma_b^2.""",
}


def unstable_to_train() -> Picture:
    """Fig. 4: V above, V(q) - q below."""
    rows: tuple[list[Panel], list[Panel]] = [], []
    for letter, designs in UNSTABLE_TO_TRAIN.items():
        reach = REACH_4[letter]
        q = np.linspace(0.0, reach, 401)[1:]
        nets = [(design.net(), design, colour, dashes) for design, colour, dashes in designs]
        kind = st.ACTIVATIONS[designs[0][0].kind].label
        title = rf"{letter} {kind}$_{{\tau, m}}$, $s = {designs[0][0].sparsity:g}$"
        maps, distances = [diagonal(0.0, reach)], []
        for net, design, colour, dashes in nets:
            style = {"colour": colour, "dashes": dashes}
            label = clip_label(design)
            maps.append(Curve.of(q, net.variance_map(q), label, **style))
            distances.append(Curve.of(q, net.variance_map(q) - q, label, **style))
        marks = _marks_4([net for net, *_ in nets], None)
        upper = nets[-1][0]
        rows[0].append(
            Panel(
                title,
                Axis(r"$q$", (0.0, reach)),
                Axis(r"$V_\phi(q)$", (0.0, reach)),
                tuple(maps),
                marks,
                notes=_chi_notes(upper, reach),
                legend="upper left",
            )
        )
        rows[1].append(
            Panel(
                "",
                Axis(r"$q$", (0.0, reach)),
                Axis(r"$V_\phi(q) - q$", (-0.35, 0.35)),
                tuple(distances),
                _marks_4([net for net, *_ in nets], 0.0),
                levels=(0.0,),
            )
        )
    return Picture(
        r"Figure 4. Variance maps with $V^\prime(q^\ast) < 1$ that are unstable to train",
        (tuple(rows[0]), tuple(rows[1])),
        CAPTION_4,
        panel_size=(4.6, 3.6),
    )


def at_and_beside_the_edge(kind: str) -> Picture:
    """Figs. 10 (CReLU) and 11 (CST): a row for each m, a column for each tau."""
    label = rf"{st.ACTIVATIONS[kind].label}$_{{\tau, m}}$"
    number = {"crelu": 10, "cst": 11}[kind]
    rows = []
    for clip in CLIPS:
        row = []
        for threshold in THRESHOLDS:
            phi = st.ACTIVATIONS[kind](threshold, clip)  # type: ignore[call-arg]
            row.append(_beside_the_edge(phi, rf"$\tau = {threshold:g}$, $m = {clip:g}$"))
        rows.append(tuple(row))
    return Picture(
        rf"Figure {number}. Variance maps of {label} at and on either side of the edge of chaos,"
        r" $q^\ast = 1$",
        tuple(rows),
        CAPTIONS[kind],
        shared_legend=True,
        panel_size=(2.8, 2.6),
    )


def clip_label(design: Design) -> str:
    """V'(q*) and the clip that gives it."""
    m = float(design.activation().m)  # type: ignore[union-attr]
    return rf"$V^\prime(q^\ast) = {design.slope:g}$, $m = {m:.2f}$"


def _marks_4(nets: Sequence[st.MeanField], height: float | None) -> tuple[Points, ...]:
    """Fixed points of all maps of a panel, q* once."""
    points = {round(point.q, 9): point for net in nets for point in st.fixed_points(net)}
    return fixed_point_marks(points.values(), height)


def _chi_notes(net: st.MeanField, reach: float) -> tuple[tuple[float, float, str], ...]:
    """chi_1 beside every fixed point, below one another where these are close."""
    return tuple(
        (
            point.q + 0.04 * reach,
            point.q - (0.05 if place else 0.1) * reach,
            rf"$\chi_1 = {point.chi:.2f}$",
        )
        for place, point in enumerate(st.fixed_points(net))
    )


def _beside_the_edge(phi: st.PiecewiseLinear, title: str) -> Panel:
    curves = [diagonal(0.0, REACH)]
    points: list[Points] = []
    missing = []
    for side in SIDES:
        net = at(phi, side)
        if net is None:
            missing.append((0.05 * REACH, 0.93 * REACH, missing_note(side)))
            continue
        style = {"colour": side.colour, "dashes": side.dashes}
        curves.append(Curve.of(VARIANCES, net.variance_map(VARIANCES), side.label, **style))
        found = [point for point in st.fixed_points(net) if point.q <= REACH]
        if side is not EDGE:  # q* = 1, where all three cross, is marked for the edge
            found = [point for point in found if abs(point.q - Q_STAR) > 1e-6]
        points += fixed_point_marks(found, colour=BLACK if side is EDGE else side.colour)
    return Panel(
        title,
        Axis(r"$q$", (0.0, REACH)),
        Axis(r"$V_\phi(q)$", (0.0, REACH)),
        tuple(curves),
        tuple(points),
        notes=tuple(missing),
    )
