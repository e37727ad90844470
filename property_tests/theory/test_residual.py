"""Residual networks of infinite width: their maps, laws of growth and fixed points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references.definitions import Number, mp
from property_tests.support.agreement import agree
from property_tests.support.controls import doubled
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    ODD,
    UNCLIPPED,
    Point,
    activation_for,
    edges,
    points,
)
from sparsity_theory.mean_field.stream import Stream
from sparsity_theory.testing.strategies import streams, variances

ULPS = 16 * 2.0**-52
"""Tolerance for V and chi, which are good to a few ulps, and the few operations around them."""

ALPHAS = hyp.one_of(hyp.sampled_from([1.0, 0.1]), hyp.floats(1e-3, 4.0))
SKIPS = hyp.one_of(hyp.sampled_from([1.0, 0.0, 0.5]), hyp.floats(0.0, 1.0))


def squared(number: float) -> Number:
    return mp.mpf(number) ** 2


# ---------------------------------------------------------------- plain blocks


@pytest.mark.claim("Residual: maps")
@pytest.mark.control("Residual: maps", replace="sparsity_theory.Residual.variance_map", by=doubled)
@given(
    point=points(most=8.0),
    alpha=ALPHAS,
    skip=SKIPS,
    sigma_w2=hyp.floats(0.1, 10.0),
    sigma_b2=hyp.sampled_from([0.0, 0.5]),
)
def test_a_plain_block_adds_variances_and_gains(
    point: Point, alpha: float, skip: float, sigma_w2: float, sigma_b2: float
) -> None:
    """skip^2 q + alpha^2 V(q) and skip^2 + alpha^2 chi(q), with V and chi by definition."""
    net = st.Residual(point.net(sigma_w2, sigma_b2), alpha, skip)
    mean_square = point.function.mean_square(point.q)
    added = squared(alpha) * (mp.mpf(sigma_w2) * mean_square + mp.mpf(sigma_b2))
    variance = squared(skip) * point.q + added
    agree("q", net.variance_map(point.q), variance, ULPS, point=point, alpha=alpha, skip=skip)
    gain = squared(alpha) * sigma_w2 * point.function.mean_square_derivative(point.q)
    agree("chi", net.chi(point.q), squared(skip) + gain, ULPS, point=point, alpha=alpha, skip=skip)
    assert float(net.sparsity(point.q)) == float(point.activation.sparsity(point.q))


@pytest.mark.claim("Residual: maps")
@given(point=edges(), rho=hyp.floats(-1.0, 1.0), gap=hyp.floats(0.0, 2.0))
def test_without_a_skip_the_maps_are_those_of_the_plain_network(
    point: Point, rho: float, gap: float
) -> None:
    """skip = 0 and alpha = 1, at q* on the edge of chaos; R is judged elsewhere."""
    edge = st.edge_of_chaos(point.activation, point.q)
    net = st.Residual(edge, 1.0, 0.0)
    for name in ("variance_map", "variance_slope", "variance_curvature", "chi"):
        assert getattr(net, name)(point.q) == getattr(edge, name)(point.q), name
    for name, at in (
        ("correlation_map", rho),
        ("correlation_slope", rho),
        ("correlation_gap", gap),
    ):
        residual, plain = getattr(net, name)(at, point.q), getattr(edge, name)(at, point.q)
        # V(q*) is q* to some ulps only.
        assert float(residual) == pytest.approx(float(plain), rel=1e-13, abs=1e-13), name
    assert net.with_same_fixed_points() == edge


STREAMS: list[Stream] = [
    st.Residual(st.edge_of_chaos(activation_for("crelu", 0.8, 0.7)), 0.5),
    st.Residual(st.edge_of_chaos(activation_for("st", 0.6, None)), 0.8, 0.6),
    st.PreNorm(activation_for("cst", 0.7, 0.6), 0.7, 1.0, 3.0),
    st.PreNorm(activation_for("relu", 0.9, None), 0.3, 1.0, 9.0, "layer"),
]


@pytest.mark.claim("Residual: maps", "Residual: pre-norm")
@pytest.mark.parametrize("net", STREAMS, ids=repr)
def test_gap_slope_and_correlation_of_a_stream_are_one_function(net: Stream) -> None:
    """1 - R(1 - gap) is the gap; its difference quotients are the slope, to their own error."""
    q, step = 1.7, 1e-5
    rho = np.linspace(-0.9, 0.9, 7)
    mapped = net.correlation_map(rho, q)
    assert np.allclose(1 - net.correlation_gap(1 - rho, q), mapped, rtol=0, atol=1e-14)
    quotient = (net.correlation_map(rho + step, q) - net.correlation_map(rho - step, q)) / step / 2
    assert np.allclose(net.correlation_slope(rho, q), quotient, rtol=1e-8)
    assert float(net.correlation_map(1.0, q)) == pytest.approx(1, abs=1e-14)
    assert float(net.correlation_gap(0.0, q)) == 0
    # R'(1) q' = chi q for every q, fixed point or not.
    ratio = net.variance_map(q) / q
    assert float(net.correlation_slope(1.0, q) * ratio) == pytest.approx(net.chi(q), rel=1e-13)


@pytest.mark.claim("Residual: maps", "Residual: pre-norm")
def test_parameters_and_starts_of_streams_broadcast() -> None:
    """Each has the path that it has alone."""
    net = st.edge_of_chaos(st.ShiftedReLU([[0.5], [1.0]]))
    alphas = np.array([0.1, 0.5, 1.0])
    paths = st.Residual(net, alphas).trajectory(6)
    grown = st.Residual(net, alphas).log_gradient_growth(6)
    phi = st.ClippedReLU(1.0, [[0.5], [1.0]])
    walks = st.PreNorm(phi, alphas).trajectory(6, [[2.0], [1.0]])
    gains = st.PreNorm(phi, alphas).log_gradient_growth(6, [[2.0], [1.0]])
    assert paths.shape == grown.shape == walks.shape == gains.shape == (6, 2, 3)
    for i, tau in enumerate((0.5, 1.0)):
        for j, alpha in enumerate(alphas):
            alone = st.Residual(st.edge_of_chaos(st.ShiftedReLU(tau)), alpha)
            assert np.allclose(paths[:, i, j], alone.trajectory(6), rtol=1e-14)
            assert np.allclose(grown[:, i, j], alone.log_gradient_growth(6), rtol=1e-13)
            blocks = st.PreNorm(st.ClippedReLU(1.0, tau), alpha)
            assert np.allclose(walks[:, i, j], blocks.trajectory(6, 2.0 - i), rtol=1e-14)
            assert np.allclose(gains[:, i, j], blocks.log_gradient_growth(6, 2.0 - i), rtol=1e-13)


def sides(kind: str) -> int:
    return 2 if kind in ODD else 1


def final_factor(kind: str, net: st.MeanField, alpha: float) -> float:
    """The factor by which q grows in the end, unclipped: half of a normal variable a side."""
    return 1 + alpha**2 * float(net.sigma_w2) * sides(kind) / 2


@pytest.mark.claim("Residual: growth")
@pytest.mark.control("Residual: growth", replace="final_factor", by=doubled)
@pytest.mark.parametrize("alpha", [0.3, 1.0])
@pytest.mark.parametrize("kind", UNCLIPPED)
def test_the_variance_of_an_unclipped_stream_grows_exponentially(kind: str, alpha: float) -> None:
    """So do its gradients, and the sparsity falls to a half or to zero.

    The factor is approached like tau / sqrt(q), which is below 1e-6 after 150 layers or so.
    """
    net = st.edge_of_chaos(activation_for(kind, 0.85, None))
    stream = st.Residual(net, alpha)
    path = stream.trajectory(200)
    factor = final_factor(kind, net, alpha)
    assert float(path[-1] / path[-2]) == pytest.approx(factor, rel=1e-6)
    assert float(stream.chi(path[-1])) == pytest.approx(factor, rel=1e-6)
    assert float(stream.sparsity(path[-1])) == pytest.approx(1 - sides(kind) / 2, abs=1e-6)
    assert np.all(np.diff(path) > 0)
    # chi is V': gradients grow by as much as a difference of variances.
    step = 1e-6
    spread = stream.trajectory(30, 1 + step)[-1] - stream.trajectory(30, 1 - step)[-1]
    grown = np.log(spread / (2 * step))
    assert float(stream.log_gradient_growth(30)[0]) == pytest.approx(float(grown), rel=1e-6)


@pytest.mark.claim("Residual: growth")
@pytest.mark.parametrize("alpha", [0.3, 1.0])
@pytest.mark.parametrize("kind", CLIPPED)
def test_the_variance_of_a_clipped_stream_grows_linearly_and_gradients_like_a_root(
    kind: str, alpha: float
) -> None:
    """An increment is between alpha^2 sigma_b^2 and its limit, half of the units a side at m.

    chi(q) - 1 is at most alpha^2 sigma_w^2 times the density at zero times the length of the ramp,
    which adds up to a multiple of the root of the depth. The sparsity falls all the same.
    """
    phi = activation_for(kind, 0.85, 0.7)
    net = st.edge_of_chaos(phi)
    stream, depth = st.Residual(net, alpha), 2000
    path, grown = stream.trajectory(depth), stream.log_gradient_growth(depth)
    least = alpha**2 * float(net.sigma_b2)
    most = least + alpha**2 * float(net.sigma_w2) * phi.m**2 * sides(kind) / 2
    assert np.all(np.diff(path) > least)
    assert np.all(np.diff(path) < most)
    far = stream.trajectory(2, 1e12)
    assert float(far[1] - far[0]) == pytest.approx(most, rel=1e-3)  # of 1e12, rounded to 1e-4
    slope = alpha**2 * float(net.sigma_w2) * sides(kind) * phi.m / math.sqrt(2 * math.pi)
    layers = np.arange(1, depth + 1)
    bound = slope * (1 + 2 * (np.sqrt(1 + least * layers) - 1) / least)
    assert np.all(grown[0] - grown < bound)
    # Of these roots those of a layer four times as deep are twice as large, here to a tenth.
    ratio = float(grown[0] / (grown[0] - grown[depth // 4]))
    assert ratio == pytest.approx(2, rel=0.1)
    assert float(stream.sparsity(path[-1])) < 0.85 - 0.3 * sides(kind)


@pytest.mark.claim("Residual: scaled skip")
@pytest.mark.control(
    "Residual: scaled skip", replace="sparsity_theory.Residual.variance_map", by=doubled
)
@given(point=edges(), alpha=hyp.floats(0.01, 0.99))
def test_with_a_skip_of_root_one_minus_alpha_squared_a_stream_rests_where_the_network_does(
    point: Point, alpha: float
) -> None:
    """q* is fixed, chi is 1 there, and V' - 1 and V'' shrink by alpha^2."""
    edge = st.edge_of_chaos(point.activation, point.q)
    net = st.Residual(edge, alpha, math.sqrt(1 - alpha**2))
    agree("q*", net.variance_map(point.q), point.q, ULPS, point=point, alpha=alpha)
    agree("chi", net.chi(point.q), 1, ULPS, point=point, alpha=alpha)
    slope = point.function.mean_square_slope(point.q) / point.function.mean_square_derivative(
        point.q
    )
    expected = 1 - squared(alpha) * (1 - slope)
    agree("V'", net.variance_slope(point.q), expected, 4 * ULPS, scale=1, point=point, alpha=alpha)
    plain = net.with_same_fixed_points()
    assert plain == edge
    assert np.all(np.abs(net.trajectory(50) / point.q - 1) < 1e-10)


