"""The clipped kinds at their fixed point: gap, slope, curvature, and that the edge exists."""

from __future__ import annotations

import pytest
from flint import arb

import sparsity_theory as st
from property_tests.references.balls import (
    curvature,
    mass,
    stability,
    stability_growth,
    tail,
    with_chi,
)
from property_tests.references.forms import (
    CURVATURE,
    MASS,
    MEAN_SQUARE,
    ONE,
    SLOPE,
    A,
    Form,
    W,
    Z,
    he,
    positive_everywhere,
)
from property_tests.support.controls import form_doubled, opposite, weights_times
from property_tests.support.proofs import CLIPPED, prove, refute, vanishes_and_grows_by
from sparsity_theory.testing.certify import every, positive


@pytest.mark.parametrize(
    ("form", "growth"),
    [
        pytest.param(MASS, Form(density_z=ONE), id="mass"),
        pytest.param(MEAN_SQUARE, Form(tail_z=2 * W), id="mean square"),
        pytest.param(SLOPE, Form(density_z=W * Z), id="slope"),
        pytest.param(CURVATURE, Form(density_z=W * he(3, Z) / 2), id="curvature"),
    ],
)
def test_closed_forms_are_the_integrals_that_define_them(form: Form, growth: Form) -> None:
    """Exact. By the fundamental theorem of calculus; for the integrands see ``balls``."""
    vanishes_and_grows_by(form, growth)


@pytest.mark.claim("Eq. 17", "Eq. 52", "Eq. 18", "Eq. 55", evidence="certified")
@pytest.mark.control("Eq. 17", "Eq. 18", "Eq. 52", "Eq. 55", replace="SLOPE", by=form_doubled)
def test_chi_1_exceeds_the_slope_by_exactly_the_gap() -> None:
    """Exact: E[phi'^2] less ``SLOPE`` is w gamma(a + w), which is positive.

    Times sigma_w^2 this is the gap of Eq. 52, and times 2 sigma_w^2 that of Eq. 55.
    """
    assert Form(density_z=W) == MASS - SLOPE
    assert positive_everywhere(W)


@pytest.mark.claim("Sec. 3 stability", "Eq. 17", "Eq. 18", "Eq. 52", "Eq. 55", evidence="certified")
@pytest.mark.control("Sec. 3 stability", replace="with_chi", by=weights_times(2))
@pytest.mark.parametrize("kind", ["crelu", "cst"])
def test_the_fixed_point_of_the_clipped_kinds_is_stable(kind: str) -> None:
    """0 < V'(q*) < chi_1 = 1.

    Exact: ``SLOPE`` is zero for w = 0 and grows by w (a + w) gamma(a + w) > 0, and it is below
    ``MASS`` by w gamma(a + w) > 0. Computed, from the network, on a box.
    """
    vanishes_and_grows_by(SLOPE, Form(density_z=W * Z))
    assert positive_everywhere(W * Z)
    assert Form(density_z=W) == MASS - SLOPE

    def stable(tau: arb, m: arb) -> bool | None:
        net = with_chi(kind, tau, m)
        return every(
            positive(net.variance_slope(arb(1))),
            positive(1 - net.variance_slope(arb(1))),
        )

    prove(stable, tau=(0, 1.5), m=(0.5, 2))


@pytest.mark.claim("Sec. 3 stability", evidence="certified")
def test_with_a_negative_threshold_the_fixed_point_is_stable_wherever_there_is_an_edge() -> None:
    """-1/2 <= V'(q*) < 1 for every a.

    Exact: 2 SLOPE + MEAN_SQUARE is zero for w = 0 and grows by 2 w (P(Z > z) + z gamma(z)), and the
    gap of Eq. 52 is positive. Stated: what stands after 2 w is E[Z^2; Z > z] (Eq. 36), so it is
    positive for every a, and SLOPE > -MEAN_SQUARE / 2; and sigma_b^2 >= 0 asks for MEAN_SQUARE <=
    MASS, so V' = SLOPE / MASS >= -1/2. (2 SLOPE is E[phi^2 (Z^2 - 1)]: this holds for every
    activation.) Computed, on boxes: the bound, and that without an edge it does not hold.
    """
    vanishes_and_grows_by(SLOPE + SLOPE + MEAN_SQUARE, Form(tail_z=2 * W, density_z=2 * W * Z))
    assert Form(density_z=W) == MASS - SLOPE
    prove(lambda a, w: positive(0.5 + stability(a, w)), a=(-2, -0.5), w=(1 / 16, 1 / 4))
    refute(lambda a, w: positive(1 + stability(a, w)), a=(-3.1, -2.9), w=(2.9, 3.1))


