"""What is wrong is refuted, and what is too close to call is left undecided."""

from __future__ import annotations

from typing import Any

import pytest
from flint import arb

import sparsity_theory as st
from property_tests.references.balls import CorrelationMap, Network, stability_growth, with_chi
from property_tests.references.forms import (
    CURVATURE,
    MASS,
    ONE,
    SLOPE,
    A,
    Form,
    W,
    Z,
    he,
    positive_everywhere,
)
from property_tests.support.proofs import (
    Predicate,
    above_the_diagonal,
    bends_upwards,
    designed,
    fixed_points,
    prove,
    refute,
    the_fixed_points,
    threshold,
    vanishes_and_grows_by,
)
from sparsity_theory.testing.certify import Interval, Undecided, ball, certify, positive


def slope_below_one(net: Network) -> bool | None:
    return positive(1 - net.variance_slope(arb(1)))


def test_twice_the_weight_variance_is_refuted() -> None:
    """On the edge V'(q*) < 1; with 2 sigma_w^2 it is not, and Fig. 4b loses its fixed points."""

    def doubled(net: Network) -> Network:
        return Network(net.kind, net.tau, net.m, 2 * net.sigma_w2, net.sigma_b2)

    box: dict[str, Interval] = {"tau": (0, 1), "m": (2, 2.5)}
    prove(lambda tau, m: slope_below_one(with_chi("crelu", tau, m)), **box)
    refute(lambda tau, m: slope_below_one(doubled(with_chi("crelu", tau, m))), **box)
    assert len(the_fixed_points(doubled(designed("cst", "0.85", "0.9")))) != 3


def test_half_the_weight_variance_is_refuted() -> None:
    """With q* = 1 kept by its sigma_b^2, Fig. 4b has one fixed point in the place of three."""
    net = designed("cst", "0.85", "0.9")
    assert len(the_fixed_points(with_chi("cst", net.tau, net.m, chi=arb(0.5)))) == 1


def test_threshold_and_clip_in_each_others_place_are_refuted() -> None:
    """V'(q*) is 0.9 for tau = 1.4395 and m = 1.5343 (CST at s = 0.85), not the other way round."""

    def nearly(tau: arb, m: arb) -> bool | None:
        slope = with_chi("cst", tau, m).variance_slope(arb(1))
        return positive(1e-3 - abs(slope - arb("0.9")))

    prove(lambda tau, m: nearly(tau, m), tau=(1.4395, 1.4396), m=(1.5342, 1.5343))
    refute(lambda tau, m: nearly(m, tau), tau=(1.4395, 1.4396), m=(1.5342, 1.5343))


@pytest.mark.claim("Misprint Eq. 13", "Misprint Eq. 17", reading="both")
def test_the_gap_with_q_outside_of_the_root_is_refuted() -> None:
    """The printed m / (sqrt(2 pi) q) at q = 2, where m / sqrt(2 pi q) is proved to 1e-3."""

    def gap_is(printed: bool) -> Predicate:
        def near(tau: arb, m: arb, q: arb) -> bool | None:
            net = Network("crelu", tau, m, arb(1), arb(0))
            under = (2 * arb.pi()).sqrt() * q if printed else (2 * arb.pi() * q).sqrt()
            gap = m / under * (-((tau + m) ** 2) / (2 * q)).exp()
            return positive(1e-3 - abs(net.chi(q) - net.variance_slope(q) - gap))

        return near

    box: dict[str, Interval] = {"tau": (0.5, 0.51), "m": (1, 1.01), "q": (2, 2.01)}
    prove(gap_is(printed=False), **box)
    refute(gap_is(printed=True), **box)


@pytest.mark.parametrize(
    ("form", "growth"),
    [
        pytest.param(MASS + Form(density_z=W), Form(density_z=W * Z), id="sign of the gap"),
        pytest.param(SLOPE.times(2 * ONE), Form(density_z=W * Z), id="factor two"),
        pytest.param(CURVATURE, Form(density_z=W * he(3, A) / 2), id="tau for tau + m"),
        pytest.param(MASS + Form(density_a=ONE), Form(density_z=ONE), id="not zero at m = 0"),
    ],
)
def test_a_wrong_closed_form_is_not_the_integral(form: Form, growth: Form) -> None:
    with pytest.raises(AssertionError):
        vanishes_and_grows_by(form, growth)


@pytest.mark.parametrize("polynomial", [W - A, A * W - W, -W, A * W, W * 0])
def test_a_polynomial_that_may_vanish_or_change_sign_is_not_called_positive(
    polynomial: Any,
) -> None:
    """A W vanishes at a = 0."""
    assert not positive_everywhere(polynomial)


def test_the_chaotic_phase_is_not_above_the_diagonal_near_one() -> None:
    net = with_chi("crelu", arb(0.5), arb(1), chi=arb(1.125))
    refute(above_the_diagonal(CorrelationMap(net, arb(1))), theta=(0.125, 0.25))


def test_a_sign_flip_in_the_curvature_of_the_correlation_map_is_refuted() -> None:
    upwards = bends_upwards("crelu")
    box: dict[str, Interval] = {"tau": (0.5, 1), "m": (1, 1.5), "theta": (0, 0.5)}
    prove(upwards, **box)

    def downwards(tau: arb, m: arb, theta: arb) -> bool | None:
        net = with_chi("crelu", tau, m)
        return positive(-CorrelationMap(net, arb(1)).bending(theta))

    refute(downwards, **box)


@pytest.mark.parametrize("budget", [1, 10, 100])
def test_a_budget_too_small_proves_nothing(budget: int) -> None:
    box = {"a": (0.0, 3.0), "w": (0.25, 4.0)}
    verdict = certify(lambda a, w: positive(stability_growth(a, w)), box, budget)
    assert isinstance(verdict, Undecided)
    assert verdict.boxes == budget
    assert fixed_points(designed("cst", "0.85", "0.9"), budget=min(budget, 10)).undecided


def test_a_tangency_is_not_counted() -> None:
    """With m known to 1e-6 only, two fixed points above q* = 1 may have been born, or not."""
    m = st.bifurcation(st.ClippedSoftThreshold, 0.85).m
    tau = threshold("cst", "0.85")
    found = fixed_points(with_chi("cst", tau, ball(m - 1e-6, m + 1e-6)), budget=2000)
    assert len(found.isolated) == 1
    assert found.undecided
    assert all(low > 1 for low, _ in found.undecided)