@pytest.mark.claim("Residual: scaled skip")
@pytest.mark.parametrize("skip", [0.0, 0.5, 0.9])
def test_fixed_points_of_a_stream_are_those_of_a_network_without_skips(skip: float) -> None:
    """Where alpha^2 V(q) = (1 - skip^2) q; three for a clip past the bifurcation at its own q*."""
    edge = st.edge_of_chaos(st.ClippedSoftThreshold.for_sparsity(0.85, 0.9))
    net = st.Residual(edge, 0.5, skip)
    plain = net.with_same_fixed_points()
    found = [point.q for point in st.fixed_points(plain)]
    assert np.allclose(net.variance_map(found), found, rtol=1e-12)
    assert plain.q_star is None
    scaled = st.Residual(edge, math.sqrt(1 - skip**2), skip).with_same_fixed_points()
    assert len(st.fixed_points(scaled)) == 3


# ---------------------------------------------------------------- behind a normalization


def block_moments(point: Point) -> tuple[Number, Number]:
    """E phi^2 and q E phi'^2 at variance q, by definition."""
    slopes = mp.mpf(point.q) * point.function.mean_square_derivative(point.q)
    return point.function.mean_square(point.q), slopes


def swapped(right: Any) -> Any:
    """The two moments, taken for each other."""
    return lambda point: right(point)[::-1]


