"""Sparsity, tau, m, sigma_w^2 and sigma_b^2 on the edge of chaos.

Eqs. 11, 12, 15-18, 39, 42, 51-63, Figs. 3 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references import paper
from property_tests.references.definitions import Number, mp, normal_cdf, of_kind
from property_tests.support.agreement import agree, printed
from property_tests.support.controls import complement, doubled, threshold_moved, weights_times
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    ODD,
    ONE_SIDED,
    UNCLIPPED,
    Generic,
    Point,
    activation_for,
    edges,
    generic_points,
    points,
    slopes,
    sparsities,
    variances,
)
from sparsity_theory.activations.design import (
    clip_for_slope,
    one_sided_threshold,
    two_sided_threshold,
)

ULPS = 16 * 2.0**-52
"""Tolerance for closed forms, as in the tests of the variance map."""

EXACT = 1e-25
"""Tolerance for formulas against definitions, both in 50 digits or more."""

# ---------------------------------------------------------------- sparsity and tau


@pytest.mark.claim("Eq. 12", "Eq. 56")
@pytest.mark.control(
    "Eq. 12", "Eq. 56", replace="sparsity_theory.PiecewiseLinear.sparsity", by=complement
)
@given(point=points())
def test_expected_sparsity_is_the_normal_mass_of_the_zero_set(point: Point) -> None:
    mass = point.function.mass_of_zeros(point.q)
    agree("sparsity", point.activation.sparsity(point.q), mass, ULPS, point=point)


@pytest.mark.parametrize(
    ("kinds", "formula"),
    [
        pytest.param(ONE_SIDED, paper.eq_57, marks=pytest.mark.claim("Eq. 57"), id="one-sided"),
        pytest.param(ODD, paper.eq_58, marks=pytest.mark.claim("Eq. 58"), id="odd"),
    ],
)
@pytest.mark.control(
    "Eq. 57", replace="sparsity_theory.activations.thresholded.one_sided_threshold", by=doubled
)
@pytest.mark.control(
    "Eq. 58", replace="sparsity_theory.activations.thresholded.two_sided_threshold", by=doubled
)
@given(data=hyp.data())
def test_tau_for_a_sparsity_is_the_quantile_and_gives_the_sparsity_back(
    kinds: tuple[str, ...], formula: Callable[[float, float], Number], data: hyp.DataObject
) -> None:
    """The round trip s -> tau -> s, with 1 - s kept to the digits that a rounded tau leaves it.

    A relative change of tau by one ulp changes 1 - s by tau^2 ulps; tau is good to 8 ulps.
    """
    kind = data.draw(hyp.sampled_from(kinds))
    s, q_star = data.draw(sparsities(kind)), data.draw(variances())
    activation = activation_for(kind, s, data.draw(hyp.floats(0.1, 0.9)), q_star)
    tau = formula(s, q_star)
    agree("tau", activation.tau, tau, ULPS, s=s, q_star=q_star)
    a = float(tau / mp.sqrt(q_star))
    zeros = activation.sparsity(q_star)
    agree("s", zeros, s, (1 + a * a) * ULPS, scale=min(mp.mpf(s), 1 - mp.mpf(s)) + 2**-52, s=s)
    # the smallest tau: any smaller one is less sparse
    assume(a > 1e-6)
    m = float(activation.m) if kind in CLIPPED else None
    smaller = of_kind(kind, float(activation.tau) * (1 - 1e-9), m)
    assert smaller.mass_of_zeros(q_star) < s


# ---------------------------------------------------------------- chi_1


CHI_FORMULAS: list[tuple[str, str, Callable[[Point, float], Number]]] = [
    ("Eq. 39", "relu", lambda p, w2: paper.eq_39(p.q, p.tau, w2)),
    ("Eq. 42", "st", lambda p, w2: paper.eq_42(p.q, p.tau, w2)),
    ("Eq. 15", "crelu", lambda p, w2: paper.eq_15(p.q, p.tau, p.m, w2)),
    ("Eq. 51", "crelu", lambda p, w2: w2 * _mass(p)),
    ("Eq. 16", "cst", lambda p, w2: 2 * paper.eq_15(p.q, p.tau, p.m, w2)),
    ("Eq. 54", "cst", lambda p, w2: 2 * w2 * _mass(p)),
]


def _mass(point: Point) -> Number:
    """Phi((tau + m) / sqrt q) - Phi(tau / sqrt q), as written, in 300 digits."""
    with mp.workdps(300):
        root, tau = mp.sqrt(point.q), mp.mpf(point.tau)
        return normal_cdf((tau + mp.mpf(point.m)) / root) - normal_cdf(tau / root)


@pytest.mark.claim("Eq. 11")
@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        pytest.param(kind, formula, marks=pytest.mark.claim(name), id=name)
        for name, kind, formula in CHI_FORMULAS
    ],
)
@pytest.mark.control("Eq. 39", replace="paper.eq_39", by=doubled)
@pytest.mark.control("Eq. 42", replace="paper.eq_42", by=doubled)
@pytest.mark.control("Eq. 15", "Eq. 16", replace="paper.eq_15", by=doubled)
@pytest.mark.control("Eq. 51", "Eq. 54", replace="_mass", by=complement)
@given(data=hyp.data())
def test_chi_is_the_weights_variance_times_the_mass_between_the_kinks(
    kind: str, formula: Callable[[Point, float], Number], data: hyp.DataObject
) -> None:
    point = data.draw(points([kind]))
    sigma_w2 = 1.75
    chi = formula(point, sigma_w2)
    by_definition = sigma_w2 * point.function.mean_square_derivative(point.q)
    agree("the formula", chi, by_definition, EXACT, search=False, point=point)
    agree("chi", point.net(sigma_w2).chi(point.q), chi, ULPS, point=point)


@pytest.mark.claim("Sec. 2 slope", "Eq. 39", "Eq. 43")
@given(point=points(UNCLIPPED))
def test_chi_is_the_slope_of_the_variance_map_for_the_unclipped_kinds(point: Point) -> None:
    """At every q, so at every fixed point; and one on the edge of chaos."""
    net = point.net(1.75)
    agree("V'", net.variance_slope(point.q), mp.mpf(float(net.chi(point.q))), ULPS, point=point)
    slope = point.function.mean_square_slope(point.q)
    chi = point.function.mean_square_derivative(point.q)
    agree("V' by definition", slope, chi, EXACT, search=False, point=point)


GAP_FORMULAS = [
    ("Eq. 17", "crelu", lambda p, w2: paper.eq_17_gap(p.q, p.tau, p.m, w2)),
    ("Eq. 52", "crelu", lambda p, w2: paper.eq_17_gap(p.q, p.tau, p.m, w2)),
    ("Eq. 18", "cst", lambda p, w2: paper.eq_18_gap(p.q, p.tau, p.m, w2)),
    ("Eq. 55", "cst", lambda p, w2: paper.eq_18_gap(p.q, p.tau, p.m, w2)),
]


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        pytest.param(kind, formula, marks=pytest.mark.claim(name), id=name)
        for name, kind, formula in GAP_FORMULAS
    ],
)
@given(data=hyp.data())
def test_chi_exceeds_the_slope_of_the_variance_map_by_exactly_the_gap(
    kind: str, formula: Callable[[Point, float], Number], data: hyp.DataObject
) -> None:
    """The gap is a difference of two doubles, so it is known to ulps of chi."""
    point = data.draw(points([kind]))
    sigma_w2 = 1.75
    gap = formula(point, sigma_w2)
    chi = sigma_w2 * point.function.mean_square_derivative(point.q)
    slope = sigma_w2 * point.function.mean_square_slope(point.q)
    agree("chi - V'", chi - slope, gap, EXACT, scale=chi, search=False, point=point)
    net = point.net(sigma_w2)
    difference = mp.mpf(float(net.chi(point.q))) - mp.mpf(float(net.variance_slope(point.q)))
    agree("chi - V'", float(difference), gap, ULPS, scale=chi, point=point)
    if gap > ULPS * chi:
        assert difference > 0, f"chi <= V' at {point}"


# ---------------------------------------------------------------- sigma_w^2 and sigma_b^2


@pytest.mark.claim("Eq. 59", "Eq. 60")
@pytest.mark.control("Eq. 59", "Eq. 60", replace="paper.eq_59", by=doubled)
@given(kind=hyp.sampled_from(UNCLIPPED), q_star=variances(), data=hyp.data())
def test_unclipped_weights_on_the_edge_depend_on_the_sparsity_alone(
    kind: str, q_star: float, data: hyp.DataObject
) -> None:
    """1 / (1 - s), to tau^2 / q* times the few ulps of tau."""
    s = data.draw(sparsities(kind))
    net = st.edge_of_chaos(ACTIVATIONS[kind].for_sparsity(s, q_star=q_star), q_star)
    a = float(paper.eq_57(s, 1.0) if kind == "relu" else paper.eq_58(s, 1.0))
    agree("sigma_w^2", net.sigma_w2, paper.eq_59(s), (1 + a * a) * ULPS, s=s, q_star=q_star)


@pytest.mark.claim("Eq. 61", "Eq. 62")
@pytest.mark.control("Eq. 61", replace="paper.eq_61", by=doubled)
@pytest.mark.control("Eq. 62", replace="paper.eq_62", by=doubled)
@given(
    kind=hyp.sampled_from(CLIPPED), q_star=variances(), w=hyp.floats(0.01, 10.0), data=hyp.data()
)
def test_clipped_weights_on_the_edge_have_the_printed_closed_form(
    kind: str, q_star: float, w: float, data: hyp.DataObject
) -> None:
    s = data.draw(sparsities(kind))
    m = w * math.sqrt(q_star)
    formula, quantile = (
        (paper.eq_61, paper.eq_57) if kind == "crelu" else (paper.eq_62, paper.eq_58)
    )
    tau = quantile(s, q_star)
    with mp.workdps(50):
        agree(
            "the formula",
            formula(s, m, q_star),
            1 / of_kind(kind, tau, m).mean_square_derivative(q_star),
            1e-20,
            search=False,
        )
    net = st.edge_of_chaos(ACTIVATIONS[kind](float(tau), m), q_star)
    a = float(tau) / math.sqrt(q_star)
    agree(
        "sigma_w^2",
        net.sigma_w2,
        formula(s, m, q_star),
        (1 + a * a) * ULPS,
        s=s,
        m=m,
        q_star=q_star,
    )


@pytest.mark.claim("Eq. 63")
@pytest.mark.control("Eq. 63", replace="sparsity_theory.edge_of_chaos", by=weights_times(0.5))
@given(kind=hyp.sampled_from(CLIPPED), m=hyp.floats(0.1, 10.0), data=hyp.data())
def test_clipped_weights_tend_to_the_unclipped_ones_from_above_as_the_variance_vanishes(
    kind: str, m: float, data: hyp.DataObject
) -> None:
    s = data.draw(hyp.floats(0.5 if kind == "crelu" else 0.01, 0.99))
    quantile = paper.eq_57 if kind == "crelu" else paper.eq_58
    variances_down = [1.0, 0.1, 0.01, 1e-3, 1e-4 * m * m]
    sigma_w2 = []
    for q_star in sorted(variances_down, reverse=True):
        phi = ACTIVATIONS[kind](float(quantile(s, q_star)), m)
        sigma_w2.append(float(st.edge_of_chaos(phi, q_star).sigma_w2))
    limit = 1 / (1 - s)
    rounding = 1e-13 * limit  # tau at most 2.6 sqrt(q*)
    assert all(after <= before + rounding for before, after in pairwise(sigma_w2))
    assert sigma_w2[-1] >= limit - rounding
    agree("the limit", sigma_w2[-1], limit, 1e-13)  # m = 100 sqrt(q*) there at least


@pytest.mark.claim("App. A recipe")
@pytest.mark.control("App. A recipe", replace="sparsity_theory.edge_of_chaos", by=weights_times(2))
@given(point=edges())
def test_on_the_edge_of_chaos_chi_is_one_and_the_variance_is_kept(point: Point) -> None:
    net = st.edge_of_chaos(point.activation, point.q)
    agree("chi_1", net.chi(point.q), 1, ULPS, point=point)
    agree("V(q*)", net.variance_map(point.q), mp.mpf(point.q), 4 * ULPS, point=point)


@pytest.mark.claim("App. A recipe", "App. A existence")
@given(point=points(thinnest=1e-4, thickest=1e4))
def test_the_bias_on_the_edge_is_what_the_weights_leave_of_the_variance_and_not_negative(
    point: Point,
) -> None:
    """sigma_b^2 = q* - sigma_w^2 E phi^2 to its last digits, also where little is left."""
    mass = point.function.mean_square_derivative(point.q)
    assume(mass > mp.mpf(10) ** -290)
    bias = mp.mpf(point.q) - point.function.mean_square(point.q) / mass
    assert bias >= -(mp.mpf(10) ** -40) * mp.mpf(point.q), f"no edge of chaos at {point}"
    net = st.edge_of_chaos(point.activation, point.q)
    floor = mp.mpf(10) ** -30 * mp.mpf(point.q)
    agree("sigma_b^2", net.sigma_b2, bias, 4 * ULPS, scale=max(bias, floor), point=point)


@pytest.mark.claim("App. A recipe")
@given(point=generic_points())
def test_what_the_weights_leave_of_the_variance_is_the_definition_for_any_slopes(
    point: Generic,
) -> None:
    """q E[phi'^2] - E[phi^2], a sum of squares in the jumps of phi' and what phi(0) adds.

    The worst of 1500 random points was off by 8.5e-16.
    """
    q = mp.mpf(point.q)
    first, second = point.function.mean_square_derivative(q), point.function.mean_square(q)
    found = point.activation.edge_deficit(np.asarray(point.q))
    scale = q * max(slope**2 for slope in (*point.slopes, 1e-3)) + second
    agree("the deficit", found, q * first - second, ULPS, scale=scale, point=point)


@pytest.mark.claim("App. A existence")
@given(a=hyp.floats(-3.0, -1e-3), q_star=variances())
def test_a_threshold_below_zero_has_no_edge_of_chaos(a: float, q_star: float) -> None:
    """Why the claim needs tau >= 0: a ReLU with s < 0.5 would need a negative sigma_b^2."""
    tau = a * math.sqrt(q_star)
    function = of_kind("relu", tau)
    left = mp.mpf(q_star) - function.mean_square(q_star) / function.mean_square_derivative(q_star)
    assert left < 0
    with pytest.raises(ValueError, match="no edge of chaos"):
        st.edge_of_chaos(st.ShiftedReLU(tau), q_star)


@pytest.mark.claim("App. A existence")
@pytest.mark.parametrize("q_star", [1e-12, 0.3, 1.0, 7.0, 1e12])
@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.01, 0.1, 0.2, 0.3, 0.7, 1.0, 1.5])
def test_a_bias_of_zero_but_for_rounding_is_zero(slope: float, q_star: float) -> None:
    """Of leaky ReLUs every variance is a fixed point; in closed form and by quadrature."""
    line = st.PiecewiseLinear([0.0], [slope, 1.0])
    for phi in (line, st.Activation(line, line.derivative, [0.0])):
        net = st.edge_of_chaos(phi, q_star)
        agree("sigma_w^2", net.sigma_w2, 2 / (1 + mp.mpf(slope) ** 2), 1e-12, search=False)
        assert float(net.sigma_b2) == 0


@pytest.mark.claim("App. A existence")
@pytest.mark.parametrize("tau", [-1e-12, -1e-6])
def test_a_negative_bias_beyond_rounding_is_refused(tau: float) -> None:
    """sigma_b^2 is 2 sqrt(2 / pi) tau / 2 to first order in tau."""
    relu = st.ShiftedReLU(tau)
    for phi in (relu, st.Activation(relu, relu.derivative, [tau])):
        with pytest.raises(ValueError, match="sigma_b\\^2 would be -"):
            st.edge_of_chaos(phi)


@pytest.mark.claim("Fig. 8")
@pytest.mark.control("Fig. 8", replace="sparsity_theory.ShiftedReLU", by=threshold_moved)
@given(point=edges(["st"]))
def test_the_shifted_relu_needs_twice_the_weights_of_soft_thresholding(point: Point) -> None:
    relu = st.edge_of_chaos(st.ShiftedReLU(point.tau), point.q)
    soft = st.edge_of_chaos(point.activation, point.q)
    agree("sigma_w^2", relu.sigma_w2, 2 * mp.mpf(float(soft.sigma_w2)), ULPS, point=point)
    assert float(relu.sigma_b2) == float(soft.sigma_b2)


# ---------------------------------------------------------------- the clip m


def edge_slope(tau: Number, m: Number, q_star: Number) -> Number:
    """V'(q*) on the edge of chaos, the same for both clipped kinds, from the definition."""
    function = of_kind("crelu", tau, m)
    return function.mean_square_slope(q_star) / function.mean_square_derivative(q_star)


@given(kind=hyp.sampled_from(CLIPPED), slope=slopes(), q_star=variances(), data=hyp.data())
def test_the_clip_for_a_slope_gives_that_slope(
    kind: str, slope: float, q_star: float, data: hyp.DataObject
) -> None:
    """V'(q*) and 1 - V'(q*) both come back: m rounds by an ulp and each moves by a few tau^2."""
    s = data.draw(sparsities(kind).filter(lambda s: s < 1 - 1e-9))
    phi = activation_for(kind, s, slope, q_star)
    found = edge_slope(float(phi.tau), float(phi.m), q_star)
    end = float((phi.tau + phi.m) / math.sqrt(q_star))
    tolerance = (4 + end * end) * 2 * ULPS
    agree(
        "V'(q*)",
        found,
        slope,
        tolerance,
        scale=min(slope, 1 - mp.mpf(slope)),
        s=s,
        slope=slope,
        q_star=q_star,
    )
    net = st.edge_of_chaos(phi, q_star)
    agree("V'(q*) of the library", net.variance_slope(q_star), slope, tolerance, s=s, slope=slope)


@pytest.mark.claim("Sec. 3 stability")
@given(point=edges(CLIPPED, thinnest=1e-6, thickest=6.0))
def test_clipping_makes_the_fixed_point_stable(point: Point) -> None:
    """0 < V'(q*) < 1, as long as the clip is close enough to be felt in double precision."""
    net = st.edge_of_chaos(point.activation, point.q)
    assume(edge_gap(point.tau, point.m, point.q) > ULPS)
    assert 0 < float(net.variance_slope(point.q)) < 1


@pytest.mark.claim("Sec. 3 rate")
@pytest.mark.control("Sec. 3 rate", replace="sparsity_theory.edge_of_chaos", by=weights_times(0.5))
@given(
    kind=hyp.sampled_from(CLIPPED),
    s=hyp.floats(0.5, 0.9),
    slope=hyp.floats(0.3, 0.8),
    side=hyp.sampled_from([-1, 1]),
)
def test_variances_approach_the_fixed_point_at_the_rate_of_its_slope(
    kind: str, s: float, slope: float, side: int
) -> None:
    """From 1e-5 off, so that the curvature (at most 3 here) changes the rate by 1e-4 at most."""
    net = st.edge_of_chaos(activation_for(kind, s, slope))
    distances = np.abs(net.trajectory(1 + side * 1e-5, 5) - 1)
    assert np.allclose(distances[1:] / distances[:-1], slope, rtol=0, atol=1e-4)


def edge_gap(tau: Number, m: Number, q_star: Number) -> Number:
    """1 - V'(q*) on the edge of chaos, by Eq. 52, which has tests of its own."""
    mass = of_kind("crelu", tau, m).mean_square_derivative(q_star)
    return paper.eq_17_gap(q_star, tau, m, 1) / mass


@pytest.mark.claim("Fig. 3 slope")
@given(a=hyp.floats(0.0, 8.0), w=hyp.floats(1e-4, 12.0), more=hyp.floats(0.01, 2.0))
def test_the_slope_at_the_fixed_point_grows_with_the_clip(a: float, w: float, more: float) -> None:
    """From zero to one; compared in 50 digits, and by the library where doubles can tell."""
    before, after = (edge_gap(a, w * c, 1) for c in (1, 1 + more))
    assert 1 > before > after > 0
    nets = [st.edge_of_chaos(st.ClippedReLU(a, w * c)) for c in (1, 1 + more)]
    low, high = (float(net.variance_slope(1.0)) for net in nets)
    assert low < high or before - after < 1e-14


@pytest.mark.claim("Fig. 3 slope")
@given(a=hyp.floats(0.0, 8.0))
def test_the_slope_at_the_fixed_point_runs_from_zero_to_one(a: float) -> None:
    assert edge_slope(a, 1e-4, 1) < 1e-3
    assert edge_gap(a, 12.0, 1) < 1e-20


@pytest.mark.claim("Fig. 3 slope")
def test_below_a_negative_threshold_the_slope_first_falls_below_zero() -> None:
    """Why the claim needs tau >= 0: at tau = -1 the slope is negative for small m."""
    assert edge_slope(-1.0, 0.1, 1) < -0.04
    assert float(st.edge_of_chaos(st.ClippedReLU(-1.0, 0.1)).variance_slope(1.0)) < -0.04


def edge_curvature(a: Number, w: Number) -> Number:
    """V''(1) on the edge of chaos at q* = 1, from the definition."""
    function = of_kind("crelu", a, w)
    return function.mean_square_curvature(1) / function.mean_square_derivative(1)


@pytest.mark.claim("Fig. 3 curvature", "Clipped V''")
@given(a=hyp.floats(1e-3, 1.73), u=hyp.floats(0.01, 1.0), more=hyp.floats(0.01, 3.0))
def test_the_curvature_first_falls_below_zero_and_then_rises_for_good(
    a: float, u: float, more: float
) -> None:
    """Below zero up to m = sqrt(3) - tau at least; once positive, positive for every larger m."""
    w = u * (math.sqrt(3.0) - a)
    assert edge_curvature(a, w) < 0
    assert float(st.edge_of_chaos(st.ClippedReLU(a, w)).variance_curvature(1.0)) < 0
    wider = w * (1 + 10 * more)
    assert edge_curvature(a, wider) < 0 or edge_curvature(a, 1.5 * wider) > 0
    assert edge_curvature(a, 12.0) > 0


@pytest.mark.claim("Fig. 3 curvature")
@given(a=hyp.floats(math.sqrt(3.0), 8.0), w=hyp.floats(0.01, 12.0))
def test_beyond_the_root_of_three_the_curvature_is_positive_for_every_clip(
    a: float, w: float
) -> None:
    """Why the claim needs s < 0.9584 (CReLU) or s < 0.9167 (CST): counterexamples beyond."""
    assert edge_curvature(a, w) > 0
    assert float(st.edge_of_chaos(st.ClippedReLU(a, w)).variance_curvature(1.0)) > 0


@pytest.mark.claim("Fig. 3 curvature")
def test_the_sparsity_at_which_the_curvature_stops_falling_is_as_stated() -> None:
    assert printed(normal_cdf(mp.sqrt(3)), "0.9584")
    assert printed(2 * normal_cdf(mp.sqrt(3)) - 1, "0.9167")


@pytest.mark.claim("Eq. 57", "Eq. 58")
def test_the_fixed_point_is_one_unless_told() -> None:
    """As everywhere in the paper's tables: thresholds, clips and the edge of chaos."""
    for threshold in (one_sided_threshold, two_sided_threshold):
        assert threshold(0.85) == threshold(0.85, 1.0)
    assert clip_for_slope(1.0, 0.7) == clip_for_slope(1.0, 0.7, 1.0)
    for kind in ACTIVATIONS.values():
        assert repr(kind.for_sparsity(0.85)) == repr(kind.for_sparsity(0.85, q_star=1.0))
        assert st.edge_of_chaos(kind.for_sparsity(0.85)).q_star == 1.0
    assert repr(st.ClippedReLU.for_sparsity(0.85)) == repr(st.ClippedReLU.for_sparsity(0.85, 0.7))
