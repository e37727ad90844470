"""Claims that are proved: at every point of a box, or of an unbounded domain.

Three kinds of step occur, and each docstring says which:

exact     identities and signs of ``Form``s, in integer arithmetic, for all a >= 0 and w > 0
computed  signs of balls on every box that ``certify`` or ``isolate_zeros`` met
stated    an inequality or a theorem that is named, or argued in the docstring, and not computed

Everything is homogeneous: with a = tau / sqrt(q*) and w = m / sqrt(q*), q* may be taken as 1. On
the edge of chaos sigma_w^2 times the number of sides of phi is 1 / ``MASS``, so CReLU and CST with
equal tau and m have one V between them, as have ReLU_tau and ST_tau.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flint import arb

import sparsity_theory as st
from property_tests.balls import (
    ONE_SIDED,
    CorrelationMap,
    Network,
    curvature,
    density,
    mass,
    mean_square,
    quantile,
    stability,
    stability_growth,
    tail,
    with_chi,
)
from property_tests.gaussian_forms import (
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
    positive_for_positive_a,
)
from sparsity_theory.published.tables import read_tables
from sparsity_theory.testing.certify import (
    Interval,
    Proved,
    Refuted,
    Undecided,
    ball,
    certify,
    every,
    positive,
)
from sparsity_theory.testing.zeros import Zeros, isolate_zeros

Predicate = Callable[..., bool | None]

ROWS = [
    pytest.param(
        row,
        id=f"{table} {row['kind']} {row['s']} {row['slope']}",
        marks=pytest.mark.claim(f"Table {table[-1]} fixed points", judge="certified"),
    )
    for table, content in read_tables().items()
    for row in content["rows"]
    if "m" in row
]
"""Every clipped row of Tables 2 and 5."""

UNCLIPPED_ROWS = [
    pytest.param(
        row,
        id=f"{table} {row['kind']} {row['s']}",
        marks=pytest.mark.claim(
            f"Table {2 if table == 'table_2' else 5} fixed points", judge="certified"
        ),
    )
    for table, content in read_tables().items()
    for row in content["rows"]
    if "m" not in row
]
"""Every unclipped row of Tables 2 and 4."""

CLIPPED: dict[str, type[st.ClippedReLU] | type[st.ClippedSoftThreshold]] = {
    "crelu": st.ClippedReLU,
    "cst": st.ClippedSoftThreshold,
}

GRID = [(tau, m) for tau in (0.0, 0.25, 0.5, 1.0) for m in (1.0, 1.5, 2.0)]
"""The panels of Figs. 10 to 13."""


def prove(predicate: Predicate, **box: Interval) -> None:
    verdict = certify(predicate, box)
    assert isinstance(verdict, Proved), f"{verdict!s:.1000}"


def refute(predicate: Predicate, **box: Interval) -> None:
    verdict = certify(predicate, box)
    assert isinstance(verdict, Refuted), f"{verdict!s:.1000}"


def vanishes_and_grows_by(form: Form, growth: Form) -> None:
    """Assert, exactly, that a form is zero for w = 0 and has the derivative ``growth`` in w."""
    assert form.without_ramp() == Form()
    assert form.derivative_w() == growth


def threshold(kind: str, s: str | arb) -> arb:
    """The tau that gives sparsity s at q* = 1 (Eqs. 57 and 58)."""
    s = arb(s)
    return quantile(s if kind in ONE_SIDED else (1 + s) / 2)


def clip(tau: arb, slope: str) -> arb:
    """The m at which V'(q*) = slope on the edge of chaos, q* = 1.

    It is the only one, because V'(q*) grows with m (exact, below).
    """
    wanted = arb(slope)
    zeros = isolate_zeros(
        lambda m: stability(tau, m) - wanted, lambda m: stability_growth(tau, m), 1 / 16, 16
    )
    (m,) = zeros.isolated
    return m


def designed(kind: str, s: str, slope: str) -> Network:
    """The network of a row of Table 2: on the edge of chaos with q* = 1."""
    tau = threshold(kind, s)
    return with_chi(kind, tau, clip(tau, slope))


def fixed_points(net: Network, **budget: int) -> Zeros:
    """All fixed points q > 0 of a clipped network with sigma_b^2 > 0.

    There are none at q <= sigma_b^2 < V, and none at q >= ``highest`` > V, since phi^2 <= m^2 and
    is not zero on at most half of the line for each side (stated). Computed in between.
    """
    assert net.sigma_b2 > 0
    return isolate_zeros(
        lambda q: net.variance_map(q) - q,
        lambda q: net.variance_slope(q) - 1,
        math.nextafter(float(net.sigma_b2.lower()), 0),
        math.nextafter(float(net.highest().upper()), math.inf),
        **budget,
    )


def the_fixed_points(net: Network) -> tuple[arb, ...]:
    """The same, when none is left undecided."""
    found = fixed_points(net)
    assert found.undecided == ()
    return found.isolated


def born_above(points: tuple[arb, ...], net: Network) -> None:
    """Assert three fixed points: q* = 1, an unstable one, and a stable one with chi > 1."""
    q_star, middle, upper = points
    assert 1 in q_star
    assert middle > 1
    assert 0 <= net.variance_slope(q_star) < 1
    assert net.variance_slope(middle) > 1
    assert 0 <= net.variance_slope(upper) < 1
    assert net.chi(upper) > 1


# ---------------------------------------------------------------- forms and definitions


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


# ---------------------------------------------------------------- unclipped


@pytest.mark.claim("Sec. 2 slope", judge="certified")
def test_without_clip_chi_1_is_the_slope_of_the_variance_map() -> None:
    """Exact, for every tau and q*: the two integrals over the ramp have one limit."""
    assert SLOPE.unclipped() == MASS.unclipped()


@pytest.mark.claim("Sec. 2 convexity", judge="certified")
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


@pytest.mark.claim("Sec. 2 single fixed point", judge="certified")
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


@pytest.mark.claim("App. B growth", judge="certified")
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


@pytest.mark.claim("Footnote 2 ELU", judge="certified")
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


@pytest.mark.claim("Fig. 9", judge="certified")
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


# ---------------------------------------------------------------- clipped, at the fixed point


@pytest.mark.claim("Eq. 17", "Eq. 52", "Eq. 18", "Eq. 55", judge="certified")
def test_chi_1_exceeds_the_slope_by_exactly_the_gap() -> None:
    """Exact: E[phi'^2] less ``SLOPE`` is w gamma(a + w), which is positive.

    Times sigma_w^2 this is the gap of Eq. 52, and times 2 sigma_w^2 that of Eq. 55.
    """
    assert Form(density_z=W) == MASS - SLOPE
    assert positive_everywhere(W)


@pytest.mark.claim("Sec. 3 stability", "Eq. 17", "Eq. 18", "Eq. 52", "Eq. 55", judge="certified")
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


@pytest.mark.claim("Sec. 3 stability", judge="certified")
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


@pytest.mark.claim("Fig. 3 slope", judge="certified")
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


@pytest.mark.claim("Fig. 3 slope", judge="certified")
def test_with_a_negative_threshold_the_slope_first_falls_below_zero() -> None:
    """Exact: with a < 0, F (above) starts at zero and falls as long as w < -a / 2, and V' with it.

    Computed: so it does around tau = -1, where the claim without its domain is refuted.
    """
    refute(lambda a, w: positive(stability_growth(a, w)), a=(-1.1, -0.9), w=(0.1, 0.2))
    prove(lambda a, w: positive(-stability(a, w)), a=(-1.1, -0.9), w=(0.4, 0.6))


@pytest.mark.claim("Fig. 3 curvature", judge="certified")
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


@pytest.mark.claim("Fig. 3 curvature", judge="certified")
def test_beyond_the_square_root_of_three_the_curvature_is_never_negative() -> None:
    """Computed: the counterexample to the unlimited claim, and the sparsities at sqrt(3)."""
    refute(lambda a, w: positive(-curvature(a, w)), a=(1.74, 3), w=(0.25, 0.5))
    end = tail(arb(3).sqrt())
    assert abs(1 - end - arb("0.9584")) < 5e-5
    assert abs(1 - 2 * end - arb("0.9167")) < 5e-5


@pytest.mark.claim("App. A existence", judge="certified")
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


@pytest.mark.claim("App. A existence", judge="certified")
def test_a_relu_with_a_negative_threshold_has_no_edge_of_chaos() -> None:
    """Exact: without clip sigma_b^2 is a B / tail(a) with B > 0 (above). Computed on a box."""
    prove(lambda tau: positive(-with_chi("relu", tau).sigma_b2), tau=(-2, -1 / 64))
    refute(lambda tau: positive(with_chi("relu", tau).sigma_b2), tau=(-1, 1))


@pytest.mark.claim("App. A existence", judge="certified")
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


@pytest.mark.claim("App. D growth", judge="certified")
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


# ---------------------------------------------------------------- clipped, all fixed points

THREE = {("cst", "0.80"), ("cst", "0.85"), ("crelu", "0.90"), ("cst", "0.90")}
"""Kinds and sparsities of the tables at which the slope 0.9 comes with three fixed points."""


@pytest.mark.claim("Sec. 3.1 bifurcation", judge="certified")
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


@pytest.mark.claim("Fig. 4a", judge="certified")
def test_crelu_at_85_percent_and_slope_0_9_has_one_fixed_point_and_v_stays_near_q() -> None:
    """Computed; V is within four percent of q from q = 0.8 to 1.4."""
    net = designed("crelu", "0.85", "0.9")
    (point,) = the_fixed_points(net)
    assert 1 in point

    def near(q: arb) -> bool | None:
        return positive(arb("0.04") - abs(net.variance_map(q) / q - 1))

    prove(near, q=(0.8, 1.4))
    prove(lambda q: positive(net.chi(q) - 1), q=(1.01, 1.4))


@pytest.mark.claim("Fig. 4b", judge="certified")
def test_cst_at_85_percent_and_slope_0_9_has_three_fixed_points() -> None:
    """Computed; chi is above two at the upper one. At slope 0.8 there is one."""
    net = designed("cst", "0.85", "0.9")
    points = the_fixed_points(net)
    born_above(points, net)
    assert net.chi(points[2]) > 2
    assert len(the_fixed_points(designed("cst", "0.85", "0.8"))) == 1


@pytest.mark.claim("Sec. 3.1 bifurcation", judge="certified")
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


@pytest.mark.claim("Sec. 3.1 bifurcation", judge="certified")
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
            kind, tau, m, marks=pytest.mark.claim(name, judge="certified"), id=f"{name} {tau} {m}"
        )
        for name, kind in (("Fig. 10", "crelu"), ("Fig. 11", "cst"))
        for tau, m in GRID
    ],
)
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


# ---------------------------------------------------------------- correlation maps

SPLIT = 1.5
"""The angle that divides correlations near one from those near zero and below."""


def bends_upwards(kind: str) -> Predicate:
    """R'' > 0 at the angle theta."""
    return lambda tau, m, theta: positive(
        CorrelationMap(with_chi(kind, tau, m), arb(1)).bending(theta)
    )


def above_the_diagonal(correlations: CorrelationMap) -> Predicate:
    """R(cos theta) > cos theta, by the mean-value form, with a mean-value form for R' in it."""

    def above(theta: arb) -> bool | None:
        middle = theta.mid()
        slope = correlations.slope(middle) - correlations.bending(theta) * (theta - middle)
        rise = (slope - 1) * (theta.cos() - middle.cos())
        return positive(correlations.value(middle) - middle.cos() + rise)

    return above


@pytest.mark.claim("Sec. 2 correlations", "App. A ordered", judge="certified")
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
                name, "Sec. 2 correlations", "App. A ordered", "App. A chaotic", judge="certified"
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


# ---------------------------------------------------------------- what is wrong is refuted


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


@pytest.mark.claim("Misprint Eq. 13", "Misprint Eq. 17", half="both")
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
