"""The variance map V and its derivatives (Eqs. 3, 13, 14, 32, 37-50, 53, Table 1, Figs. 2, 9).

Three routes: the library; the paper's formulas, typed in from its text; and the definition, whose
Gaussian integrals are exact and whose derivatives are numerical, both to 50 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as hyp
from scipy.integrate import quad

import sparsity_theory as st
from property_tests.references import definitions, paper
from property_tests.references.definitions import Function, Number, mp, of_kind, partial_moments
from property_tests.support.agreement import agree, error
from property_tests.support.controls import (
    doubled,
    opposite,
    shifted,
    threshold_moved,
    weights_times,
)
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    KINDS,
    ODD,
    UNCLIPPED,
    Generic,
    Point,
    edges,
    generic_points,
    points,
    variances,
)

ULPS = 16 * 2.0**-52
"""Tolerance for the library's closed forms, everywhere: 3.6e-15.

Each is a product of a few factors that are good to an ulp or two, or a sum of them that loses a
factor of six at most. The worst point that the thorough profile found was off by 1.93e-15: V' of
CReLU at tau = 0.828, m = 0.844, q = 1.
"""

EXACT = 1e-20
"""Tolerance for formulas against definitions, both in 50 digits: numerical differentiation and
thin pieces (m = 1e-6 sqrt(q), with m^2 compared to differences of order one) cost the rest."""

WEIGHTS = (1.75, 0.25)
"""sigma_w^2 and sigma_b^2 where any do: not one and not zero."""


def curvature_scale(point: Point) -> Number:
    """What V'' is compared to, at sigma_w^2 = 1: E[(|z|^3 + 3 |z|) phi phi'] / 2 q^(3/2).

    V'' is the same with z^3 - 3 z, which changes sign at tau = sqrt(3 q): relative to itself
    nothing can be said there. The floor is where numerical differentiation to 50 digits ends.
    """
    q, sides = mp.mpf(point.q), 2 if point.kind in ODD else 1
    a = mp.mpf(point.tau) / mp.sqrt(q)
    b = mp.inf if point.m is None else (mp.mpf(point.tau) + mp.mpf(point.m)) / mp.sqrt(q)
    _, first, second, third, fourth = partial_moments(a, b, 4)
    size = sides * (fourth + 3 * second - a * (third + 3 * first)) / (2 * q)
    return max(size, mp.mpf(10) ** -28 * point.function.mean_square(q) / q**2)


# ---------------------------------------------------------------- the library against definitions


@pytest.mark.claim("Eq. 3", "Eq. 32")
@pytest.mark.control(
    "Eq. 3", "Eq. 32", replace="sparsity_theory.PiecewiseLinear.mean_square", by=doubled
)
@given(point=points())
def test_the_variance_map_is_the_gaussian_mean_of_the_squared_activation(point: Point) -> None:
    agree(
        "V",
        point.net().variance_map(point.q),
        point.function.mean_square(point.q),
        ULPS,
        point=point,
    )


@pytest.mark.claim("Eq. 3", "Eq. 32")
@given(point=generic_points())
def test_the_variance_map_of_any_piecewise_linear_activation_is_its_definition(
    point: Generic,
) -> None:
    """Each piece is good to a few ulps of its largest term, a knot's value times the slope."""
    net = st.MeanField(point.activation, 1.0, 0.0)
    value = point.function.mean_square(point.q)
    scale = value + 1e-3 * largest_term(point) * point.q
    agree("V", net.variance_map(point.q), value, 2e-14, scale=scale, point=point)


@pytest.mark.claim("Eq. 11")
@pytest.mark.control(
    "Eq. 11", replace="sparsity_theory.PiecewiseLinear.mean_derivative_power", by=doubled
)
@given(point=generic_points())
def test_slope_and_chi_of_any_piecewise_linear_activation_are_their_definitions(
    point: Generic,
) -> None:
    net = st.MeanField(point.activation, 1.0, 0.0)
    slope = point.function.mean_square_slope(point.q)
    scale = abs(slope) + largest_term(point)
    agree("V'", net.variance_slope(point.q), slope, 2e-14, scale=scale, point=point)
    chi = point.function.mean_square_derivative(point.q)
    agree("chi", net.chi(point.q), chi, ULPS, point=point)


def largest_term(point: Generic) -> float:
    """The largest squared slope, or squared offset in units of q; at least one."""
    return max(1.0, abs(point.offset) ** 2 / point.q, *(slope**2 for slope in point.slopes))


@pytest.mark.claim("Eq. 3")
@given(point=points(most=6.0, thinnest=1e-2, thickest=1e2))
def test_the_variance_map_is_what_numerical_integration_of_the_definition_gives(
    point: Point,
) -> None:
    """SciPy's adaptive quadrature, split at the kinks; it promises 1e-11 here."""
    root = math.sqrt(point.q)
    m = math.inf if point.m is None else point.m

    def integrand(z: float) -> float:
        x = root * z
        size = x if point.kind in ("relu", "crelu") else abs(x)
        return min(max(size - point.tau, 0.0), m) ** 2 * math.exp(-z * z / 2)

    # Beyond 36 there are 1e-280 of it, and beyond 37.5 numbers without all their digits.
    low, high = point.tau / root, min((point.tau + m) / root, 36.0)
    parts = [
        quad(integrand, a, b, epsabs=0, epsrel=1e-12)[0]
        for a, b in ((low, high), (high, 37.0))
        if a < b
    ]
    sides = 2 if point.kind in ("st", "cst") else 1
    value = sides * math.fsum(parts) / math.sqrt(2 * math.pi)
    agree("V", point.net().variance_map(point.q), value, 1e-11, point=point)


@pytest.mark.claim("Eq. 32")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("a", "w"), [(0.0, 0.5), (1.0364, 1.1704), (5.0, 0.01)])
def test_the_reference_itself_is_what_numerical_integration_gives(
    kind: str, a: float, w: float
) -> None:
    """mpmath's quadrature of the definition to 30 digits: the 50-digit reference has no slip."""
    function = definitions.of_kind(kind, 1.5 * a, None if kind in UNCLIPPED else 1.5 * w)
    with mp.workdps(30):
        by_quadrature = function.mean_square_by_quadrature(2.25)
    agree("E phi^2", function.mean_square(2.25), by_quadrature, 1e-25, search=False)