@pytest.mark.claim("Fig. 3 slope", evidence="certified")
@pytest.mark.control("Fig. 3 slope", replace="stability_growth", by=opposite)
def test_the_slope_at_the_fixed_point_grows_with_the_clip_and_tends_to_one() -> None:
    """V'(q*) = SLOPE / MASS, whose derivative is gamma(z) F / MASS^2 with F = w z MASS - SLOPE.

    Exact: F is zero for w = 0 and grows by (a + 2w) MASS > 0. Stated: 1 - V' = w gamma(z) / MASS,
    and MASS >= exp(-aw - a^2 / 2) times its value for a = 0, so 1 - V' is largest for a = 0, where
    MASS tends to 1/2 and w gamma(w) to zero. Computed: the sign of the derivative on a box, and
    how close to one.
    """
    vanishes_and_grows_by(MASS.times(W * Z) - SLOPE, MASS.times(A + 2 * W))
    assert positive_everywhere(A + 2 * W)
    prove(lambda a, w: positive(stability_growth(a, w)), a=(0, 3), w=(1 / 4, 4))
    assert 1 - stability(arb(0), arb(8)) < 1e-12


@pytest.mark.claim("Fig. 3 slope", evidence="certified")
def test_with_a_negative_threshold_the_slope_first_falls_below_zero() -> None:
    """Exact: with a < 0, F (above) starts at zero and falls as long as w < -a / 2, and V' with it.

    Computed: so it does around tau = -1, where the claim without its domain is refuted.
    """
    refute(lambda a, w: positive(stability_growth(a, w)), a=(-1.1, -0.9), w=(0.1, 0.2))
    prove(lambda a, w: positive(-stability(a, w)), a=(-1.1, -0.9), w=(0.4, 0.6))


@pytest.mark.claim("Fig. 3 curvature", evidence="certified")
@pytest.mark.control("Fig. 3 curvature", replace="curvature", by=opposite)
def test_the_curvature_falls_below_zero_once_and_then_rises() -> None:
    """V''(q*) = CURVATURE / MASS for q* = 1, whose derivative is gamma(z) N / MASS^2.

    Exact: N = w He_3(z) MASS / 2 - CURVATURE is zero for w = 0, and its derivative is MASS / 2
    times the cubic 4 w^3 + 9 a w^2 + 6 (a^2 - 1) w + a (a^2 - 3). Stated (Descartes): for 0 <= a <
    sqrt(3) its coefficients change sign once, so it has one positive root, up to which N falls and
    beyond which N rises without bound: V'' falls from zero to its only minimum and rises from
    there. For a >= sqrt(3) no coefficient is negative: V'' rises from zero for every m.
    Computed, on boxes: V'' below zero, falling and rising, and V'' positive beyond the domain.
    """
    numerator = MASS.times(W * he(3, Z) / 2) - CURVATURE
    cubic = 4 * W**3 + 9 * A * W**2 + 6 * (A**2 - 1) * W + A * (A**2 - 3)
    vanishes_and_grows_by(numerator, MASS.times(cubic / 2))

    def growth(a: arb, w: arb) -> arb:
        return w * ((a + w) ** 3 - 3 * (a + w)) * mass(a, w) / 2 - curvature(a, w)

    prove(lambda a, w: positive(-curvature(a, w)), a=(0, 1.25), w=(0.25, 0.5))
    prove(lambda a, w: positive(-growth(a, w)), a=(0, 1.25), w=(0.25, 0.375))
    prove(lambda a, w: positive(growth(a, w)), a=(0, 1.73), w=(2, 4))
    prove(lambda a, w: positive(curvature(a, w)), a=(1.7321, 3), w=(0.25, 3))


@pytest.mark.claim("Fig. 3 curvature", evidence="certified")
def test_beyond_the_square_root_of_three_the_curvature_is_never_negative() -> None:
    """Computed: the counterexample to the unlimited claim, and the sparsities at sqrt(3)."""
    refute(lambda a, w: positive(-curvature(a, w)), a=(1.74, 3), w=(0.25, 0.5))
    end = tail(arb(3).sqrt())
    assert abs(1 - end - arb("0.9584")) < 5e-5
    assert abs(1 - 2 * end - arb("0.9167")) < 5e-5


