"""The forecast of one row: its variance map, and the laws of its finite networks."""

from __future__ import annotations

import numpy as np

import sparsity_theory as st
from sparsity_theory.published.rows import Design
from torch_models.reports.palette import BLACK, BLUE, GREY, VERMILION
from torch_models.reports.panels import (
    Axis,
    Band,
    Curve,
    Panel,
    Picture,
    Points,
    diagonal,
    in_one_row,
)
from torch_models.reports.paper_figures.marks import fixed_point_marks

LAWS = {
    "final_variance": "$q^L$",
    "largest_gain": "largest\ngain",
    "gradient_growth": "gain,\n$h^L$ to $h^1$",
}
"""Attributes of a forecast that have three quantiles, and their names."""


def laws(row: Design, title: str, found: st.Forecast) -> Picture:
    """V and its fixed points, the sparsity of every layer, and quantiles of gains and of q^L."""
    panels = (_variance_map(row), _sparsity(row, found), _quantiles(found))
    return Picture(title, in_one_row(panels), note=found.verdict, panel_size=(4.2, 3.6))


def _variance_map(row: Design) -> Panel:
    net = row.net()
    try:
        points = [point for point in st.fixed_points(net) if point.q <= 20]
    except st.FixedPointContinuumError:
        points = []
    reach = 1.3 * max([2.0, *(point.q for point in points)])
    q = np.linspace(0.0, reach, 301)[1:]
    return Panel(
        "variance map",
        Axis("$q$", (0.0, reach)),
        Axis("$V(q)$", (0.0, reach)),
        (diagonal(0.0, reach), Curve.of(q, net.variance_map(q), "$V$", colour=BLUE)),
        fixed_point_marks(points),
        legend="upper left",
    )


def _sparsity(row: Design, found: st.Forecast) -> Panel:
    layers = np.arange(1.0, found.sparsity_mean.size + 1)
    mean, spread = found.sparsity_mean, found.sparsity_std
    band = Band(layers, mean - spread, mean + spread, "one standard deviation", GREY)
    return Panel(
        "share of zeros",
        Axis("layer $l$", (1.0, float(layers[-1]))),
        Axis("", (0.0, 1.0)),
        (
            Curve.of(layers, mean, "mean of networks", colour=BLUE),
            Curve.of(
                layers,
                np.full(layers.shape, row.sparsity),
                f"$s = {row.sparsity:g}$",
                colour=BLACK,
                dashes="--",
                width=1.0,
            ),
        ),
        bands=(band,),
        legend="lower left",
    )


def _quantiles(found: st.Forecast) -> Panel:
    """A line from the 5% to the 95% quantile of each law, and a dot at the median."""
    curves, medians = [], []
    for place, name in enumerate(LAWS):
        low, middle, high = np.asarray(getattr(found, name), float)
        curves.append(Curve.of([place, place], [low, high], colour=BLUE, width=3.0))
        medians.append(middle)
    labelled = Curve.of([], [], "5% to 95% of networks", colour=BLUE, width=3.0)
    return Panel(
        "variance and backward gains",
        Axis("", (-0.5, len(LAWS) - 0.5), names=tuple(LAWS.values())),
        Axis("", scale="log"),
        (labelled, *curves),
        (Points.of(range(len(LAWS)), medians, "median", colour=VERMILION),),
        levels=(1.0,),
        legend="best",
    )
