"""All fixed points of the clipped variance maps (Sec. 3.1, Figs. 4, 10, 11, Tables 2, 4 and 5)."""

from __future__ import annotations

from typing import Any

import pytest
from flint import arb

import sparsity_theory as st
from property_tests.references.balls import density, mass, mean_square, tail, with_chi
from property_tests.support.controls import weights_times
from property_tests.support.proofs import (
    CLIPPED,
    GRID,
    born_above,
    designed,
    prove,
    the_fixed_points,
    threshold,
)
from sparsity_theory.published.tables import read_tables
from sparsity_theory.testing.certify import positive

ROWS = [
    pytest.param(
        row,
        id=f"{table} {row['kind']} {row['s']} {row['slope']}",
        marks=pytest.mark.claim(f"Table {table[-1]} fixed points", evidence="certified"),
    )
    for table, content in read_tables().items()
    for row in content["rows"]
    if "m" in row
]
"""Every clipped row of Tables 2 and 5."""

THREE = {("cst", "0.80"), ("cst", "0.85"), ("crelu", "0.90"), ("cst", "0.90")}
"""Kinds and sparsities of the tables at which the slope 0.9 comes with three fixed points."""


@pytest.mark.claim("Sec. 3.1 bifurcation", evidence="certified")
@pytest.mark.control(
    "Sec. 3.1 bifurcation",
    "Table 2 fixed points",
    "Table 5 fixed points",
    replace="with_chi",
    by=weights_times(0.5),
)
@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_tables_has_one_fixed_point_or_three(row: dict[str, Any]) -> None:
    """Computed, over all q > 0: at the tau and m for the row's s and V'(q*), and at the printed."""
    exact = designed(row["kind"], row["s"], row["slope"])
    as_printed = with_chi(row["kind"], arb(row["tau"]), arb(row["m"]))
    for net in (exact, as_printed):
        points = the_fixed_points(net)
        if row["slope"] == "0.9" and (row["kind"], row["s"]) in THREE:
            born_above(points, net)
        else:
            (point,) = points
            assert 1 in point


@pytest.mark.claim("Fig. 4a", evidence="certified")
@pytest.mark.control(
    "Fig. 4a", replace="property_tests.support.proofs.with_chi", by=weights_times(0.5)
)
def test_crelu_at_85_percent_and_slope_0_9_has_one_fixed_point_and_v_stays_near_q() -> None:
    """Computed; V is within four percent of q from q = 0.8 to 1.4."""
    net = designed("crelu", "0.85", "0.9")
    (point,) = the_fixed_points(net)
    assert 1 in point

    def near(q: arb) -> bool | None:
        return positive(arb("0.04") - abs(net.variance_map(q) / q - 1))

    prove(near, q=(0.8, 1.4))
    prove(lambda q: positive(net.chi(q) - 1), q=(1.01, 1.4))


@pytest.mark.claim("Fig. 4b", evidence="certified")
@pytest.mark.control(
    "Fig. 4b", replace="property_tests.support.proofs.with_chi", by=weights_times(0.5)
)
def test_cst_at_85_percent_and_slope_0_9_has_three_fixed_points() -> None:
    """Computed; chi is above two at the upper one. At slope 0.8 there is one."""
    net = designed("cst", "0.85", "0.9")
    points = the_fixed_points(net)
    born_above(points, net)
    assert net.chi(points[2]) > 2
    assert len(the_fixed_points(designed("cst", "0.85", "0.8"))) == 1


