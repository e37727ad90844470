"""The unclipped kinds: a convex variance map with one fixed point, of which chi_1 is the slope."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flint import arb

import sparsity_theory as st
from property_tests.references.balls import quantile, tail, with_chi
from property_tests.references.forms import (
    CURVATURE,
    MASS,
    MEAN_SQUARE,
    SLOPE,
    A,
    Form,
    positive_for_positive_a,
)
from property_tests.support.controls import doubled, falling, form_doubled, weights_times
from property_tests.support.proofs import prove, refute, threshold
from sparsity_theory.published.tables import read_tables
from sparsity_theory.testing.certify import every, positive
from sparsity_theory.testing.zeros import isolate_zeros

UNCLIPPED_ROWS = [
    pytest.param(
        row,
        id=f"{table} {row['kind']} {row['s']}",
        marks=pytest.mark.claim(
            f"Table {2 if table == 'table_2' else 5} fixed points", evidence="certified"
        ),
    )
    for table, content in read_tables().items()
    for row in content["rows"]
    if "m" not in row
]
"""Every unclipped row of Tables 2 and 4."""


@pytest.mark.claim("Sec. 2 slope", evidence="certified")
@pytest.mark.control("Sec. 2 slope", replace="SLOPE", by=form_doubled)
def test_without_clip_chi_1_is_the_slope_of_the_variance_map() -> None:
    """Exact, for every tau and q*: the two integrals over the ramp have one limit."""
    assert SLOPE.unclipped() == MASS.unclipped()


@pytest.mark.claim("Sec. 2 convexity", evidence="certified")
@pytest.mark.control("Sec. 2 convexity", replace="CURVATURE", by=form_doubled)
@pytest.mark.parametrize("kind", ["relu", "st"])
def test_without_clip_the_variance_map_is_convex(kind: str) -> None:
    """Exact, for every q: q V'' is a gamma(a) / 2 times a positive factor, zero only at tau = 0.

    And computed, from the network, on a box.
    """
    assert CURVATURE.unclipped() == Form(density_a=A / 2)
    prove(
        lambda tau, q: positive(with_chi(kind, tau).variance_curvature(q)),
        tau=(1 / 16, 3),
        q=(1 / 8, 8),
    )


@pytest.mark.claim("Sec. 2 single fixed point", evidence="certified")
@pytest.mark.control("Sec. 2 single fixed point", replace="with_chi", by=weights_times(0.5))
@pytest.mark.parametrize("kind", ["relu", "st"])
def test_without_clip_q_star_is_the_only_fixed_point(kind: str) -> None:
    """V lies above its tangent at q*, which is the diagonal.

    Stated: a strictly convex function lies above its tangents, so V(q) > q for all q but q*; V is
    strictly convex for tau > 0, and V'(q*) = chi_1 = 1 (both exact, above). Computed, from the
    network: V(q) > q on both sides of q*.
    """
    assert positive_for_positive_a(CURVATURE.unclipped().density_a)
    assert SLOPE.unclipped() == MASS.unclipped()

    def above(tau: arb, q: arb) -> bool | None:
        return positive(with_chi(kind, tau).variance_map(q) - q)

    prove(above, tau=(0.5, 2), q=(1 / 16, 0.7))
    prove(above, tau=(0.5, 2), q=(1.5, 16))


@pytest.mark.parametrize("row", UNCLIPPED_ROWS)
def test_every_unclipped_row_has_one_fixed_point_unless_its_map_is_the_diagonal(
    row: dict[str, Any],
) -> None:
    """Exact: with tau = 0, V is q on the edge; with tau > 0 it is convex, as above."""
    tau = threshold(row["kind"], row["s"])
    if tau.is_zero():
        assert (row["kind"], row["s"]) == ("relu", "0.50")
        assert MEAN_SQUARE.unclipped().without_threshold() == MASS.unclipped().without_threshold()
    else:
        assert tau > 0
        assert positive_for_positive_a(CURVATURE.unclipped().density_a)
        assert SLOPE.unclipped() == MASS.unclipped()


@pytest.mark.claim("App. B growth", evidence="certified")
@pytest.mark.control("App. B growth", replace="with_chi", by=weights_times(0.5))
@pytest.mark.parametrize("kind", ["relu", "st"])
def test_above_one_chi_is_the_least_rate_of_growth_above_q_star_and_below_it_variances_fall(
    kind: str,
) -> None:
    """V'(q*) = chi_1, and V is strictly convex (both exact, above).

    Stated: so V lies above its tangent, V(q) - q* > chi_1 (q - q*); and it meets the diagonal twice
    at most, and does so a second time below q*, since V(0) = sigma_b^2 >= 0; it is below the
    diagonal in between, and meets it with V' = chi < 1. Computed, from the network: the growth on a
    box, and the two fixed points for some tau.
    """
    chi = arb("1.125")

    def growing(tau: arb, q: arb) -> bool | None:
        return positive(with_chi(kind, tau, chi=chi).variance_map(q) - 1 - chi * (q - 1))

    prove(growing, tau=(0.5, 2), q=(1.5, 16))
    for tau in (0.5, 1.0, 2.0):
        net = with_chi(kind, arb(tau), chi=chi)
        assert net.sigma_b2 > 0
        found = isolate_zeros(
            lambda q: net.variance_map(q) - q,  # noqa: B023
            lambda q: net.variance_slope(q) - 1,  # noqa: B023
            1 / 64,
            4,
        )
        lower, upper = found.isolated
        assert found.undecided == ()
        assert 1 in upper
        assert net.chi(lower) < 1


def elu_mean_square(q: arb) -> arb:
    """E[phi^2] of ELU, which is x above zero and exp(x) - 1 below, by completing the square."""
    root = q.sqrt()
    return q / 2 + tail(arb(0)) - 2 * (q / 2).exp() * tail(root) + (2 * q).exp() * tail(2 * root)


@pytest.mark.claim("Footnote 2 ELU", evidence="certified")
@pytest.mark.control("Footnote 2 ELU", replace="elu_mean_square", by=doubled)
def test_the_variance_map_of_elu_without_bias_lies_below_the_diagonal() -> None:
    """For sigma_w^2 <= 1 and every q.

    Stated: |phi(x)| <= |x|, and < for x < 0, so E[phi^2] < q. Computed: the same on a box, and the
    counterexample to the claim without its domain, at sigma_w^2 = 1.1.
    """
    prove(lambda q: positive(q - elu_mean_square(q)), q=(1 / 64, 16))
    refute(lambda q: positive(q - arb("1.1") * elu_mean_square(q)), q=(1e-4, 1e-3))
    elu = st.Activation(
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.exp(np.minimum(x, 0)),
        kinks=[0.0],
    )
    for q in (1 / 64, 1.0, 16.0):
        assert abs(float(st.MeanField(elu, 1.0).variance_map(q)) - elu_mean_square(arb(q))) < 1e-9


@pytest.mark.claim("Fig. 9", evidence="certified")
@pytest.mark.control("Fig. 9", replace="quantile", by=falling)
def test_at_equal_sparsity_st_curves_more_than_relu_and_both_touch_from_above() -> None:
    """At q*, V'' = a h(a) / 2 with the hazard h = gamma / tail, and a is larger for ST.

    Exact: the derivative of a h has the sign of (1 - a^2) tail(a) + a gamma(a), which itself has
    the derivative -2 a tail(a): it falls to its limit zero, so it is positive. Stated: V' is
    tail(a / sqrt(q)) / tail(a), with the logarithmic derivative h(a) - h(a / sqrt(q)) / sqrt(q) in
    a, and h grows: V' grows with a above q* and falls below it, so V of ST lies above that of ReLU.
    Computed, from the networks: V of ST above V of ReLU, and this above q.
    """
    growth = Form(tail_a=1 - A**2, density_a=A)
    assert growth.derivative_a() == Form(tail_a=-2 * A)

    def ordered(s: arb, q: arb) -> bool | None:
        relu = with_chi("relu", quantile(s)).variance_map(q)
        soft = with_chi("st", quantile((1 + s) / 2)).variance_map(q)
        return every(positive(soft - relu), positive(relu - q))

    prove(ordered, s=(0.6, 0.75), q=(1 / 8, 1 / 2))
    prove(ordered, s=(0.6, 0.75), q=(2, 8))