@given(point=points(), seed=hyp.integers(0, 2**32 - 1))
def test_many_variances_at_once_have_the_values_of_single_ones(point: Point, seed: int) -> None:
    """In blocks of 16384, with thin and thick pieces in each, and variances near both ends."""
    net = point.net()
    q = point.q * 10 ** np.random.default_rng(seed).uniform(-4, 4, 20_000)
    q[::1000] = np.geomspace(1e-300, 1e300, 20)
    for mapped in (net.variance_map, net.variance_slope, net.chi):
        together = mapped(q)[::500]
        alone = np.array([mapped(x) for x in q[::500]])
        size = np.maximum(np.abs(alone), 1e-290)
        off = np.abs(together - alone) / size
        assert off.max() < ULPS, f"{point}, at {q[::500][off.argmax()]!r}"


@given(point=points())
def test_slope_and_curvature_are_the_derivatives_of_the_variance_map(point: Point) -> None:
    net = point.net()
    slope = point.function.mean_square_slope(point.q)
    agree("V'", net.variance_slope(point.q), slope, ULPS, point=point)
    curvature = point.function.mean_square_curvature(point.q)
    scale = curvature_scale(point)
    agree("V''", net.variance_curvature(point.q), curvature, 2 * ULPS, scale=scale, point=point)


@given(point=generic_points())
def test_curvature_of_any_piecewise_linear_activation_is_the_second_derivative(
    point: Generic,
) -> None:
    net = st.MeanField(point.activation, 1.0, 0.0)
    curvature = point.function.mean_square_curvature(point.q)
    largest = max(1.0, abs(point.offset) / math.sqrt(point.q), *map(abs, point.slopes)) ** 2
    scale = abs(curvature) + largest / point.q
    agree("V''", net.variance_curvature(point.q), curvature, 5e-14, scale=scale, point=point)


# ---------------------------------------------------------------- the paper's formulas

Formula = Callable[[Point], Number]


def _v(function: Function, q: Number) -> Number:
    return WEIGHTS[0] * function.mean_square(q) + WEIGHTS[1]