@pytest.mark.claim("Residual: pre-norm", evidence="identity")
@given(
    point=edges(),
    alpha=ALPHAS,
    sigma_v2=hyp.floats(0.1, 10.0),
    q=hyp.floats(0.1, 100.0),
)
def test_a_block_behind_a_normalization_adds_the_same_at_any_variance(
    point: Point, alpha: float, sigma_v2: float, q: float
) -> None:
    """v = alpha^2 sigma_v^2 E phi^2, and chi = 1 + alpha^2 sigma_v^2 sigma_w^2 E phi'^2 / q."""
    net = st.PreNorm(point.activation, alpha, point.q, sigma_v2)
    square, slopes = block_moments(point)
    scale = squared(alpha) * mp.mpf(sigma_v2)
    agree("v", net.increment, scale * square, ULPS, point=point)
    agree("q", net.variance_map(q), q + scale * square, ULPS, point=point)
    agree("chi", net.chi(q), 1 + scale * slopes / q, ULPS, point=point)
    assert float(net.sparsity(q)) == float(point.activation.sparsity(point.q))


@pytest.mark.claim("Residual: gradient power", evidence="identity")
@pytest.mark.control("Residual: gradient power", replace="block_moments", by=swapped)
@given(point=edges(), alpha=hyp.floats(0.05, 2.0), depth=hyp.integers(2, 60))
def test_gradients_behind_normalizations_grow_by_less_than_a_power_of_the_variance(
    point: Point, alpha: float, depth: int
) -> None:
    """Exactly by a quotient of gamma functions, prod (q^1 + (k + p) v) / (q^1 + k v).

    p is q* / (q* - sigma_b^2) of the network on the edge of chaos, at least 1.
    """
    net = st.PreNorm(point.activation, alpha, point.q)
    square, slopes = block_moments(point)
    p, v = slopes / square, squared(alpha) * square
    agree("p", net.gradient_exponent, p, ULPS, point=point)
    grown = mp.log(mp.rf(1 / v + p, depth - 1)) - mp.log(mp.rf(1 / v, depth - 1))
    found = float(net.log_gradient_growth(depth)[0])
    agree("growth", found, grown, 1e-12, scale=1 + grown, point=point, alpha=alpha, depth=depth)
    path = net.trajectory(depth)
    agree("q^L", float(path[-1] / path[0]), 1 + (depth - 1) * v, 1e-12, point=point, depth=depth)
    power = float(p * mp.log1p((depth - 1) * v))
    assert found <= power + 1e-12 * (1 + power)
    edge = st.edge_of_chaos(point.activation, point.q)
    agree("sigma_b^2", 1 - float(edge.sigma_b2) / point.q, 1 / p, ULPS, scale=1, point=point)


