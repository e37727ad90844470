"""Bad input raises one ValueError that names the argument; valid input never gives NaN."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references.definitions import mp
from property_tests.support.controls import unchecked
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    KINDS,
    ODD,
    UNCLIPPED,
    Point,
    bad_numbers,
    points,
    variances,
)
from sparsity_theory.published.rows import Design

pytestmark = [pytest.mark.claim("Oracle: input")]

NET = st.edge_of_chaos(st.ClippedReLU(1.0, 1.0))

not_positive = hyp.one_of(bad_numbers(), hyp.floats(max_value=0.0, allow_nan=False))
negative = hyp.one_of(bad_numbers(), hyp.floats(max_value=-1e-300, allow_nan=False))
not_a_fraction = hyp.one_of(
    bad_numbers(),
    hyp.sampled_from([0.0, 1.0, 1.2, -0.1]),
    hyp.floats(max_value=0.0),
    hyp.floats(min_value=1.0),
)
not_a_correlation = hyp.one_of(
    bad_numbers(),
    hyp.floats(min_value=1.0, exclude_min=True),
    hyp.floats(max_value=-1.0, exclude_max=True),
)


def refuses(name: str, call: Callable[[], object], value: float) -> None:
    """Assert that the call raises a ValueError with the argument's name and its value."""
    with pytest.raises(ValueError, match=rf"\b{name}\b") as caught:
        call()
    message = str(caught.value)
    assert repr(value) in message or f"{value:g}" in message, message
    assert "\n" not in message


@pytest.mark.control("Oracle: input", replace="sparsity_theory._validation.fraction", by=unchecked)
@given(kind=hyp.sampled_from(KINDS), s=not_a_fraction)
def test_sparsities_outside_zero_and_one_are_refused(kind: str, s: float) -> None:
    refuses("s", lambda: ACTIVATIONS[kind].for_sparsity(s), s)


@given(kind=hyp.sampled_from(CLIPPED), slope=not_a_fraction)
def test_slopes_that_no_clip_reaches_are_refused(kind: str, slope: float) -> None:
    """V'(q*) = 1 would need m = infinity, and none gives more, or less than zero."""
    make = ACTIVATIONS[kind].for_sparsity
    refuses("slope", lambda: make(0.85, slope=slope), slope)


@given(kind=hyp.sampled_from(KINDS), q_star=not_positive)
def test_fixed_points_that_are_not_positive_are_refused(kind: str, q_star: float) -> None:
    refuses("q_star", lambda: ACTIVATIONS[kind].for_sparsity(0.85, q_star=q_star), q_star)
    refuses("q_star", lambda: st.edge_of_chaos(st.ShiftedReLU(1.0), q_star), q_star)


@given(kind=hyp.sampled_from(CLIPPED), m=not_positive)
def test_clips_that_are_not_positive_are_refused(kind: str, m: float) -> None:
    make = ACTIVATIONS[kind]
    refuses("m", lambda: make(1.0, m), m)


@given(kind=hyp.sampled_from(KINDS), tau=bad_numbers())
def test_thresholds_that_are_not_finite_are_refused(kind: str, tau: float) -> None:
    make = ACTIVATIONS[kind]
    refuses("tau", lambda: make(tau, 1.0) if kind in CLIPPED else make(tau), tau)


@given(kind=hyp.sampled_from(ODD), tau=hyp.floats(max_value=-1e-300, allow_infinity=False))
def test_soft_thresholds_below_zero_are_refused(kind: str, tau: float) -> None:
    make = ACTIVATIONS[kind]
    refuses("tau", lambda: make(tau, 1.0) if kind in CLIPPED else make(tau), tau)


MAPS = ["variance_map", "variance_slope", "variance_curvature", "chi"]


@pytest.mark.parametrize("name", MAPS)
@given(data=hyp.data(), others=hyp.lists(variances(), max_size=2))
def test_variances_below_zero_are_refused_and_zero_where_there_is_no_limit(
    name: str, data: hyp.DataObject, others: list[float]
) -> None:
    """Alone, or hidden in an array."""
    q = data.draw(not_positive if name == "variance_curvature" else negative)
    refuses("q", lambda: getattr(NET, name)(q), q)
    refuses("q", lambda: getattr(NET, name)(np.array([*others, q])), q)