def _one_sided(point: Point) -> Function:
    """ReLU_tau or CReLU_{tau,m} with the tau and m of the point."""
    return definitions.of_kind("relu" if point.m is None else "crelu", point.tau, point.m)


W2, B2 = WEIGHTS
V_FORMULAS = [
    ("Eq. 37", "relu", lambda p: paper.eq_37(p.q, p.tau, W2, B2)),
    ("Eq. 37", "relu", lambda p: paper.eq_37_fourth_line(p.q, p.tau, W2, B2)),
    ("Eq. 41", "st", lambda p: paper.eq_41(p.q, p.tau, W2, B2)),
    ("Eq. 44", "crelu", lambda p: paper.eq_44(p.q, p.tau, p.m, W2, B2)),
    ("Eq. 53", "cst", lambda p: 2 * paper.eq_44(p.q, p.tau, p.m, W2, B2) - B2),
]
SLOPE_FORMULAS = [
    ("Eq. 38", "relu", lambda p: paper.eq_38(p.q, p.tau, W2)),
    ("Eq. 38", "relu", lambda p: paper.eq_38_first_line(p.q, p.tau, W2)),
    ("Eq. 43", "st", lambda p: 2 * paper.eq_38(p.q, p.tau, W2)),
    ("Eq. 13", "crelu", lambda p: paper.eq_13(p.q, p.tau, p.m, W2)),
    ("Eq. 50", "crelu", lambda p: paper.eq_50(p.q, p.tau, p.m, W2)),
    ("Eq. 14", "cst", lambda p: 2 * paper.eq_13(p.q, p.tau, p.m, W2)),
]
CURVATURE_FORMULAS = [
    ("Eq. 40", "relu", lambda p: paper.eq_40(p.q, p.tau, W2)),
    ("Eq. 43", "st", lambda p: 2 * paper.eq_40(p.q, p.tau, W2)),
    ("Clipped V''", "crelu", lambda p: paper.clipped_curvature(p.q, p.tau, p.m, W2)),
    ("Clipped V''", "cst", lambda p: 2 * paper.clipped_curvature(p.q, p.tau, p.m, W2)),
]


def judged(formulas: list[tuple[str, str, Formula]]) -> pytest.MarkDecorator:
    """One run for each formula, named after the equation that it judges."""
    return pytest.mark.parametrize(
        ("kind", "formula"),
        [
            pytest.param(kind, formula, marks=pytest.mark.claim(name), id=f"{name} {kind} {i}")
            for i, (name, kind, formula) in enumerate(formulas)
        ],
    )


@pytest.mark.control("Eq. 37", replace="paper.eq_37", by=doubled)
@pytest.mark.control("Eq. 41", replace="paper.eq_41", by=doubled)
@pytest.mark.control("Eq. 44", "Eq. 53", replace="paper.eq_44", by=doubled)
@judged(V_FORMULAS)
@given(data=hyp.data())
def test_the_papers_closed_form_of_the_variance_map_holds(
    kind: str, formula: Formula, data: hyp.DataObject
) -> None:
    point = data.draw(points([kind]))
    value = formula(point)
    agree("the formula", value, _v(point.function, point.q), EXACT, search=False, point=point)
    agree("V", point.net(*WEIGHTS).variance_map(point.q), value, ULPS, point=point)


@pytest.mark.control("Eq. 38", "Eq. 43", replace="paper.eq_38", by=doubled)
@pytest.mark.control("Eq. 13", "Eq. 14", replace="paper.eq_13", by=doubled)
@pytest.mark.control("Eq. 50", replace="paper.eq_50", by=doubled)
@judged(SLOPE_FORMULAS)
@given(data=hyp.data())
def test_the_papers_slope_of_the_variance_map_holds(
    kind: str, formula: Formula, data: hyp.DataObject
) -> None:
    point = data.draw(points([kind]))
    value = formula(point)
    slope = W2 * point.function.mean_square_slope(point.q)
    agree("the formula", value, slope, EXACT, search=False, point=point)
    agree("V'", point.net(*WEIGHTS).variance_slope(point.q), value, ULPS, point=point)


