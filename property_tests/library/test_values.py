"""Activations, mean fields and results are values: fixed, comparable, printable, copyable."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.support.strategies import Point, points
from sparsity_theory.activations.derivative import check_derivative
from sparsity_theory.testing.strategies import piecewise_linear


def slope_of_tanh(x: Any) -> Any:
    return 1.0 - np.tanh(x) ** 2


ARRAYS = st.ClippedReLU([1.0, 2.0], 1.5)
WRITTEN_OUT = [
    st.ShiftedReLU(-0.1),
    st.SoftThreshold([[1.0], [1 / 3]]),
    ARRAYS,
    st.ClippedSoftThreshold(0.1, 1e-300),
    st.PiecewiseLinear([-0.1, 1 / 3], [0.0, 1.0, 0.1], 2.0),
    st.SmoothClippedReLU(1.0, 1.2, 50.0),
    st.SmoothClippedSoftThreshold(0.0, 1.2, 50.0),
    st.MeanField(st.ShiftedReLU(1 / 3), 2.0),
    st.MeanField(ARRAYS, [1.0, 2.0], 0.1, 1.0),
    st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85)),
]
"""Objects whose repr is the call that makes them."""

NET = st.edge_of_chaos(st.ClippedReLU(1.0, 1.0))
RESULTS = [
    st.forecast(NET, 20, 6, 10),
    st.draw_chain(NET, 20, 6, 10),
    st.draw_layers(NET, 20, 6, 10),
    st.small_noise(NET, 20, 6),
]
VALUES = [*WRITTEN_OUT, st.Activation(np.tanh, slope_of_tanh, [1.0, 0.0]), *RESULTS]

every_value = pytest.mark.parametrize("value", VALUES, ids=lambda x: f"{x!r:.40}")


@given(point=points())
def test_single_parameters_are_floats(point: Point) -> None:
    phi = point.activation
    net = st.MeanField(phi, 2, np.float32(0.5), np.array(1.0))
    for parameter, given_as in (
        (phi.tau, point.tau),
        (getattr(phi, "m", None), point.m),
        (net.sigma_w2, 2.0),
        (net.sigma_b2, 0.5),
        (net.q_star, 1.0),
    ):
        assert parameter == given_as
        assert parameter is None or type(parameter) is float
    assert json.loads(json.dumps(phi.tau)) == point.tau
    assert math.isclose(round(phi.tau, 3), point.tau, rel_tol=1.0, abs_tol=1e-3)


@given(phi=piecewise_linear())
def test_the_offset_of_a_piecewise_linear_activation_is_a_float(phi: st.PiecewiseLinear) -> None:
    assert type(phi.offset) is float


def test_array_parameters_are_read_only_copies() -> None:
    tau, w = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    phi = st.ClippedSoftThreshold(tau, 1.0)
    net = st.MeanField(phi, w, w, w)
    before = net.variance_map(1.0)
    tau[0] = w[0] = -7.0
    assert np.array_equal(net.variance_map(1.0), before)
    kept: list[Any] = [phi.tau, phi.m, net.sigma_w2, net.sigma_b2, net.q_star]
    for array in kept:
        assert array.dtype == np.float64
        assert array.shape == (2,)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0


def test_arrays_of_results_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        st.draw_layers(NET, 20, 6, 10).variance[0] = 1.0
    own = np.ones((2, 3))
    chain = st.Chain(own, own, own)
    own[0] = 2.0
    assert own[0, 0] == 2.0
    assert not chain.variance.flags.writeable


@every_value
def test_attributes_can_be_neither_set_nor_deleted(value: Any) -> None:
    for name in (*vars(value), "unknown"):
        with pytest.raises(AttributeError):
            setattr(value, name, 3.0)
        with pytest.raises(AttributeError):
            delattr(value, name)


@every_value
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_are_equal_and_as_immutable(value: Any, copied: Callable[[Any], Any]) -> None:
    other = copied(value)
    assert other == value
    assert hash(other) == hash(value)
    assert repr(other) == repr(value)
    arrays = [each for each in vars(other).values() if isinstance(each, np.ndarray)]
    assert not any(array.flags.writeable for array in arrays)


def test_cached_properties_work_and_change_neither_value_nor_hash() -> None:
    chain, other = (st.draw_layers(NET, 20, 6, 10) for _ in range(2))
    assert chain.log_backward_gain is chain.log_backward_gain
    assert chain == other
    assert hash(chain) == hash(other)


def test_different_values_are_different() -> None:
    for i, value in enumerate(VALUES):
        assert [value == other for other in VALUES] == [j == i for j in range(len(VALUES))]
        assert value != 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (st.ShiftedReLU(0.0), st.ShiftedReLU(-0.0)),
        (st.ShiftedReLU([0.0, 1.0]), st.ShiftedReLU([-0.0, 1.0])),
        (st.ClippedReLU(1, 2), st.ClippedReLU(np.float32(1), 2.0)),
        (ARRAYS, st.ClippedReLU(np.array([1, 2]), [1.5, 1.5])),
        (st.Activation(np.tanh, slope_of_tanh, [1, 0]), VALUES[len(WRITTEN_OUT)]),
        (st.forecast(NET, 20, 6, 10), RESULTS[0]),
    ],
)
def test_equal_parameters_make_equal_values(one: Any, other: Any) -> None:
    assert (one == other) is True
    assert hash(one) == hash(other)
    assert len({one, other}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (st.ShiftedReLU(1.0), st.SoftThreshold(1.0)),
        (st.ShiftedReLU(1.0), st.ShiftedReLU([1.0])),
        (st.ShiftedReLU([1.0, 2.0]), st.ShiftedReLU([[1.0, 2.0]])),
        (st.ShiftedReLU([1.0, 2.0]), st.ShiftedReLU([1.0, 3.0])),
        (st.ShiftedReLU(1.0), st.PiecewiseLinear([1.0], [0.0, 1.0])),
        (st.MeanField(ARRAYS, 1.0), st.MeanField(ARRAYS, 1.0, q_star=1.0)),
        (st.forecast(NET, 20, 6, 10), st.forecast(NET, 20, 6, 10, seed=1)),
    ],
)
def test_other_parameters_shapes_or_classes_make_other_values(one: Any, other: Any) -> None:
    assert (one == other) is False
    assert len({one, other}) == 2


@pytest.mark.parametrize("value", WRITTEN_OUT, ids=lambda x: f"{x!r:.40}")
def test_the_repr_of_an_object_evaluates_to_it(value: Any) -> None:
    assert eval(repr(value), vars(st)) == value


@given(point=points(), q=hyp.floats(0.1, 10.0))
def test_the_repr_loses_no_digit(point: Point, q: float) -> None:
    net = st.MeanField(point.activation, q, q / 3, q / 7)
    assert eval(repr(net), vars(st)) == net


def test_reprs_read_as_calls() -> None:
    assert repr(st.ClippedReLU(1, 1)) == "ClippedReLU(tau=1.0, m=1.0)"
    assert repr(st.ClippedReLU([1, 2], 1)) == "ClippedReLU(tau=[1.0, 2.0], m=[1.0, 1.0])"
    assert repr(st.MeanField(st.ShiftedReLU(), 2.0, q_star=1.0)) == (
        "MeanField(activation=ShiftedReLU(tau=0.0), sigma_w2=2.0, sigma_b2=0.0, q_star=1.0)"
    )


def test_long_arrays_are_summarized_in_reprs() -> None:
    assert repr(st.ShiftedReLU(np.zeros(5000))) == "ShiftedReLU(tau=<array of shape (5000,)>)"
    for result in (st.forecast(NET, 20, 50, 10), st.draw_chain(NET, 20, 50, 10)):
        assert len(repr(result)) < 800
        assert "\n" not in repr(result)


@pytest.mark.parametrize("parameters", [(1.0, 1.5), ([1.0, 2.0], 1.5)], ids=["single", "array"])
def test_maps_give_a_scalar_for_single_numbers_and_arrays_for_arrays(parameters: Any) -> None:
    net = st.MeanField(st.ClippedReLU(*parameters), 2.0, 0.1, 1.0)
    single = np.ndim(parameters[0]) == 0
    for name in ("variance_map", "variance_slope", "variance_curvature", "chi"):
        assert type(getattr(net, name)(0.5)) is (np.float64 if single else np.ndarray)
    for name in ("correlation_map", "correlation_slope", "correlation_gap"):
        assert type(getattr(net, name)(0.5)) is (np.float64 if single else np.ndarray)
    for value in (
        net.activation.sparsity(),
        st.one_step_variance(net, 0.5, 100),
        st.correlation_fixed_point(net),
        *st.depth_scales(net),
        *st.jacobian_moments(net, 3),
    ):
        assert type(value) is (np.float64 if single else np.ndarray)
    assert type(net.variance_map(np.ones(3 if single else 2))) is np.ndarray


@pytest.mark.parametrize(
    "phi",
    [
        *(kind(*[1.0] * (1 + kind.clipped)) for kind in st.ACTIVATIONS.values()),
        st.PiecewiseLinear([0.0, 1.0], [0.1, 1.0, 0.5], 0.3),
    ],
    ids=repr,
)
def test_activations_give_a_scalar_for_single_numbers_and_arrays_for_arrays(phi: Any) -> None:
    for call in (phi, phi.derivative):
        for single in (1, 0.5, np.float32(0.5), np.array(0.5), math.nan, math.inf):
            assert type(call(single)) is np.float64
        for several in ([1, 2], (0.5,), np.zeros((2, 3)), np.zeros(0)):
            assert type(call(several)) is np.ndarray
            assert call(several).shape == np.shape(several)


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (np.tanh, np.cosh),
        (np.tanh, lambda x: 1.01 * slope_of_tanh(x)),
        (np.sin, lambda x: -np.cos(x)),
        (lambda x: np.maximum(x, 0.0), np.ones_like),
        (lambda x: x, lambda x: 0.0),
        (lambda x: np.tanh(1e6 * x), slope_of_tanh),
    ],
)
def test_a_wrong_derivative_is_refused_with_a_point(function: Any, derivative: Any) -> None:
    with pytest.raises(ValueError, match=r"derivative must be that of function, got .* at x = "):
        st.Activation(function, derivative)


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: np.abs(np.mod(x, 0.02) - 0.01), lambda x: np.sign(np.mod(x, 0.02) - 0.01)),
        (lambda x: np.abs(np.mod(x, 1e-3)), np.ones_like),
        (lambda x: np.round(20 * x), np.zeros_like),
        (lambda x: np.round(1e3 * x) / 1e3, np.zeros_like),
        (np.sign, np.zeros_like),
        (lambda x: np.tanh(x.astype(np.float32)), slope_of_tanh),
        (lambda x: np.sqrt(x), lambda x: 0.5 / np.sqrt(x)),
        (lambda x: np.exp(x**3), lambda x: 3 * x**2 * np.exp(x**3)),
        (lambda x: 1.0 / x, lambda x: -(x**-2)),
        (lambda x: x, lambda x: 1.0),
        (lambda x: x + 1e9, np.ones_like),
    ],
)
def test_right_derivatives_pass_in_spite_of_kinks_jumps_poles_and_rounding(
    function: Any, derivative: Any
) -> None:
    check_derivative(function, derivative)


@given(frequency=hyp.floats(-12.0, 25.0).map(math.exp), scale=hyp.floats(1.0, 1e3))
def test_oscillations_of_any_frequency_pass(frequency: float, scale: float) -> None:
    check_derivative(
        lambda x: np.sin(frequency * x), lambda x: frequency * np.cos(frequency * x), scale
    )


@given(phi=piecewise_linear(), size=hyp.floats(-9.0, 9.0).map(math.exp))
def test_kinks_that_are_not_listed_pass(phi: st.PiecewiseLinear, size: float) -> None:
    check_derivative(lambda x: phi(x / size), lambda x: phi.derivative(x / size) / size)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (math.tanh, "function must take an array elementwise, got .* raises TypeError"),
        (lambda x: "no", "function must take an array elementwise, got .* raises ValueError"),
        (lambda x: x[:1], "function must give an array of its argument's shape"),
        (lambda x: None, "function must return numbers, got .*, which returns None"),
        (None, "function must be callable, got None"),
    ],
)
def test_what_is_no_function_of_arrays_is_refused(function: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        st.Activation(function, np.ones_like)


def test_a_function_that_writes_into_its_argument_is_taken_for_what_it_returns() -> None:
    """As torch's functions with an underscore do; the caller's array stays as it was."""

    def in_place(x: Any) -> Any:
        return np.clip(x - 1.0, 0.0, 1.5, out=x)

    def slope(x: Any) -> Any:
        return np.multiply(x > 1.0, x < 2.5, out=x, dtype=float)

    x = np.linspace(-3.0, 3.0, 7)
    phi, exact = st.Activation(in_place, slope, [1.0, 2.5]), st.ClippedReLU(1.0, 1.5)
    np.testing.assert_array_equal(phi(x), exact(x))
    np.testing.assert_array_equal(x, np.linspace(-3.0, 3.0, 7))
    assert st.edge_of_chaos(phi).sigma_b2 == pytest.approx(st.edge_of_chaos(exact).sigma_b2)


def test_a_function_of_single_numbers_is_made_one_of_arrays_by_vectorize() -> None:
    phi = st.Activation(np.vectorize(math.tanh), np.vectorize(lambda x: 1 - math.tanh(x) ** 2))
    exact = st.Activation(np.tanh, slope_of_tanh)
    assert phi.mean_square(np.array(2.0)) == pytest.approx(exact.mean_square(np.array(2.0)))
    assert phi(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("name", st.__all__)
def test_every_public_name_can_be_inspected(name: str) -> None:
    assert name in dir(st)
    assert inspect.getmembers(getattr(st, name))


def test_the_version_is_listed_before_it_is_asked_for() -> None:
    assert "__version__" in dir(st)