@pytest.mark.claim("Sec. 3.1 bifurcation", evidence="certified")
@pytest.mark.parametrize("tau", [0.25, 1.0, 2.0])
def test_above_the_fixed_point_the_variance_map_grows_with_the_clip(tau: float) -> None:
    """So for every tau > 0 there is one m at which new fixed points are born, and none at tau = 0.

    Take q* = 1, c = tau + m, and K(m) = E[phi^2 of variance q] - E[phi^2 of variance 1], so that
    V(q) - q = K / MASS - (q - 1) on the edge. Stated:

    - dK/dm = 2 m (tail(c / sqrt(q)) - tail(c)) and dMASS/dm = gamma(c). For q > 1 their quotient
      is the integral over 1 < u < q of m c u^(-3/2) exp(c^2 (1 - 1/u) / 2), which grows with m; so
      K / MASS, both zero at m = 0, grows with m (monotone form of l'Hopital's rule).
    - For q < 1, with u = 1 / (1 + 2v / c^2), the same quotient of -K and MASS is 2m / c times the
      integral over 0 < v < c^2 (1/q - 1) / 2 of exp(-v) / sqrt(1 + 2v / c^2), which grows with m as
      well; so -K / MASS stays below its limit, at most 1 - q by convexity: V > q below q*.
    - Without clip V(q) > q above q* for tau > 0, so large clips cross the diagonal, and with
      V <= ``highest`` they cross it back. For tau = 0, V is the diagonal without clip, and below it
      above q* with any.
    - V'' as a function of y = 1/q has the sign of tau (exp(k y) - 1) - m c^2 y with k = m (2 tau +
      m) / 2, which is convex, zero at y = 0 and falls there: V is convex up to some q (tau > 0) and
      then concave, so it meets the diagonal three times at most.
    - At the middle one V' > 1, so chi > 1. chi(q) rises and then falls, from chi(q*) = 1 back to
      one at some q_1 beyond. The network with the same sigma_w^2 that is on the edge at q_1 has no
      fixed point below, so it is above the diagonal at q*; that is, V(q_1) < q_1: the upper fixed
      point lies between, and chi > 1 there.

    Computed: the sign of the derivative of K / MASS in m, on boxes on both sides of q*.
    """

    def growth(m: arb, q: arb) -> arb:
        c = tau + m
        risen = q * mean_square(tau / q.sqrt(), m / q.sqrt()) - mean_square(arb(tau), m)
        moved = 2 * m * (tail(c / q.sqrt()) - tail(c))
        return moved * mass(arb(tau), m) - risen * density(c)

    prove(lambda m, q: positive(growth(m, q)), m=(1, 3), q=(1.5, 8))
    prove(lambda m, q: positive(-growth(m, q)), m=(1, 2), q=(1 / 4, 1 / 2))


@pytest.mark.claim("Sec. 3.1 bifurcation", evidence="certified")
@pytest.mark.parametrize(
    ("kind", "s"),
    [("crelu", "0.7"), ("crelu", "0.85"), ("crelu", "0.95"), ("cst", "0.5"), ("cst", "0.85")],
)
def test_new_fixed_points_are_born_at_the_clip_that_the_library_finds(kind: str, s: str) -> None:
    """Computed: one fixed point for a clip smaller by a millionth, three for a larger one."""
    tau = threshold(kind, s)
    born = arb(st.bifurcation(CLIPPED[kind], float(s)).m)
    before = with_chi(kind, tau, born * (1 - arb("1e-6")))
    after = with_chi(kind, tau, born * (1 + arb("1e-6")))
    (point,) = the_fixed_points(before)
    assert 1 in point
    born_above(the_fixed_points(after), after)


@pytest.mark.parametrize(
    ("kind", "tau", "m"),
    [
        pytest.param(
            kind,
            tau,
            m,
            marks=pytest.mark.claim(name, evidence="certified"),
            id=f"{name} {tau} {m}",
        )
        for name, kind in (("Fig. 10", "crelu"), ("Fig. 11", "cst"))
        for tau, m in GRID
    ],
)
@pytest.mark.control("Fig. 10", "Fig. 11", replace="with_chi", by=weights_times(0.5))
def test_clipped_variance_maps_are_bounded_and_cross_the_diagonal_with_slope_below_one(
    kind: str, tau: float, m: float
) -> None:
    """Computed: all fixed points, on the edge and on either side of it; V < ``highest`` is stated.

    In the ordered phase, chi_1 = 0.8, q* is the only one; in the chaotic phase, chi_1 = 1.25, there
    may be others on either side, and where sigma_b^2 < 0 there is no network with that q*.
    """
    edge = with_chi(kind, arb(tau), arb(m))
    points = the_fixed_points(edge)
    if (tau, m) == (1, 2):
        born_above(points, edge)
    else:
        (point,) = points
        assert 1 in point
        assert 0 <= edge.variance_slope(arb(1)) < 1
    (point,) = the_fixed_points(with_chi(kind, arb(tau), arb(m), chi=arb(0.8)))
    assert 1 in point
    chaotic = with_chi(kind, arb(tau), arb(m), chi=arb(1.25))
    if not chaotic.sigma_b2 < 0:
        assert sum(1 in point for point in the_fixed_points(chaotic)) == 1