@pytest.mark.control("Eq. 40", "Eq. 43", replace="paper.eq_40", by=opposite)
@pytest.mark.control("Clipped V''", replace="paper.clipped_curvature", by=opposite)
@judged(CURVATURE_FORMULAS)
@given(data=hyp.data())
def test_the_curvature_of_the_variance_map_has_this_closed_form(
    kind: str, formula: Formula, data: hyp.DataObject
) -> None:
    point = data.draw(points([kind]))
    value = formula(point)
    curvature = W2 * point.function.mean_square_curvature(point.q)
    scale = W2 * curvature_scale(point)
    agree("the formula", value, curvature, EXACT, scale=scale, search=False, point=point)
    agree(
        "V''",
        point.net(*WEIGHTS).variance_curvature(point.q),
        value,
        2 * ULPS,
        scale=scale,
        point=point,
    )


@pytest.mark.claim("Eq. 45", "Eq. 46", "Eq. 47", "Eq. 48", "Eq. 49")
@pytest.mark.control("Eq. 45", replace="paper.eq_45_v3", by=doubled)
@pytest.mark.control("Eq. 46", replace="paper.eq_46", by=doubled)
@pytest.mark.control("Eq. 47", replace="paper.eq_47", by=doubled)
@pytest.mark.control("Eq. 48", replace="paper.eq_48", by=doubled)
@pytest.mark.control("Eq. 49", replace="paper.eq_49", by=doubled)
@given(point=points(["crelu"]))
def test_the_three_parts_of_the_clipped_variance_map_and_their_slopes_hold(point: Point) -> None:
    """v_1 belongs to ReLU_tau, v_3 to a step; v_2 is what the definition leaves between them."""
    q, tau, m = mp.mpf(point.q), mp.mpf(point.tau), mp.mpf(point.m)
    line = definitions.Piece(tau, mp.inf, mp.mpf(1), -tau)
    zero = mp.mpf(0)
    v1 = Function((definitions.Piece(-mp.inf, tau, zero, zero), line))
    beyond = tau + m
    v2 = Function(
        (
            definitions.Piece(-mp.inf, beyond, zero, zero),
            definitions.Piece(beyond, mp.inf, mp.mpf(1), -tau),
        )
    )
    v3 = Function(
        (definitions.Piece(-mp.inf, beyond, zero, zero), definitions.Piece(beyond, mp.inf, zero, m))
    )
    for what, function, value, slope in (
        ("v_1", v1, paper.eq_46(q, tau, tau), paper.eq_47(q, tau)),
        ("v_2", v2, paper.eq_46(q, tau, beyond), paper.eq_48(q, tau, m)),
        ("v_3", v3, paper.eq_45_v3(q, tau, m), paper.eq_49(q, tau, m)),
    ):
        assume(function.mean_square(q) > mp.mpf(10) ** -200)  # beyond, 300 digits do not suffice
        agree(what, value, function.mean_square(q), EXACT, search=False, point=point)
        agree(f"d{what}/dq", slope, function.mean_square_slope(q), EXACT, search=False, point=point)


@pytest.mark.claim("Eq. 41", "Eq. 43")
@given(point=points(["st"]))
def test_soft_thresholding_doubles_the_variance_map_of_the_shifted_relu(point: Point) -> None:
    _assert_doubled(point, Point("relu", point.tau, None, point.q))


@pytest.mark.claim("Eq. 53", "Eq. 14")
@given(point=points(["cst"]))
def test_clipped_soft_thresholding_doubles_the_variance_map_of_the_clipped_relu(
    point: Point,
) -> None:
    _assert_doubled(point, Point("crelu", point.tau, point.m, point.q))


def _assert_doubled(odd: Point, one_sided: Point) -> None:
    """Twice a double is exact, so the library's two sides agree but for one rounding."""
    twice, once = odd.net(*WEIGHTS), one_sided.net(*WEIGHTS)
    q = odd.q
    value = 2 * mp.mpf(float(once.variance_map(q))) - B2
    agree("V", twice.variance_map(q), value, ULPS, scale=value + B2, point=odd)
    agree("V'", twice.variance_slope(q), 2 * mp.mpf(float(once.variance_slope(q))), ULPS, point=odd)
    agree(
        "V''",
        twice.variance_curvature(q),
        2 * mp.mpf(float(once.variance_curvature(q))),
        ULPS,
        point=odd,
    )