def test_maps_that_have_no_limit_at_variance_zero_say_so() -> None:
    """V' is infinite there for a kink at 0 above phi = 0; R divides by q."""
    raised = st.MeanField(st.PiecewiseLinear([0.0], [0.0, 1.0], 1.0), 1.0)
    refuses("q", lambda: raised.variance_slope(0.0), 0.0)
    step = st.Activation(lambda x: np.where(x > 0, 1.0, 0.0), np.zeros_like, [0.0])
    refuses("q", lambda: st.MeanField(step, 1.0).variance_map(0.0), 0.0)
    refuses("q", lambda: st.MeanField(step, 1.0).variance_slope(0.0), 0.0)
    assert st.MeanField(step, 1.0).chi([0.0, 1.0]).tolist() == [math.inf, math.inf]
    for name in ("correlation_map", "correlation_slope", "correlation_gap"):
        refuses("q", partial(getattr(NET, name), 0.5, 0.0), 0.0)


@pytest.mark.parametrize("name", ["correlation_map", "correlation_slope"])
@given(rho=not_a_correlation, q=not_positive)
def test_correlations_outside_minus_one_and_one_are_refused(
    name: str, rho: float, q: float
) -> None:
    refuses("rho", lambda: getattr(NET, name)(rho), rho)
    refuses("q", lambda: getattr(NET, name)(0.5, q), q)


@given(gap=hyp.one_of(bad_numbers(), hyp.floats(max_value=-1e-300), hyp.floats(min_value=2.001)))
def test_gaps_outside_zero_and_two_are_refused(gap: float) -> None:
    refuses("gap", lambda: NET.correlation_gap(gap), gap)


@given(sigma_w2=not_positive, sigma_b2=hyp.one_of(bad_numbers(), hyp.floats(max_value=-1e-300)))
def test_variances_of_weights_and_biases_are_checked(sigma_w2: float, sigma_b2: float) -> None:
    phi = st.ShiftedReLU(1.0)
    refuses("sigma_w2", lambda: st.MeanField(phi, sigma_w2, 0.1), sigma_w2)
    refuses("sigma_b2", lambda: st.MeanField(phi, 1.0, sigma_b2), sigma_b2)


@given(count=hyp.integers(-5, 0))
def test_widths_depths_and_numbers_of_networks_below_one_are_refused(count: int) -> None:
    refuses("depth", lambda: st.jacobian_moments(NET, count), count)
    for name in ("width", "depth", "networks"):
        refuses(name, partial(st.forecast, NET, **{name: count}), count)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (([], [1.0]), "knots"),
        (([0.0, 0.0], [0, 1, 0]), "knots"),
        (([1.0, 0.0], [0, 1, 0]), "knots"),
        (([0.0, math.nan], [0, 1, 0]), "knots"),
        (([0.0], [0, 1, 0]), "slopes"),
        (([0.0], [0, math.inf]), "slopes"),
        (([0.0], [0, 1], math.nan), "offset"),
    ],
)
def test_knots_slopes_and_offsets_that_make_no_function_are_refused(
    arguments: tuple[Any, ...], name: str
) -> None:
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        st.PiecewiseLinear(*arguments)


NO_NUMBERS: list[Any] = [
    "much",
    "1.5",
    b"1.5",
    None,
    True,
    np.array([True, False]),
    1.0 + 0.0j,
    np.datetime64(1, "s"),
    np.timedelta64(1, "s"),
    np.ma.masked,
    [1.0, "x"],
    ["1.0", "2.0"],
    [1.0, None],
    [[1.0], [1.0, 2.0]],
    {},
    pytest.param(object(), id="object"),
    10**400,
    np.arange(5000).astype(str),
    "1" * 5000,
]


EVALUATED: list[Any] = [kind(*[1.0] * (1 + kind.clipped)) for kind in st.ACTIVATIONS.values()]
EVALUATED.append(st.PiecewiseLinear([0.0], [0.1, 1.0]))


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda x: f"{x!r:.30}")
def test_what_is_no_number_is_refused_by_name(value: object) -> None:
    """In one short line that says what is allowed."""
    calls: list[tuple[str, str, Callable[[], object]]] = [
        ("tau", "finite", lambda: st.ShiftedReLU(value)),
        ("m", "positive and finite", lambda: st.ClippedReLU(1.0, value)),
        ("s", "strictly between 0 and 1", lambda: st.ShiftedReLU.for_sparsity(value)),
        ("q", "nonnegative and finite", lambda: NET.variance_map(value)),
        ("rho", "in [-1, 1]", lambda: NET.correlation_map(value)),
        ("sigma_w2", "positive and finite", lambda: st.MeanField(NET.activation, value)),
        ("knots", "finite", lambda: st.PiecewiseLinear(value, [0.0, 1.0])),
        *(("x", "real", partial(phi, value)) for phi in EVALUATED),
        *(("x", "real", partial(phi.derivative, value)) for phi in EVALUATED),
        ("kinks", "finite", lambda: st.Activation(np.tanh, slope_of_tanh, value)),
    ]
    for name, allowed, call in calls:
        with pytest.raises(ValueError, match=rf"^{name} must ") as caught:
            call()
        message = str(caught.value)
        assert allowed in message or "no masked entries" in message
        assert "\n" not in message
        assert len(message) < 250
    with pytest.raises(ValueError, match=r"^sparsity must "):
        Design("crelu", value, 0.7)  # type: ignore[arg-type]


