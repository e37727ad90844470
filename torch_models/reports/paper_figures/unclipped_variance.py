"""Figs. 2 and 9: variance maps of ReLU_tau and ST_tau on the edge of chaos."""

from __future__ import annotations

import numpy as np

import sparsity_theory as st
from torch_models.reports.palette import BLACK, BLUE, GREEN, ORANGE
from torch_models.reports.panels import Axis, Curve, Panel, Picture, Points, diagonal, in_one_row

THRESHOLDS = (0.0, 0.25, 0.5, 1.0)
"""Of Fig. 2, whose caption names none: those of Figs. 10 to 13."""

SPARSITIES = (0.5, 0.6, 0.7)
"""Of Fig. 9: "a variety of starting sparsity levels ([50%, 60%, 70%])" (App. C)."""

REACH = 3.0
VARIANCES = np.linspace(0.0, REACH, 301)[1:]

STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."))
"""Colours and dashes of Fig. 9."""

TOUCHING = r"$q^\ast$, stable from the left only"

Q_AXIS = Axis(r"$q$", (0.0, REACH))
V_AXIS = Axis(r"$V_\phi(q)$", (0.0, REACH))

CAPTION_2 = """\
Variance maps of ReLU and ST on the edge of chaos, made for q\\* = 1, at four thresholds (the
paper's caption names none; these are those of its Figs. 10 to 13). The two coincide for equal tau,
though ST is then the less sparse. At tau = 0 the map is the identity, and every variance a fixed
point; at tau > 0 it touches the identity at q\\* = 1 from above, so that q\\* is stable from the
left only."""

CAPTION_9 = """\
Variance maps of ReLU (left) and ST (right) at equal sparsity s instead of equal threshold, on the
edge of chaos with q\\* = 1. ST needs the larger threshold and curves upwards more. At s = 0.5
ReLU has tau = 0 and the identity for its map."""


def by_threshold() -> Picture:
    """Fig. 2: a panel for each tau, with both maps in it."""
    panels = []
    for tau in THRESHOLDS:
        relu, soft = (st.edge_of_chaos(kind(tau)) for kind in (st.ShiftedReLU, st.SoftThreshold))
        shares = [float(net.activation.sparsity()) for net in (relu, soft)]
        panels.append(
            Panel(
                title=rf"$\tau = {tau:g}$ ($s = {shares[0]:.2f}$; ST: ${shares[1]:.2f}$)",
                x=Q_AXIS,
                y=V_AXIS,
                curves=(
                    diagonal(0.0, REACH),
                    Curve.of(
                        VARIANCES,
                        relu.variance_map(VARIANCES),
                        r"ReLU$_\tau$",
                        colour=BLUE,
                        width=3.0,
                    ),
                    Curve.of(
                        VARIANCES,
                        soft.variance_map(VARIANCES),
                        r"ST$_\tau$",
                        colour=ORANGE,
                        dashes="--",
                        width=1.6,
                    ),
                ),
                points=touching_points(relu),
            )
        )
    return Picture(
        r"Figure 2. Variance maps of ReLU$_\tau$ and ST$_\tau$ on the edge of chaos, $q^\ast = 1$",
        in_one_row(panels),
        CAPTION_2,
        shared_legend=True,
        panel_size=(3.0, 2.9),
    )


def by_sparsity() -> Picture:
    """Fig. 9: a panel for each kind, with a map for each sparsity."""
    panels = []
    for kind, name in ((st.ShiftedReLU, r"ReLU$_\tau$"), (st.SoftThreshold, r"ST$_\tau$")):
        kinds = {s: kind.for_sparsity(s) for s in SPARSITIES}
        curves = [
            Curve.of(
                VARIANCES,
                st.edge_of_chaos(phi).variance_map(VARIANCES),
                rf"$s = {s:g}$ ($\tau = {abs(float(phi.tau)):.2f}$)",
                colour=colour,
                dashes=dashes,
            )
            for (s, phi), (colour, dashes) in zip(kinds.items(), STYLES, strict=True)
        ]
        panels.append(
            Panel(
                title=name,
                x=Q_AXIS,
                y=V_AXIS,
                curves=(diagonal(0.0, REACH), *curves),
                points=touching_points(st.edge_of_chaos(kinds[SPARSITIES[-1]])),
                legend="upper left",
            )
        )
    return Picture(
        r"Figure 9. Variance maps at equal sparsity $s$, on the edge of chaos, $q^\ast = 1$",
        in_one_row(panels),
        CAPTION_9,
        panel_size=(4.2, 3.7),
    )


def touching_points(net: st.MeanField) -> tuple[Points, ...]:
    """Where a map touches the identity; nothing where it is the identity."""
    try:
        touching = [point.q for point in st.fixed_points(net)]
    except st.FixedPointContinuumError:
        return ()
    return (Points.of(touching, touching, TOUCHING, colour=BLACK, filled=False),)