@pytest.mark.claim("Residual: gradient power", evidence="identity")
@pytest.mark.parametrize("kind", list(ACTIVATIONS))
def test_a_deep_pre_norm_network_passes_gradients_with_a_power_of_its_depth(kind: str) -> None:
    """From depth 1000 to 4000 with alpha = 1, by 4^p to a percent."""
    net = st.PreNorm(activation_for(kind, 0.85, 0.7), 1.0, 1.0, 4.0)
    deep, deeper = (float(net.log_gradient_growth(depth)[0]) for depth in (1000, 4000))
    assert (deeper - deep) / math.log(4) == pytest.approx(float(net.gradient_exponent), rel=0.01)


@pytest.mark.claim("Residual: gradient power", evidence="identity")
def test_relu_and_the_identity_pass_gradients_with_the_power_one() -> None:
    for phi in (st.ShiftedReLU(0.0), st.SoftThreshold(0.0)):
        assert float(st.PreNorm(phi, 1.0).gradient_exponent) == pytest.approx(1, rel=1e-14)


# ---------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: st.Residual(net, 0.0), r"alpha must be positive and finite, got 0\.0"),
        (lambda net: st.Residual(net, 0.1, 1.5), r"skip must be in \[0, 1\], got 1\.5"),
        (lambda net: st.Residual(net.activation, 0.1), "net must be a MeanField"),
        (lambda net: st.PreNorm(net.activation, -1.0), r"alpha must be positive .* got -1\.0"),
        (lambda net: st.PreNorm(net.activation, 1.0, 0.0), "sigma_w2 must be positive"),
        (lambda net: st.PreNorm(net.activation, 1.0, 1.0, np.nan), "sigma_v2 must be positive"),
        (lambda net: st.PreNorm(net.activation, 1.0, norm="x"), "norm must be .*'x'"),  # type: ignore[arg-type]
        (lambda net: st.PreNorm(net, 1.0), "activation must have the methods"),
        (lambda net: st.Residual(net, 1.0).with_same_fixed_points(), "skip must be below 1"),
        (lambda net: st.Residual(net, 1.0).trajectory(0), "depth must be .* at least 1, got 0"),
        (lambda net: st.Residual(net, 1.0).trajectory(3, -1.0), r"q0 must be .*, got -1\.0"),
        (lambda net: st.Residual(net, 1.0).correlation_map(2.0, 1.0), "rho must be"),
        (lambda net: st.Residual(net, 1.0).chi(0.0), "q must be positive"),
        (lambda net: st.draw_residual(net), "net must be a Residual"),
        (lambda net: st.draw_pre_norm(net), "net must be a PreNorm"),
        (lambda net: st.draw_residual(st.Residual(net, [1.0, 2.0])), r"shape \(2,\)"),
        (lambda net: st.draw_residual(st.Residual(net, 1.0), width=0), "width must be"),
        (lambda net: st.draw_pre_norm(st.PreNorm(net.activation, 1.0), 1), "width must be .* 2"),
        (lambda net: st.draw_pre_norm(st.PreNorm(net.activation, 1.0), hidden=0), "hidden must"),
        (
            lambda net: st.forecast(st.Residual(net, 1.0), kernel=3, positions=8),
            "kernel and positions go with no residual network",
        ),
    ],
)
def test_residual_networks_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85)))