# ---------------------------------------------------------------- shape


@pytest.mark.claim("Scaling")
@pytest.mark.control("Scaling", replace="sparsity_theory.MeanField.variance_map", by=shifted)
@given(point=points(), power=hyp.integers(-40, 40))
def test_stretching_an_activation_stretches_its_maps(point: Point, power: int) -> None:
    """Stretched by a power of four, so that every scaling of a double is exact: bit for bit."""
    c = 2.0**power
    m = None if point.m is None else c * point.m
    stretched = Point(point.kind, c * point.tau, m, c * c * point.q)
    here, there = point.net(*WEIGHTS), stretched.net(W2, c * c * B2)
    assert float(there.variance_map(stretched.q)) == c * c * float(here.variance_map(point.q))
    assert float(there.variance_slope(stretched.q)) == float(here.variance_slope(point.q))
    assert float(there.chi(stretched.q)) == float(here.chi(point.q))
    scaled = c * c * float(there.variance_curvature(stretched.q))
    agree("V''", scaled, mp.mpf(float(here.variance_curvature(point.q))), 1e-15, point=point)


@pytest.mark.claim("Eq. 44", "Eq. 53")
@given(point=points(CLIPPED, most=10.0))
def test_a_distant_clip_leaves_the_unclipped_variance_map(point: Point) -> None:
    """At tau + m = 40 sqrt(q) what is cut off is below 1e-340 of anything."""
    root = math.sqrt(point.q)
    clipped = Point(point.kind, point.tau, 40.0 * root - point.tau, point.q).net()
    unclipped = Point(UNCLIPPED[CLIPPED.index(point.kind)], point.tau, None, point.q).net()
    for what in ("variance_map", "variance_slope", "variance_curvature", "chi"):
        values = (float(getattr(net, what)(point.q)) for net in (clipped, unclipped))
        agree(what, next(values), mp.mpf(next(values)), ULPS, point=point)


@pytest.mark.claim("Sec. 2 tau = 0", "Footnote 2")
@pytest.mark.control(
    "Sec. 2 tau = 0",
    "Footnote 2",
    replace="sparsity_theory.PiecewiseLinear.mean_square",
    by=doubled,
)
@given(q=variances(), bias=hyp.floats(0.0, 10.0))
def test_with_tau_zero_every_variance_is_a_fixed_point(q: float, bias: float) -> None:
    for activation, sigma_w2 in ((st.ShiftedReLU(0.0), 2.0), (st.SoftThreshold(0.0), 1.0)):
        agree(
            "V",
            st.MeanField(activation, sigma_w2, 0.0).variance_map(q),
            mp.mpf(q),
            ULPS,
            search=False,
            q=q,
        )
        agree(
            "V",
            st.MeanField(activation, sigma_w2, bias).variance_map(q),
            mp.mpf(q) + bias,
            ULPS,
            search=False,
        )
        edge = st.edge_of_chaos(activation)
        assert (float(edge.sigma_w2), float(edge.sigma_b2)) == (sigma_w2, 0.0)
        agree("V'", edge.variance_slope(q), mp.mpf(1), ULPS, search=False, q=q)
        assert float(edge.variance_curvature(q)) == 0.0


@pytest.mark.claim("Sec. 2 convexity")
@given(point=points(UNCLIPPED))
def test_the_unclipped_variance_maps_are_strictly_convex(point: Point) -> None:
    """For tau > 0, at every q; down to where the value is below the smallest double."""
    assume(point.tau > 0)
    assert float(point.net().variance_curvature(point.q)) > 0.0


@pytest.mark.claim("Fig. 2")
@pytest.mark.control("Fig. 2", replace="sparsity_theory.ShiftedReLU", by=threshold_moved)
@given(point=edges(["st"]), q=variances())
def test_on_the_edge_relu_and_soft_threshold_have_the_same_variance_map(
    point: Point, q: float
) -> None:
    odd = st.edge_of_chaos(point.activation, point.q)
    one_sided = st.edge_of_chaos(st.ShiftedReLU(point.tau), point.q)
    q *= point.q
    agree(
        "V", odd.variance_map(q), mp.mpf(float(one_sided.variance_map(q))), ULPS, point=point, q=q
    )