def slope_of_tanh(x: Any) -> Any:
    return 1.0 - np.tanh(x) ** 2


def test_masked_entries_are_refused_and_masks_that_hide_nothing_are_not() -> None:
    with pytest.raises(ValueError, match="tau must have no masked entries"):
        st.ShiftedReLU(np.ma.array([1.0, 2.0], mask=[False, True]))
    for phi in EVALUATED:
        with pytest.raises(ValueError, match="x must have no masked entries"):
            phi(np.ma.array([1.0, 2.0], mask=[False, True]))
    assert st.ShiftedReLU(np.ma.array([1.0, 2.0])) == st.ShiftedReLU([1.0, 2.0])


@pytest.mark.parametrize(
    "half",
    [Fraction(1, 2), Decimal("0.5"), mp.mpf(0.5), np.float16(0.5), np.longdouble(0.5), [0.5]],
    ids=repr,
)
def test_real_numbers_of_any_kind_are_taken_and_computed_with_in_double(half: Any) -> None:
    value = NET.variance_map(half)
    assert value.dtype == np.float64
    assert np.all(value == NET.variance_map(0.5))
    assert st.ShiftedReLU(half).tau == 0.5
    assert st.ShiftedReLU(10**30).tau == 1e30


@pytest.mark.parametrize("value", ["crelu", np.tanh, st.ClippedReLU, None, 1.0])
def test_what_is_no_activation_is_refused_with_what_is_one(value: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: st.MeanField(value, 1.0),
        lambda: st.edge_of_chaos(value),
        lambda: st.edge_of_chaos_for_bias(value, 0.1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^activation must .*st\.Activation\(function, deriv"):
            call()


@pytest.mark.parametrize("value", ["crelu", NET.activation, st.MeanField, None, 1.0])
def test_what_is_no_network_is_refused_with_what_is_one(value: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: st.fixed_points(value),
        lambda: st.steepest_point(value),
        lambda: st.phase(value),
        lambda: st.depth_scales(value),
        lambda: st.correlation_fixed_point(value),
        lambda: st.jacobian_moments(value, 3),
        lambda: st.covariance_map(value, np.eye(3), 1),
        lambda: st.covariance_fixed_point(value, 3),
        lambda: st.forecast(value),
        lambda: st.draw_chain(value),
        lambda: st.draw_layers(value),
        lambda: st.draw_gradients(value),
        lambda: st.one_step_variance(value, 1.0, 10),
        lambda: st.small_noise(value),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^net must be a MeanField, as st\.edge_of_chaos"):
            call()


@pytest.mark.parametrize("kind", ["relu", None, st.ShiftedReLU, NET.activation])
def test_what_is_no_clipped_kind_has_no_bifurcation(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^kind must be one of crelu, cst, got "):
        st.bifurcation(kind, 0.85)


@pytest.mark.parametrize("number", [np.timedelta64(3), 2**63, 10**400, 3.0, "3"])
def test_sizes_that_no_array_has_are_refused(number: Any) -> None:
    for name in ("width", "depth", "networks"):
        with pytest.raises(ValueError, match=f"^{name} must be "):
            st.forecast(NET, **{"width": 10, "depth": 3, "networks": 5} | {name: number})


def test_functions_of_an_unknown_q_star_ask_for_the_argument_that_they_take() -> None:
    net = st.MeanField(NET.activation, 1.0)
    for name, call in (
        ("q0", lambda: st.draw_layers(net)),
        ("q0", lambda: st.small_noise(net)),
        ("q", lambda: net.correlation_map(0.5)),
        ("q", lambda: st.phase(net)),
    ):
        with pytest.raises(ValueError, match=f"q_star is not known.*, or give {name}$"):
            call()
    for refused in (
        lambda: st.jacobian_moments(net, 3),
        lambda: st.forecast(net),
        lambda: st.forecast(net, q0=1.0),
    ):
        with pytest.raises(ValueError, match=r"q_star is not known; make the .* edge_of_chaos$"):
            refused()


def test_an_infinite_clip_is_refused() -> None:
    """Without a clip CReLU is ReLU, which has closed forms of its own."""
    with pytest.raises(ValueError, match="m must be positive and finite, got inf"):
        st.ClippedReLU(1.0, math.inf)


TWO, THREE = [0.5, 0.6], [0.5, 0.6, 0.7]
THREE_BLOCKS = st.PreNorm(st.ShiftedReLU(1.0), alpha=THREE)
THREE_NETWORKS = st.edge_of_chaos(st.ClippedReLU.for_sparsity([0.7, 0.8, 0.85], slope=0.7))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: st.ClippedReLU(TWO, THREE), "tau and m"),
        (lambda: st.ShiftedReLU.for_sparsity(TWO, q_star=THREE), "s and q_star"),
        (lambda: st.ClippedReLU.for_sparsity(TWO, slope=THREE), "s, slope and q_star"),
        (lambda: st.ClippedSoftThreshold.for_sparsity(0.7, TWO, THREE), "s, slope and q_star"),
        (
            lambda: st.edge_of_chaos(st.ShiftedReLU(THREE), TWO),
            "q_star and the activation's parameters",
        ),
        (
            lambda: st.MeanField(st.ShiftedReLU(1.0), TWO, THREE),
            "sigma_w2, sigma_b2, q_star and the activation's parameters",
        ),
        (
            lambda: st.MeanField(st.ShiftedReLU(TWO), THREE),
            "sigma_w2, sigma_b2, q_star and the activation's parameters",
        ),
        (lambda: THREE_NETWORKS.variance_map(TWO), "q and the network's parameters"),
        (lambda: THREE_NETWORKS.variance_slope(TWO), "q and the network's parameters"),
        (lambda: THREE_NETWORKS.variance_curvature(TWO), "q and the network's parameters"),
        (lambda: THREE_NETWORKS.chi(TWO), "q and the network's parameters"),
        (lambda: THREE_NETWORKS.correlation_map(TWO), "rho, q and the network's parameters"),
        (lambda: THREE_NETWORKS.correlation_slope(TWO), "rho, q and the network's parameters"),
        (lambda: THREE_NETWORKS.correlation_gap(0.1, TWO), "gap, q and the network's parameters"),
        (
            lambda: st.PreNorm(st.ShiftedReLU(1.0), TWO, THREE),
            "alpha, sigma_w2, sigma_v2 and the activation's parameters",
        ),
        (
            lambda: st.PreNorm(st.ShiftedReLU(TWO), THREE),
            "alpha, sigma_w2, sigma_v2 and the activation's parameters",
        ),
        (lambda: st.Residual(NET, TWO, THREE), "alpha, skip and the network's parameters"),
        (lambda: st.Residual(THREE_NETWORKS, TWO), "alpha, skip and the network's parameters"),
        (lambda: st.Residual(NET, THREE).variance_map(TWO), "q and the network's parameters"),
        (lambda: st.Residual(THREE_NETWORKS, 1.0).chi(TWO), "q and the network's parameters"),
        (lambda: THREE_BLOCKS.chi(TWO), "q and the network's parameters"),
        (lambda: THREE_BLOCKS.correlation_map(TWO, 1.0), "rho, q and the network's parameters"),
        (lambda: THREE_BLOCKS.correlation_slope(TWO, 1.0), "rho, q and the network's parameters"),
        (lambda: THREE_BLOCKS.correlation_gap(TWO, 1.0), "gap, q and the network's parameters"),
        (lambda: THREE_BLOCKS.trajectory(3, TWO), "q and the network's parameters"),
    ],
)
def test_shapes_that_do_not_broadcast_are_one_error_that_names_whose_they_are(
    call: Callable[[], object], named: str
) -> None:
    with pytest.raises(
        ValueError, match=rf"^{named} must have shapes that broadcast, got \("
    ) as it:
        call()
    assert {"(2,)", "(3,)"} <= set(re.findall(r"\(\d*,?\)", str(it.value)))


def test_an_activation_that_is_flat_has_no_edge_of_chaos() -> None:
    with pytest.raises(ValueError, match="no edge of chaos"):
        st.edge_of_chaos(st.PiecewiseLinear([0.0], [0.0, 0.0], 1.0))


ANY_SIZE = hyp.one_of(
    hyp.sampled_from([1e-300, 1e-150, 1.0, 1e150, 1e300]),
    hyp.floats(-690.0, 690.0).map(math.exp),
)


@given(
    kind=hyp.sampled_from(KINDS),
    tau=hyp.one_of(hyp.just(0.0), ANY_SIZE),
    m=ANY_SIZE,
    q=hyp.one_of(ANY_SIZE, hyp.sampled_from([1e-323, 1e-308, 1e301, 1e305, 1.7e308])),
    rho=hyp.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]),
)
def test_valid_input_never_gives_nan_however_extreme(
    kind: str, tau: float, m: float, q: float, rho: float
) -> None:
    """Nor a warning; infinity only where the value is beyond the largest double."""
    net = Point(kind, tau, None if kind in UNCLIPPED else m, q).net(1.75, 0.25)
    for name in MAPS:
        value = float(getattr(net, name)(q))
        assert not math.isnan(value), f"{name}({q!r}) is NaN, of {net}"
    for name, argument in (
        ("correlation_map", rho),
        ("correlation_slope", rho),
        ("correlation_gap", 1 - rho),
    ):
        value = float(getattr(net, name)(argument, q))
        assert not math.isnan(value), f"{name}({argument!r}, {q!r}) is NaN, of {net}"


