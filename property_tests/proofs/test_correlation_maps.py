"""Correlation maps and the diagonal, below, on and above the edge of chaos (Sec. 2, App. A)."""

from __future__ import annotations

import pytest
from flint import arb

from property_tests.references.balls import CorrelationMap, with_chi
from property_tests.support.controls import opposite
from property_tests.support.proofs import GRID, above_the_diagonal, bends_upwards, prove
from sparsity_theory.testing.certify import Interval, positive

SPLIT = 1.5
"""The angle that divides correlations near one from those near zero and below."""


@pytest.mark.claim("Sec. 2 correlations", "App. A ordered", evidence="certified")
@pytest.mark.parametrize(
    ("kind", "tau"), [("crelu", (0.0, 2.0)), ("cst", (0.5, 2.0))], ids=["crelu", "cst"]
)
def test_correlation_maps_of_the_clipped_kinds_bend_upwards_near_one(
    kind: str, tau: Interval
) -> None:
    """So R lies above its tangent at one, and R(rho) > rho near one wherever chi_1 <= 1.

    Stated: R(rho) - rho = (1 - chi_1)(1 - rho) + the integral of (r - rho) R''(r) over rho < r < 1.
    And |R'(rho)| < chi_1 for |rho| < 1, because |E[phi'(u_1) phi'(u_2)]| <= E[phi'^2], with
    equality only if phi'(u_1) and phi'(u_2) are equal or opposite almost surely (Cauchy and
    Schwarz): for chi_1 <= 1 and every phi that is not linear, R(rho) - rho falls to zero at one. On
    the edge R'(1) = 1, so 1 - rho shrinks by factors that tend to one, slower than exponentially;
    for chi_1 < 1 it shrinks by chi_1 or more. Computed: R'' > 0 for correlations from 0.56 to one.
    """
    prove(bends_upwards(kind), tau=tau, m=(0.75, 2.0), theta=(0, 0.98))


@pytest.mark.parametrize(
    ("kind", "tau", "m"),
    [
        pytest.param(
            kind,
            tau,
            m,
            marks=pytest.mark.claim(
                name,
                "Sec. 2 correlations",
                "App. A ordered",
                "App. A chaotic",
                evidence="certified",
            ),
            id=f"{name} {tau} {m}",
        )
        for name, kind, grid in (
            ("Fig. 6", "relu", [(tau, None) for tau in (0.25, 0.5, 1.0)]),
            ("Fig. 7", "st", [(tau, None) for tau in (0.25, 0.5, 1.0)]),
            ("Fig. 12", "crelu", GRID),
            ("Fig. 13", "cst", GRID),
        )
        for tau, m in grid
    ],
)
@pytest.mark.control(
    "Sec. 2 correlations",
    "App. A ordered",
    "App. A chaotic",
    "Fig. 6",
    "Fig. 7",
    "Fig. 12",
    "Fig. 13",
    replace="property_tests.references.balls.CorrelationMap.bending",
    by=opposite,
)
def test_correlation_maps_cross_the_diagonal_below_one_in_the_chaotic_phase_only(
    kind: str, tau: float, m: float | None
) -> None:
    """R(rho) - rho over all of -1 <= rho < 1, below, on and above the edge of chaos.

    Computed: R'' > 0 at angles below SPLIT, and R(rho) > rho at those from SPLIT to pi. Stated:
    where R'' > 0, R - rho is convex; it is zero at one, with slope chi_1 - 1. So for chi_1 <= 1 it
    is positive up to one, and for chi_1 > 1, being positive at SPLIT, it has exactly one zero in
    between and is negative beyond: rho = 1 is unstable. (That there is one for every chi_1 > 1
    follows from R(0) q* = sigma_w^2 E[phi]^2 + sigma_b^2 >= 0.) Networks with sigma_b^2 < 0 do not
    exist.
    """
    for chi in (0.8, 1.0, 1.125, 1.25):
        clipped = None if m is None else arb(m)
        net = with_chi(kind, arb(tau), clipped, chi=arb(chi))
        if net.sigma_b2 < 0:
            assert chi > 1
            continue
        correlations = CorrelationMap(net, arb(1))
        prove(lambda theta: positive(correlations.bending(theta)), theta=(0, SPLIT))  # noqa: B023
        prove(above_the_diagonal(correlations), theta=(SPLIT, 3.1415926535897936))