@pytest.mark.claim("Oracle: input")
@given(net=streams(), q=variances(), rho=hyp.floats(-1.0, 1.0), depth=hyp.integers(1, 20))
def test_streams_of_all_kinds_have_maps_that_are_numbers(
    net: Stream, q: float, rho: float, depth: int
) -> None:
    """Correlations stay correlations, and what is added or passed on is never negative."""
    assert -1 <= float(net.correlation_map(rho, q)) <= 1
    assert 0 <= float(net.correlation_gap(1 - rho, q)) <= 2 + 1e-12
    assert 0 <= float(net.sparsity(q)) <= 1
    for quantity in (net.chi(q), net.correlation_slope(rho, q), net.variance_map(q)):
        assert math.isfinite(float(quantity))
    path, grown = net.trajectory(depth, q), net.log_gradient_growth(depth, q)
    assert np.all(np.isfinite(path))
    assert np.all(path >= 0)
    assert not np.any(np.isnan(grown))
    assert eval(repr(net), {name: getattr(st, name) for name in st.__all__}) == net


def test_streams_are_values() -> None:
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85))
    for stream in (st.Residual(net, 0.1, 0.5), st.PreNorm(net.activation, 0.1, norm="layer")):
        names = {name: getattr(st, name) for name in st.__all__}
        again = eval(repr(stream), names)
        assert again == stream
        assert hash(again) == hash(stream)
    assert st.PreNorm(net.activation, 0.1) != st.PreNorm(net.activation, 0.1, norm="layer")