@pytest.mark.claim("Fig. 2")
@given(point=points(["st"], most=8.0))
def test_an_equal_threshold_is_a_larger_sparsity_for_the_shifted_relu(point: Point) -> None:
    """1 - s is half as large: the mass beyond tau on one side, and on both."""
    one_sided = of_kind("relu", point.tau).mass_of_zeros(point.q)
    odd = point.activation.sparsity(point.q)
    agree("s", odd, 2 * one_sided - 1, ULPS, point=point)
    agree("s of ReLU", st.ShiftedReLU(point.tau).sparsity(point.q), one_sided, ULPS, point=point)


@pytest.mark.claim("Fig. 9", evidence="identity")
@given(s=hyp.floats(0.501, 0.999), q=hyp.floats(0.01, 10.0))
def test_for_equal_sparsity_soft_threshold_curves_more_than_the_shifted_relu(
    s: float, q: float
) -> None:
    """Both maps touch the diagonal at q* = 1 from above, and ST lies above ReLU_tau."""
    assume(abs(q - 1) > 1e-3)
    relu, soft = (st.edge_of_chaos(ACTIVATIONS[kind].for_sparsity(s)) for kind in UNCLIPPED)
    rounding = 1e-15 * max(1.0, q)
    assert float(soft.variance_map(q)) >= float(relu.variance_map(q)) - rounding
    assert float(relu.variance_map(q)) >= q - rounding
    assert float(soft.variance_curvature(1.0)) > float(relu.variance_curvature(1.0))


@pytest.mark.claim("Sec. 1.1 divergence")
@pytest.mark.control(
    "Sec. 1.1 divergence", replace="sparsity_theory.edge_of_chaos", by=weights_times(0.5)
)
@given(point=edges(UNCLIPPED, most=3.0), start=hyp.floats(1.01, 4.0))
def test_above_the_fixed_point_the_unclipped_variance_diverges_exponentially(
    point: Point, start: float
) -> None:
    """V is convex with V'(q*) = 1 and V' below 1 / (1 - s) of the ReLU at s_ReLU (or ST) per layer.

    The factor from one layer to the next grows, and tends to V'(infinity) from below.
    """
    assume(point.tau > 0.05 * math.sqrt(point.q))
    net = st.edge_of_chaos(point.activation, point.q)
    path = net.trajectory(start * point.q, 60)
    factors = path[1:] / path[:-1]
    assert np.all(factors > 1.0)
    assert np.all(np.diff(factors) > -1e-14 * factors[1:])
    share = float(net.sigma_w2) * (0.5 if point.kind == "relu" else 1.0)
    assert factors[-1] <= share * (1 + 1e-14)
    far = float(net.variance_map(1e16 * point.q) / (1e16 * point.q))
    agree("V(q) / q far out", far, share, 1e-7)  # what is left is tau / sqrt(q) = 3e-8


# ---------------------------------------------------------------- Table 1


@pytest.mark.claim("Table 1")
@pytest.mark.control("Table 1", replace="paper.table_1_curvature", by=doubled)
@pytest.mark.parametrize("kind", UNCLIPPED)
@given(data=hyp.data())
def test_the_columns_of_table_1_hold_on_the_edge_of_chaos(kind: str, data: hyp.DataObject) -> None:
    """V', chi_1, V'', tau-hat and sigma_w^2, in terms of the sparsity.

    tau inherits the rounding of s: a relative change d of 1 - s moves sigma_w^2 by d and V''(q*)
    by about tau^2 d, here at most 60 ulps for s <= 0.999.
    """
    s = data.draw(hyp.floats(0.5 if kind == "relu" else 1e-3, 0.999))
    q_star, q = data.draw(variances()), data.draw(hyp.floats(0.05, 20.0))
    q *= q_star
    activation = ACTIVATIONS[kind].for_sparsity(s, q_star=q_star)
    tau = paper.eq_57(s, q_star) if kind == "relu" else paper.eq_58(s, q_star)
    agree(
        "tau", activation.tau, tau, 1e-14, scale=tau + mp.sqrt(q_star) * 2**-52, s=s, q_star=q_star
    )
    net = st.edge_of_chaos(activation, q_star)
    agree("sigma_w^2", net.sigma_w2, 1 / (1 - mp.mpf(s)), 2e-14, s=s, q_star=q_star)
    agree("chi_1", net.chi(q_star), 1, ULPS, s=s, q_star=q_star)
    sides = 1 if kind == "relu" else 2
    exact_w2 = 1 / (1 - mp.mpf(s))
    slope = sides * exact_w2 * definitions.normal_cdf(-tau / mp.sqrt(q))
    # a = tau / sqrt(q) up to 14 here; its rounding counts a^2 times
    agree("V'", net.variance_slope(q), slope, 1e-12, s=s, q=q, q_star=q_star)
    curvature = paper.table_1_curvature(q, tau, q_star)
    unit = curvature + mp.mpf(2) ** -52 / q
    agree("V''", net.variance_curvature(q), curvature, 1e-12, scale=unit, s=s, q=q, q_star=q_star)


