"""Fig. 1: the activations."""

from __future__ import annotations

import numpy as np

import sparsity_theory as st
from torch_models.reports.palette import BLUE
from torch_models.reports.panels import Axis, Curve, Panel, Picture, in_one_row

REACH = 3.0

SHOWN: tuple[tuple[str, st.PiecewiseLinear], ...] = (
    (r"ReLU, $\tau = 0$", st.ShiftedReLU(0.0)),
    (r"ReLU$_\tau$, $\tau = 1$", st.ShiftedReLU(1.0)),
    (r"ST$_\tau$, $\tau = 1$", st.SoftThreshold(1.0)),
    (r"CReLU$_{\tau, m}$, $\tau = 1$, $m = 1$", st.ClippedReLU(1.0, 1.0)),
    (r"CST$_{\tau, m}$, $\tau = 1$, $m = 1$", st.ClippedSoftThreshold(1.0, 1.0)),
)
"""From left to right, as in the caption."""

CAPTION = """\
The activations, from left to right: ReLU; ReLU and soft thresholding (ST) with the threshold
tau = 1; the same two clipped at m = 1. All have slope one where they are not flat."""


def activations() -> Picture:
    """The five activations on [-3, 3], with kinks where they are."""
    x = np.linspace(-REACH, REACH, 121)  # tau and tau + m are among these
    panels = [
        Panel(
            title=title,
            x=Axis("$x$", (-REACH, REACH)),
            y=Axis(r"$\phi(x)$", (-2.2, REACH)),
            curves=(Curve.of(x, phi(x), "phi", colour=BLUE, width=2.2),),
        )
        for title, phi in SHOWN
    ]
    return Picture(
        "Figure 1. Activations that induce sparsity",
        in_one_row(panels),
        CAPTION,
        panel_size=(2.5, 2.4),
    )