@pytest.mark.claim("App. A existence", evidence="certified")
@pytest.mark.control("App. A existence", replace="MEAN_SQUARE", by=form_doubled)
@pytest.mark.parametrize("kind", ["crelu", "cst"])
def test_the_edge_of_chaos_exists_for_every_threshold_from_zero_up(kind: str) -> None:
    """On the edge, sigma_b^2 = D / MASS for q* = 1, with D = MASS - MEAN_SQUARE.

    Exact: D is zero for w = 0 and D' = gamma(z) - 2 w tail(z), where (D' / w)' is gamma(z) times
    (w^2 - a w - 1) / w^2; the limit of D as w grows is a B, B = gamma(a) - a tail(a), and B' is
    -tail(a). Stated: so D' / w falls from infinity until w^2 = a w + 1 and then rises to zero: it
    changes sign once, and D rises from zero and then falls to a B; and B falls to zero, so it is
    positive. So D > 0 for every m, and without clip sigma_b^2 = 0 only for tau = 0. Computed, from
    the network, on a box.
    """
    room = MASS - MEAN_SQUARE
    growth = Form(density_z=ONE, tail_z=-2 * W)
    vanishes_and_grows_by(room, growth)
    assert growth.derivative_w().times(W) - growth == Form(density_z=W**2 - A * W - 1)
    limit = Form(density_a=ONE, tail_a=-A)
    assert room.unclipped() == limit.times(A)
    assert limit.derivative_a() == Form(tail_a=-ONE)
    prove(lambda tau, m: positive(with_chi(kind, tau, m).sigma_b2), tau=(0, 3), m=(1 / 8, 2.5))


@pytest.mark.claim("App. A existence", evidence="certified")
def test_a_relu_with_a_negative_threshold_has_no_edge_of_chaos() -> None:
    """Exact: without clip sigma_b^2 is a B / tail(a) with B > 0 (above). Computed on a box."""
    prove(lambda tau: positive(-with_chi("relu", tau).sigma_b2), tau=(-2, -1 / 64))
    refute(lambda tau: positive(with_chi("relu", tau).sigma_b2), tau=(-1, 1))


@pytest.mark.claim("App. A existence", evidence="certified")
def test_a_clipped_relu_with_a_negative_threshold_has_an_edge_of_chaos_up_to_one_clip_only() -> (
    None
):
    """Exact, as above: (D' / w)' has the sign of w^2 - a w - 1, and D tends to a B < 0 for a < 0.

    Stated: so D rises from zero and then falls below it, once. Computed, from the network: an edge
    for small clips, and none for large ones.
    """
    limit = Form(density_a=ONE, tail_a=-A)
    assert (MASS - MEAN_SQUARE).unclipped() == limit.times(A)

    def exists(tau: arb, m: arb) -> bool | None:
        return positive(with_chi("crelu", tau, m).sigma_b2)

    def does_not(tau: arb, m: arb) -> bool | None:
        return positive(-with_chi("crelu", tau, m).sigma_b2)

    prove(exists, tau=(-1.1, -0.9), m=(1 / 16, 1 / 4))
    prove(does_not, tau=(-1.1, -0.9), m=(0.75, 4))
    refute(exists, tau=(-1.1, -0.9), m=(1 / 16, 4))
    assert float(st.edge_of_chaos(st.ClippedReLU(-1.0, 0.25)).sigma_b2) > 0
    with pytest.raises(ValueError, match=r"sigma_b\^2 would be -0\.652"):
        st.edge_of_chaos(st.ClippedReLU(-1.0, 0.8))


@pytest.mark.claim("App. D growth", evidence="certified")
@pytest.mark.control("App. D growth", replace="with_chi", by=weights_times(0.25))
@pytest.mark.parametrize("kind", ["relu", "st", "crelu", "cst"])
def test_weights_of_the_edge_of_chaos_would_grow_the_variance_of_a_dense_input(kind: str) -> None:
    """sigma_w^2 q* + sigma_b^2 > q*.

    Exact: MASS is below its limit without clip by P(Z > z). Stated: that limit, P(Z > a), is at
    most 1/2, so sigma_w^2 >= 1, with equality for the identity only; and sigma_b^2 >= 0 (above).
    Computed, from the network, on a box.
    """
    assert MASS.unclipped() - MASS == Form(tail_z=ONE)

    def grown(tau: arb, m: arb) -> bool | None:
        net = with_chi(kind, tau, m if kind in CLIPPED else None)
        return positive(net.sigma_w2 + net.sigma_b2 - 1)

    prove(grown, tau=(1 / 16, 2), m=(0.5, 2))