# ---------------------------------------------------------------- misprints


@pytest.mark.claim("Misprint Eq. 13", reading="both")
@given(point=points(["crelu"], most=3.0, thinnest=1e-2, thickest=3.0))
def test_equation_13_holds_with_the_variance_under_the_root_only(point: Point) -> None:
    """The two differ by the whole second term times 1 - 1 / sqrt(q), and at q = 1 not at all."""
    assume(abs(math.log(point.q)) > 0.1)
    slope = point.function.mean_square_slope(point.q)
    meant = paper.eq_13(point.q, point.tau, point.m, 1)
    as_printed = paper.eq_13_printed(point.q, point.tau, point.m, 1)
    agree("what is meant", meant, slope, EXACT, search=False, point=point)
    assert error(as_printed, slope) > 1e-12


@pytest.mark.claim("Misprint Eq. 37", reading="both")
@given(point=points(["relu"], most=6.0))
def test_the_fourth_line_of_equation_37_needs_its_root_over_the_variance(point: Point) -> None:
    assume(abs(math.log(point.q)) > 0.1 and point.tau > 1e-6 * math.sqrt(point.q))
    value = point.function.mean_square(point.q)
    meant = paper.eq_37_fourth_line(point.q, point.tau, 1, 0)
    as_printed = paper.eq_37_fourth_line_printed(point.q, point.tau, 1, 0)
    agree("what is meant", meant, value, EXACT, search=False, point=point)
    assert error(as_printed, value) > 1e-12


@pytest.mark.claim("Misprint Eq. 38", reading="both")
@given(point=points(["relu"], most=6.0))
def test_the_first_line_of_equation_38_needs_a_plus(point: Point) -> None:
    """Wrong at q = 1 already, where only the sign differs."""
    assume(point.tau > 1e-6 * math.sqrt(point.q))
    slope = point.function.mean_square_slope(point.q)
    meant = paper.eq_38_first_line(point.q, point.tau, 1)
    as_printed = paper.eq_38_first_line_printed(point.q, point.tau, 1)
    agree("what is meant", meant, slope, EXACT, search=False, point=point)
    assert error(as_printed, slope) > 1e-12


@pytest.mark.claim("Misprint Table 1 factor", reading="both")
@given(point=edges(["st"]))
def test_the_curvature_of_soft_thresholding_in_table_1_is_twice_too_large(point: Point) -> None:
    assume(point.tau > 0)
    w2 = 1 / point.function.mean_square_derivative(point.q)
    curvature = w2 * point.function.mean_square_curvature(point.q)
    meant = paper.table_1_curvature(point.q, point.tau, point.q)
    as_printed = paper.table_1_curvature_printed("st", point.q, point.tau)
    agree("what is meant", meant, curvature, EXACT, search=False, point=point)
    agree("what is printed", as_printed, 2 * curvature, EXACT, search=False, point=point)


