"""Networks at and on either side of the edge of chaos, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import sparsity_theory as st
from torch_models.reports.palette import BLUE, GREEN, VERMILION

Q_STAR = 1.0


@dataclass(frozen=True)
class Side:
    """One value of chi_1, and how its curves are drawn."""

    chi: float
    name: str
    colour: str
    dashes: str

    @property
    def label(self) -> str:
        """For a legend."""
        return rf"{self.name}, $\chi_1 = {self.chi:g}$"


ORDERED = Side(0.8, "ordered", GREEN, "--")
EDGE = Side(1.0, "edge of chaos", BLUE, "-")
CHAOTIC = Side(1.25, "chaotic", VERMILION, "-.")
SIDES = (ORDERED, EDGE, CHAOTIC)
"""The captions do not say how far from the edge; the claims of this library are at these."""


def at(phi: st.PiecewiseLinear, side: Side) -> st.MeanField | None:
    """The network with this chi_1 at q* = 1; None if sigma_b^2 would have to be negative."""
    mean_square = float(st.MeanField(phi, 1.0).variance_map(Q_STAR))
    sigma_w2 = side.chi / float(st.MeanField(phi, 1.0).chi(Q_STAR))
    if side is EDGE:
        return st.edge_of_chaos(phi, Q_STAR)
    sigma_b2 = Q_STAR - sigma_w2 * mean_square
    return None if sigma_b2 < 0 else st.MeanField(phi, sigma_w2, sigma_b2, Q_STAR)


def missing_note(side: Side) -> str:
    """What a panel says where there is no such network."""
    return rf"$\chi_1 = {side.chi:g}$: no $q^\ast = 1$"
