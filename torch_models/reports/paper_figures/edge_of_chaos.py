"""Fig. 8: the edge of chaos of ReLU_tau and ST_tau in the plane of both variances."""

from __future__ import annotations

import numpy as np

import sparsity_theory as st
from torch_models.reports.palette import BLACK, BLUE, GREEN, ORANGE, VERMILION
from torch_models.reports.panels import Axis, Curve, Panel, Picture, Points, in_one_row

THRESHOLDS = {0.25: (BLUE, "-"), 0.5: (ORANGE, "--"), 1.0: (GREEN, "-."), 1.5: (VERMILION, ":")}
FIXED_POINTS = np.geomspace(1e-2, 1e3, 401)
AT_ONE = r"$q^\ast = 1$"
NO_THRESHOLD = r"$\tau = 0$, every $q^\ast$"

KINDS = {st.ShiftedReLU: (r"ReLU$_\tau$", 2.0), st.SoftThreshold: (r"ST$_\tau$", 1.0)}
"""With sigma_w^2 at tau = 0, which is also the limit of every curve."""

CAPTION = """\
The edge of chaos of ReLU (left) and ST (right): the pairs of sigma_w^2 and sigma_b^2 at which
chi_1 = 1 and V(q\\*) = q\\*, traced out by q\\* for each threshold, with a black dot at q\\* = 1.
ReLU has twice the sigma_w^2 of ST at the same q\\*, so the panels differ by the scale of their axis
alone. At tau = 0 the edge is a single point without bias, the ring, whatever q\\* is."""


def edge() -> Picture:
    """A panel for each kind, with a curve for each tau."""
    panels = []
    for kind, (title, limit) in KINDS.items():
        curves, dots = [], []
        for tau, (colour, dashes) in THRESHOLDS.items():
            net = st.edge_of_chaos(kind(tau), FIXED_POINTS)
            curves.append(
                Curve.of(
                    net.sigma_w2, net.sigma_b2, rf"$\tau = {tau:g}$", colour=colour, dashes=dashes
                )
            )
            at_one = st.edge_of_chaos(kind(tau), 1.0)
            dots.append((float(at_one.sigma_w2), float(at_one.sigma_b2)))
        w, b = zip(*dots, strict=True)
        panels.append(
            Panel(
                title,
                Axis(r"$\sigma_w^2$", (0.75 * limit, 8.0 * limit)),
                Axis(r"$\sigma_b^2$", (-0.1, 3.0)),
                tuple(curves),
                (
                    Points.of(w, b, AT_ONE, colour=BLACK),
                    Points.of([limit], [0.0], NO_THRESHOLD, colour=BLACK, filled=False),
                ),
                legend="upper right",
            )
        )
    return Picture(
        r"Figure 8. The edge of chaos of ReLU$_\tau$ and ST$_\tau$",
        in_one_row(panels),
        CAPTION,
        panel_size=(4.4, 3.6),
    )
