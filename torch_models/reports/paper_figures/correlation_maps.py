"""Figs. 6, 7, 12 and 13: correlation maps at and on either side of the edge of chaos."""

from __future__ import annotations

import numpy as np

import sparsity_theory as st
from torch_models.reports.panels import Axis, Curve, Panel, Picture, Points, diagonal, in_one_row
from torch_models.reports.paper_figures.phases import SIDES, at, missing_note

THRESHOLDS = (0.0, 0.25, 0.5, 1.0)
CLIPS = (1.0, 1.5, 2.0)
"""Columns, and rows of Figs. 12 and 13. The captions of 6 and 7 name no thresholds."""

CORRELATIONS = np.linspace(0.0, 1.0, 201)
CROSSING = r"fixed point $\rho^\ast < 1$"

NUMBERS = {"relu": 6, "st": 7, "crelu": 12, "cst": 13}

BESIDE = "at and on either side of the edge of chaos (chi_1 = 0.8, 1 and 1.25, all with q\\* = 1)"

CAPTIONS = {
    "relu": f"""\
Correlation maps of ReLU, {BESIDE}, at four
thresholds; the paper's caption names none. On the edge and in the ordered phase R lies above the
identity, so that inputs grow together; in the chaotic phase it crosses the identity below one, at
the dot. Where no network has that chi_1 and q\\* = 1 the curve is left out.""",
    "st": """\
The same for ST. At tau = 0 it is the identity, whose correlation map on the edge is the
identity.""",
    "crelu": f"""\
Correlation maps of CReLU, {BESIDE}. Rows:
m = 1, 1.5, 2; columns: tau = 0, 0.25, 0.5, 1. Dots are fixed points below one, which the chaotic
networks alone have; where there is no such network it is left out.""",
    "cst": """\
The same for CST, with the same rows and columns.""",
}


def of_unclipped(kind: str) -> Picture:
    """Figs. 6 (ReLU) and 7 (ST): a panel for each tau."""
    panels = [
        _panel(st.ACTIVATIONS[kind](threshold), rf"$\tau = {threshold:g}$")  # type: ignore[call-arg]
        for threshold in THRESHOLDS
    ]
    label = rf"{st.ACTIVATIONS[kind].label}$_\tau$"
    return _picture(kind, label, in_one_row(panels), (3.0, 2.9))


def of_clipped(kind: str) -> Picture:
    """Figs. 12 (CReLU) and 13 (CST): a row for each m, a column for each tau."""
    rows = tuple(
        tuple(
            _panel(
                st.ACTIVATIONS[kind](threshold, clip),  # type: ignore[call-arg]
                rf"$\tau = {threshold:g}$, $m = {clip:g}$",
            )
            for threshold in THRESHOLDS
        )
        for clip in CLIPS
    )
    return _picture(kind, rf"{st.ACTIVATIONS[kind].label}$_{{\tau, m}}$", rows, (2.8, 2.6))


def _picture(
    kind: str, label: str, rows: tuple[tuple[Panel, ...], ...], size: tuple[float, float]
) -> Picture:
    return Picture(
        rf"Figure {NUMBERS[kind]}. Correlation maps of {label} at and on either side of the edge of"
        r" chaos, $q^\ast = 1$",
        rows,
        CAPTIONS[kind],
        shared_legend=True,
        panel_size=size,
    )


def _panel(phi: st.PiecewiseLinear, title: str) -> Panel:
    curves, points, missing = [diagonal(0.0, 1.0)], [], []
    for side in SIDES:
        net = at(phi, side)
        if net is None:
            missing.append((0.05, 0.93, missing_note(side)))
            continue
        style = {"colour": side.colour, "dashes": side.dashes}
        curves.append(
            Curve.of(CORRELATIONS, net.correlation_map(CORRELATIONS), side.label, **style)
        )
        crossing = float(st.correlation_fixed_point(net))
        if crossing < 1.0:
            points.append(Points.of([crossing], [crossing], CROSSING, colour=side.colour))
    return Panel(
        title,
        Axis(r"$\rho$", (0.0, 1.02)),
        Axis(r"$R_\phi(\rho)$", (0.0, 1.02)),
        tuple(curves),
        tuple(points),
        notes=tuple(missing),
    )