@pytest.mark.claim("Misprint Table 1 q*", reading="both")
@given(point=edges(["relu"]), times=hyp.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_the_curvature_in_table_1_needs_the_weights_of_the_fixed_point(
    point: Point, times: float
) -> None:
    assume(point.tau > 1e-3 * math.sqrt(point.q))
    w2 = 1 / point.function.mean_square_derivative(point.q)
    q = times * point.q
    curvature = w2 * point.function.mean_square_curvature(q)
    meant = paper.table_1_curvature(q, point.tau, point.q)
    agree("what is meant", meant, curvature, EXACT, search=False, point=point)
    assert error(paper.table_1_curvature_printed("relu", q, point.tau), curvature) > 1e-6


@settings(max_examples=1)
@given(point=hyp.just(Point("relu", 1.0, None, 1.0)))
def test_a_wrong_formula_would_be_noticed(point: Point) -> None:
    """A relative change of 1e-14 of V' is told apart, so the tolerance is not idle."""
    slope = float(point.net().variance_slope(point.q))
    with pytest.raises(AssertionError, match=r"V' is .* at point = Point\(kind='relu', tau=1.0"):
        agree("V'", slope * (1 + 1e-14), point.function.mean_square_slope(1.0), ULPS, point=point)


@pytest.mark.claim("Eq. 16")
@pytest.mark.parametrize(("tau", "m"), [(-20.1, 0.3), (-29.7, 1e-3), (-8.05, 0.05)])
def test_a_ramp_far_on_the_negative_side_keeps_its_digits(tau: float, m: float) -> None:
    """Reflected, it begins at -(tau + m), which is no double: an ulp there costs 20 in the tail."""
    exact = of_kind("crelu", tau, m).mean_square_derivative(1)
    agree("chi", st.MeanField(st.ClippedReLU(tau, m), 1.0).chi(1.0), exact, ULPS, search=False)


@pytest.mark.claim("Eq. 3")
@given(point=generic_points(), shift=hyp.floats(0.0, 3.0))
def test_fourth_powers_are_their_definition(point: Generic, shift: float) -> None:
    """They say how far q^{l+1} scatters at finite width; good to the size of the largest term."""
    root = mp.sqrt(point.q)

    def fourth(p: Any) -> tuple[Number, ...]:
        c, s = p.intercept, p.slope * root
        return c**4, 4 * c**3 * s, 6 * c**2 * s**2, 4 * c * s**3, s**4

    exact = point.function.mean(point.q, fourth)
    found = point.activation.mean_fourth_power(np.asarray(point.q))
    scale = exact + 1e-2 * largest_term(point) ** 2 * point.q**2
    agree("E phi^4", found, exact, 1e-12, scale=scale, point=point)


@pytest.mark.claim("Eq. 3")
@given(point=points(most=12.0))
def test_fourth_powers_of_the_four_kinds_are_their_definition(point: Point) -> None:
    """In the tails a^4 ulps are lost at most: 1e-11 at a = 12."""
    root = mp.sqrt(point.q)

    def fourth(p: Any) -> tuple[Number, ...]:
        c, s = p.intercept, p.slope * root
        return c**4, 4 * c**3 * s, 6 * c**2 * s**2, 4 * c * s**3, s**4

    with mp.workdps(80):  # moments of a thin piece cancel
        exact = point.function.mean(point.q, fourth)
    found = point.activation.mean_fourth_power(np.asarray(point.q))
    agree("E phi^4", found, exact, 1e-11, point=point)


@pytest.mark.claim("Scaling")
@given(point=generic_points(), scale=hyp.sampled_from([1e-4, 0.3, 50.0, 1e4, 1e6]))
def test_any_activation_in_other_units_has_the_same_maps(point: Generic, scale: float) -> None:
    """phi(x) -> c phi(x / c): V(c^2 q) = c^2 V(q), and V' and chi as they were."""
    phi, q = point.activation, np.array(point.q)
    knots = [scale * knot for knot in point.knots]
    larger = st.PiecewiseLinear(knots, point.slopes, scale * point.offset)
    size = largest_term(point)
    for name, power in (
        ("mean", 1),
        ("mean_square", 2),
        ("mean_square_slope", 0),
        ("mean_fourth_power", 4),
    ):
        found = float(getattr(larger, name)(scale**2 * q)) / scale**power
        expected = float(getattr(phi, name)(q))
        allowed = expected if expected > 0 else 0.0
        agree(
            name,
            found,
            expected,
            1e-12,
            scale=max(allowed, size ** max(power / 2, 1) * point.q ** (power / 2)),
            point=point,
        )