@given(chosen=hyp.lists(points(["crelu"]), min_size=2, max_size=4), data=hyp.data())
def test_everything_broadcasts(chosen: list[Point], data: hyp.DataObject) -> None:
    """Arrays in the activation and in the argument: entry by entry what the entries give."""
    phi = st.ClippedReLU(np.array([p.tau for p in chosen]), np.array([p.m for p in chosen]))
    net = st.MeanField(phi, 1.75, 0.25)
    q = np.array(data.draw(hyp.lists(variances(), min_size=3, max_size=3)))[:, None]
    for name in MAPS:
        together = getattr(net, name)(q)
        assert together.shape == (3, len(chosen))
        for j, point in enumerate(chosen):
            alone = [float(getattr(point.net(1.75, 0.25), name)(x)) for x in q[:, 0]]
            assert np.allclose(together[:, j], alone, rtol=1e-14, atol=0)


@pytest.mark.parametrize("q", [1e-323, 1e-308, 1e-290, 1e290, 1e301, 1e308, 1.7e308])
@pytest.mark.parametrize(
    "phi",
    [
        st.ShiftedReLU(0.0),
        st.PiecewiseLinear([0.0], [0.1, 1.0]),
        st.PiecewiseLinear([-1.0, 1.0], [0.5, 0.0, 1.0], -2.0),
    ],
)
def test_the_maps_are_right_up_to_the_largest_double(phi: st.PiecewiseLinear, q: float) -> None:
    """Kinks are nothing beside a large sqrt(q), and everything beside a small one."""
    squares = phi.slopes[[0, -1]] ** 2
    if len(phi.knots) > 1 and q < 1:
        at_zero, squares = float(phi(0.0)) ** 2, np.zeros(2)
    else:
        at_zero = 0.0
    slope = 0.5 * float(squares.sum())
    net = st.MeanField(phi, 1.0)
    least = 5e-324  # subnormal results are rounded to its multiples
    assert float(net.variance_map(q)) == pytest.approx(at_zero + slope * q, rel=1e-14, abs=least)
    assert float(net.variance_slope(q)) == pytest.approx(slope, rel=1e-14)
    assert float(net.chi(q)) == pytest.approx(slope, rel=1e-14)


def test_a_variance_beyond_the_largest_double_is_infinite_and_so_are_those_after_it() -> None:
    net = st.MeanField(st.ShiftedReLU(0.0), 4.0)
    assert float(net.variance_map(1e301)) == pytest.approx(2e301)
    assert float(net.variance_map(1.7e308)) == math.inf
    path = net.trajectory([1e301, 1.0], 60)
    assert path[:, 1] == pytest.approx(2.0 ** np.arange(61))
    assert not np.any(np.isnan(path))
    finite = np.isfinite(path[:, 0])
    assert np.all(np.diff(finite.astype(int)) <= 0)
    assert list(finite[[0, -1]]) == [True, False]


def test_a_correlation_lost_in_overflow_is_refused() -> None:
    """R would be phi(0)^2 / q = 1e324, and its slope a difference of such numbers."""
    net = st.MeanField(st.ClippedReLU(-1.0, 1.0), 1.0)
    with pytest.raises(ValueError, match=r"q must be within the range .* got 5e-324"):
        net.correlation_map(-0.5, 5e-324)
