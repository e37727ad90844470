"""Fig. 3: what the clip m does to the slope and the curvature of the variance map at q*."""

from __future__ import annotations

import numpy as np

import sparsity_theory as st
from sparsity_theory._types import Array
from sparsity_theory.published.rows import Design
from torch_models.reports.palette import BLACK, GREEN, ORANGE, PURPLE, SKY, VERMILION
from torch_models.reports.panels import Axis, Curve, Panel, Picture, Points

SPARSITIES = {
    0.5: (BLACK, "-"),
    0.6: (SKY, "--"),
    0.7: (GREEN, "-."),
    0.8: (ORANGE, "-"),
    0.85: (VERMILION, "--"),
    0.9: (PURPLE, "-."),
}
"""Those of Tables 2 and 5, with the colours and dashes of their curves."""

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Heights of the dashed lines."""

CHOSEN = (0.5, 0.7, 0.9)
"""V'(q*) of the networks of Tables 2 and 5, marked on each curve."""

REACH = 4.0
CLIPS = np.linspace(0.0, REACH, 201)[1:]
KINDS = {"crelu": r"CReLU$_{\tau, m}$", "cst": r"CST$_{\tau, m}$"}
MARKED = r"$V^\prime(q^\ast) = 0.5$, $0.7$, $0.9$"

CAPTION = """\
V'(q\\*) (above) and V''(q\\*) (below) on the edge of chaos at q\\* = 1, over the clip m, for CReLU
(left) and CST (right) at six sparsities. The slope grows with m and tends to one from below; the
curvature first falls below zero and then rises. Dashed lines are at 0.5, 0.6, 0.7, 0.8 and 0.9;
dots are at V'(q\\*) = 0.5, 0.7 and 0.9, where Tables 2 and 5 take their clips. The caption in the
paper says ReLU where it means CReLU."""


def slope_and_curvature() -> Picture:
    """Slopes in the upper row, curvatures in the lower one."""
    slopes, curvatures = [], []
    for kind, title in KINDS.items():
        curves: tuple[list[Curve], list[Curve]] = [], []
        points: tuple[list[Points], list[Points]] = [], []
        for s, (colour, dashes) in SPARSITIES.items():
            along = at_q_star(kind, threshold(kind, s), CLIPS)
            clips = np.array([float(Design(kind, s, v).activation().m) for v in CHOSEN])  # type: ignore[union-attr]
            at_chosen = at_q_star(kind, threshold(kind, s), clips)
            for place in (0, 1):
                curves[place].append(
                    Curve.of(CLIPS, along[place], f"$s = {s:g}$", colour=colour, dashes=dashes)
                )
                points[place].append(Points.of(clips, at_chosen[place], MARKED, colour=colour))
        slopes.append(
            Panel(
                title=title,
                x=Axis("clip $m$", (0.0, REACH)),
                y=Axis(r"$V^\prime_\phi(q^\ast)$", (0.0, 1.02)),
                curves=tuple(curves[0]),
                points=tuple(points[0]),
                levels=LEVELS,
            )
        )
        curvatures.append(
            Panel(
                title=title,
                x=Axis("clip $m$", (0.0, REACH)),
                y=Axis(r"$V^{\prime\prime}_\phi(q^\ast)$"),
                curves=tuple(curves[1]),
                points=tuple(points[1]),
                levels=(0.0,),
            )
        )
    return Picture(
        r"Figure 3. Slope and curvature of the variance map at $q^\ast = 1$, on the edge of chaos",
        (tuple(slopes), tuple(curvatures)),
        CAPTION,
        shared_legend=True,
        panel_size=(4.4, 3.3),
    )


def threshold(kind: str, s: float) -> float:
    """Tau of a kind at a sparsity; one threshold whatever the clip."""
    return float(Design(kind, s, CHOSEN[0]).activation().tau)


def at_q_star(kind: str, tau: float, clips: Array) -> tuple[Array, Array]:
    """V'(q*) and V''(q*) on the edge of chaos for every clip, at q* = 1."""
    net = st.edge_of_chaos(st.ACTIVATIONS[kind](tau, clips))  # type: ignore[call-arg]
    return net.variance_slope(1.0), net.variance_curvature(1.0)
