"""The checks of other people's activations and maps: what is right passes, every bug is named."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as hyp
from scipy.integrate import quad
from scipy.special import expit
from torch import Tensor, nn

import sparsity_theory as st
import torch_models as tm
from property_tests.support.strategies import activations, scaled_thresholds
from sparsity_theory.testing import assert_conforms, assert_correlation_map, assert_variance_map
from sparsity_theory.testing.floating import FORMATS

TAU, M = 1.0364333894937898, 1.17
CRELU = st.ClippedReLU(TAU, M)
DTYPES = ("float64", "float32", "float16", "bfloat16")


# ---------------------------------------------------------------- what is right passes

TORCH: list[tuple[Callable[[Tensor], Tensor], Any]] = [
    (nn.ReLU(), st.ShiftedReLU(0.0)),
    (nn.LeakyReLU(0.125), st.PiecewiseLinear([0.0], [0.125, 1.0])),
    (nn.ReLU6(), st.ClippedReLU(0.0, 6.0)),
    (nn.Softshrink(0.5), st.SoftThreshold(0.5)),
    (nn.Softshrink(TAU), st.SoftThreshold(TAU)),
    (nn.Hardtanh(-M, M), st.ClippedSoftThreshold(0.0, M)),
    (tm.ShiftedReLU(TAU), st.ShiftedReLU(TAU)),
    (tm.SoftThreshold(TAU), st.SoftThreshold(TAU)),
    (tm.ClippedReLU(TAU, M), CRELU),
    (tm.ClippedSoftThreshold(TAU, M), st.ClippedSoftThreshold(TAU, M)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("module", "activation"), TORCH, ids=lambda x: repr(x)[:50])
def test_torch_s_own_activations_and_ours_conform_with_their_gradients(
    module: Any, activation: Any, dtype: str
) -> None:
    assert_conforms(module, activation, dtype=dtype)


@given(phi=activations())
def test_every_activation_of_the_library_conforms_to_itself(phi: st.PiecewiseLinear) -> None:
    assert_conforms(phi, phi, derivative=phi.derivative)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_an_implementation_in_numpy_conforms_in_every_type_it_is_written_for(dtype: str) -> None:
    def crelu(x: Any) -> Any:
        return np.clip(x - x.dtype.type(TAU), 0, x.dtype.type(M))

    assert_conforms(crelu, CRELU, dtype=dtype)


def test_a_smooth_activation_is_checked_too() -> None:
    tanh = st.Activation(np.tanh, lambda x: np.asarray(1.0 - np.tanh(x) ** 2))
    assert_conforms(np.tanh, tanh, ulps=4)
    with pytest.raises(AssertionError, match="phi"):
        assert_conforms(np.arctan, tanh, ulps=4)


def test_a_function_of_one_s_own_over_torch_is_recognized() -> None:
    """And torch.clamp passes gradients on at its bounds, where the paper's activations do not."""

    def crelu(x: Tensor) -> Tensor:
        return torch.clamp(x - TAU, 0, M)

    assert_conforms(crelu, CRELU, either_slope=True)
    with pytest.raises(AssertionError, match=r"phi'\(1\.036.* is 1\.0 and should be 0\.0"):
        assert_conforms(crelu, CRELU)


# ---------------------------------------------------------------- however it is written

SOFT = st.SoftThreshold(TAU)
CST = st.ClippedSoftThreshold(TAU, M)
NEGATIVE = st.ClippedReLU(-0.7, 1.9)
"""A threshold below zero: at zero phi is .7, which types round."""
LEAKY = st.PiecewiseLinear([-0.7], [0.1, 1.0])
HARDTANH = st.PiecewiseLinear([-1.0, 1.0], [0.0, 1.0, 0.0], -1.0)

FORMULATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Any]] = {
    "relu of x - tau": (lambda x: torch.relu(x - TAU), st.ShiftedReLU(TAU)),
    "relu of x + .7": (lambda x: torch.relu(x + 0.7), st.ShiftedReLU(-0.7)),
    "maximum less tau": (
        lambda x: torch.maximum(x, x.new_tensor(TAU)) - x.new_tensor(TAU),
        st.ShiftedReLU(TAU),
    ),
    "threshold": (lambda x: nn.functional.threshold(x - TAU, 0.0, 0.0), st.ShiftedReLU(TAU)),
    "where": (lambda x: torch.where(x <= TAU, 0.0, x - TAU), st.ShiftedReLU(TAU)),
    "module of relu6": (nn.ReLU6(), st.ClippedReLU(0.0, 6.0)),
    "clamp": (lambda x: torch.clamp(x - TAU, 0, M), CRELU),
    "clamp of a negative threshold": (lambda x: torch.clamp(x + 0.7, 0, 1.9), NEGATIVE),
    "hardtanh of x - tau": (lambda x: nn.functional.hardtanh(x - TAU, 0.0, M), CRELU),
    "softshrink": (nn.Softshrink(TAU), st.SoftThreshold(TAU)),
    "sign and size": (
        lambda x: torch.sign(x) * torch.relu(x.abs() - TAU),
        st.SoftThreshold(TAU),
    ),
    "x less its clamp": (lambda x: x - torch.clamp(x, -TAU, TAU), st.SoftThreshold(TAU)),
    "two relus": (lambda x: torch.relu(x - TAU) - torch.relu(-x - TAU), st.SoftThreshold(TAU)),
    "clamp of softshrink": (
        lambda x: torch.clamp(nn.functional.softshrink(x, TAU), -M, M),
        CST,
    ),
    "sign and clamped size": (lambda x: x.sign() * torch.clamp(x.abs() - TAU, 0, M), CST),
    "leaky relu of x + .7": (lambda x: nn.functional.leaky_relu(x + 0.7, 0.1), LEAKY),
    "maximum of two lines": (lambda x: torch.maximum(0.1 * (x + 0.7), x + 0.7), LEAKY),
    "hardtanh": (nn.Hardtanh(), HARDTANH),
    "minimum and maximum": (
        lambda x: torch.minimum(torch.maximum(x, x.new_tensor(-1.0)), x.new_tensor(1.0)),
        HARDTANH,
    ),
    "traced": (
        torch.fx.symbolic_trace(nn.Sequential(nn.Softshrink(TAU), nn.Hardtanh(-M, M))),
        CST,
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMULATIONS)
def test_correct_code_in_torch_passes_however_it_is_written(name: str, dtype: str) -> None:
    """In torch's own gradients at kinks, where either slope is a subgradient."""
    function, activation = FORMULATIONS[name]
    assert_conforms(function, activation, dtype=dtype, library="torch", either_slope=True)


IN_NUMPY: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "maximum": (lambda x: np.maximum(x - x.dtype.type(TAU), 0), st.ShiftedReLU(TAU)),
    "maximum of a sum": (lambda x: np.maximum(x + x.dtype.type(0.7), 0), st.ShiftedReLU(-0.7)),
    "where": (lambda x: np.where(x <= TAU, 0, x - TAU).astype(x.dtype), st.ShiftedReLU(TAU)),
    "clip": (lambda x: np.clip(x - x.dtype.type(TAU), 0, x.dtype.type(M)), CRELU),
    "clip before": (
        lambda x: np.clip(x, x.dtype.type(TAU), x.dtype.type(TAU + M)) - x.dtype.type(TAU),
        CRELU,
    ),
    "sign": (lambda x: np.sign(x) * np.maximum(abs(x) - x.dtype.type(TAU), 0), SOFT),
    "hardtanh": (lambda x: np.minimum(np.maximum(x, -1), 1), HARDTANH),
    "in double": (lambda x: NEGATIVE(x).astype(x.dtype), NEGATIVE),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", IN_NUMPY)
def test_correct_code_in_numpy_passes_however_it_is_written(name: str, dtype: str) -> None:
    function, activation = IN_NUMPY[name]
    assert_conforms(function, activation, dtype=dtype)


@given(tau=hyp.floats(-4.0, 4.0), m=hyp.floats(0.05, 8.0), dtype=hyp.sampled_from(DTYPES))
def test_our_modules_conform_whatever_their_parameters(tau: float, m: float, dtype: str) -> None:
    assert_conforms(tm.ClippedReLU(tau, m), st.ClippedReLU(tau, m), dtype=dtype)
    assert_conforms(tm.ShiftedReLU(tau), st.ShiftedReLU(tau), dtype=dtype)


def test_one_ulp_beside_a_kink_either_slope_is_right() -> None:
    """x + 1 rounds to 2 below x = 1, where m = 2 is reached."""
    module, phi = tm.ClippedReLU(-1.0, 2.0), st.ClippedReLU(-1.0, 2.0)
    assert_conforms(module, phi)
    assert_conforms(phi, phi, derivative=phi.derivative)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_beyond_the_largest_number_may_be_infinite(dtype: str) -> None:
    steep = st.PiecewiseLinear([0.0], [0.5, 1.5])
    assert_conforms(
        lambda x: torch.where(x > 0, 1.5 * x, 0.5 * x), steep, dtype=dtype, either_slope=True
    )
    with pytest.raises(AssertionError, match=r"phi\(-.*is -inf and should be"):
        assert_conforms(
            lambda x: torch.where(x > 0, 1.5 * x, 1.5 * x), steep, dtype=dtype, library="torch"
        )


# ---------------------------------------------------------------- subnormals


@pytest.fixture
def flushing() -> Iterator[None]:
    """Arithmetic of this thread that takes subnormals for zero."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormals")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("flushing")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("module", "activation"), TORCH, ids=lambda x: repr(x)[:50])
def test_flushed_subnormals_are_no_error(module: Any, activation: Any, dtype: str) -> None:
    assert_conforms(module, activation, dtype=dtype)


@pytest.mark.usefixtures("flushing")
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_flushed_subnormals_are_told(dtype: str) -> None:
    report = assert_conforms(nn.ReLU(), st.ShiftedReLU(0.0), dtype=dtype)
    assert report.flushes_subnormals
    assert str(report).endswith(f"points of {dtype}; subnormals are flushed to zero")


@pytest.mark.usefixtures("flushing")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bug_is_caught_where_subnormals_are_flushed(dtype: str) -> None:
    with pytest.raises(AssertionError, match=r"phi\(.* should be .* off by \d"):
        assert_conforms(tm.SoftThreshold(TAU * 1.03), st.SoftThreshold(TAU), dtype=dtype)


def test_an_implementation_that_flushes_by_itself_passes_with_its_derivative() -> None:
    """As compiled code does: values and gradients at subnormals are those at zero."""

    def flushed(x: Any) -> Any:
        return np.where(abs(x) < np.finfo(x.dtype).tiny, x.dtype.type(0), x)

    for dtype in ("float64", "float32"):
        report = assert_conforms(
            lambda x: np.maximum(flushed(x), 0),
            st.ShiftedReLU(0.0),
            derivative=lambda x: (flushed(x) > 0).astype(x.dtype),
            dtype=dtype,
        )
        assert report.flushes_subnormals
    assert not assert_conforms(nn.ReLU(), st.ShiftedReLU(0.0)).flushes_subnormals


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_a_subnormal_that_rounds_to_zero_is_not_flushed(dtype: str) -> None:
    leaky = st.PiecewiseLinear([0.0], [0.1, 1.0], 0.0)
    assert not assert_conforms(nn.LeakyReLU(0.1), leaky, dtype=dtype).flushes_subnormals


# ---------------------------------------------------------------- bugs are named


def clipped_at_m(x: Any) -> Any:
    """The clip acts at m, as if the ramp began at zero."""
    return np.clip(x, TAU, M) - TAU


def swallows_nan(x: Any) -> Any:
    """A comparison with NaN is false, and ``where`` takes the other side."""
    return np.where(x > TAU, np.minimum(x - TAU, M), 0.0)


def forgets_one_side(x: Any) -> Any:
    """The threshold acts on positive numbers only."""
    return np.where(x > 0, np.maximum(x - TAU, 0.0), x)


def in_double(x: Any) -> Any:
    """The parameters are arrays of doubles, and what is of single precision becomes double."""
    return np.clip(x - np.array([TAU]), 0, M)


def in_place(x: Any) -> Any:
    """The argument is overwritten."""
    x -= TAU
    return np.clip(x, 0, M, out=x)


def flattens(x: Any) -> Any:
    """Only the first axis is kept."""
    return np.clip(np.ravel(x) - TAU, 0, M)


def reads_memory(x: Any) -> Any:
    """Values in the order of memory, whatever the strides say."""
    return np.clip(np.ravel(x, order="K").reshape(x.shape) - TAU, 0, M)


def not_empty(x: Any) -> Any:
    """An empty array has no maximum."""
    return np.clip(x - TAU, 0, min(M, float(np.max(np.abs(x)))))


def loses_infinity(x: Any) -> Any:
    """Zero times infinity is not a number."""
    return np.clip(x - TAU, 0, M) + 0 * x


def off_by_a_little(x: Any) -> Any:
    """A threshold of four digits."""
    return np.clip(x - 1.0364, 0, M)


BUGS: list[tuple[Any, Any, str, str]] = [
    (clipped_at_m, CRELU, "float64", r"phi\(.* and should be 1\.17"),
    (swallows_nan, CRELU, "float64", r"phi\(nan\) is .*0\.0.* NaN must not be swallowed"),
    (forgets_one_side, SOFT, "float64", r"phi\(-.*should be"),
    (in_double, CRELU, "float32", "of float32 comes back as float64"),
    (in_place, CRELU, "float64", "is changed by the call"),
    (flattens, CRELU, "float64", r"of shape \(.*\) comes back with shape"),
    (reads_memory, CRELU, "float64", "a transposed array has phi"),
    (not_empty, CRELU, "float64", "an empty array raises ValueError"),
    (loses_infinity, CRELU, "float64", r"phi\(inf\) is nan and should be 1\.17"),
    (off_by_a_little, CRELU, "float64", r"off by .* ulps; .* points are wrong, x from 1\.036"),
]


@pytest.mark.parametrize(
    ("bug", "activation", "dtype", "named"), BUGS, ids=[bug[0].__name__ for bug in BUGS]
)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_bug_is_caught_and_its_worst_point_named(
    bug: Any, activation: Any, dtype: str, named: str
) -> None:
    with pytest.raises(AssertionError, match=f"^{bug.__name__} does not conform to .*{named}"):
        assert_conforms(bug, activation, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_smooth_function_of_torch_conforms_within_the_digits_that_it_loses(dtype: str) -> None:
    """Its derivative cancels, and its last bit depends on the stride: torch vectorizes columns."""
    silu = st.Activation(lambda x: x * expit(x), lambda x: expit(x) * (1 + x * expit(-x)))
    with pytest.raises(AssertionError, match=r"^SiLU\(\) does not conform to .* off by .* ulps"):
        assert_conforms(nn.SiLU(), silu, dtype=dtype)
    assert_conforms(nn.SiLU(), silu, dtype=dtype, ulps=1000)


@pytest.mark.parametrize("kink", [TAU, TAU + M])
def test_a_derivative_on_the_wrong_side_of_a_kink_is_caught(kink: float) -> None:
    """``>=`` for ``>``: gradients would pass at the edge of the dead zone, or of the clip."""

    def derivative(x: Any) -> Any:
        return ((x > TAU) & (x < TAU + M)) | (x == kink)

    with pytest.raises(AssertionError, match=r"phi'\(.* is 1\.0 and should be 0\.0"):
        assert_conforms(CRELU, CRELU, derivative=lambda x: derivative(x) * 1.0)


@given(tau=scaled_thresholds(8.0), change=hyp.sampled_from([-1, 1]), part=hyp.integers(6, 40))
def test_a_threshold_off_by_more_than_rounding_is_caught(
    tau: float, change: int, part: int
) -> None:
    """By 64 ulps of tau up to a part of it, and at tau = 0 by as little."""
    wrong = tau * (1 + change * 2.0 ** -min(part, 46)) if tau else 2.0**-part
    with pytest.raises(AssertionError, match="does not conform"):
        assert_conforms(st.ClippedReLU(wrong, M), st.ClippedReLU(tau, M))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dtype": "int8"}, "dtype must be one of float64, .* got 'int8'"),
        ({"dtype": "bfloat16"}, "dtype must be one that numpy has here, got 'bfloat16'"),
        ({"library": "mxnet"}, "library must be one of numpy, torch, jax, got 'mxnet'"),
        ({"derivative": 1.0}, r"derivative must be callable, got 1\.0"),
        ({"ulps": 0.0}, r"ulps must be positive, got 0\.0"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assert_conforms(CRELU, CRELU, **changed)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ValueError, match="implementation must be callable, got 3"):
        assert_conforms(3, CRELU)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"activation must be the exact one, with its derivative"):
        assert_conforms(CRELU, np.tanh)  # type: ignore[arg-type]


def test_what_is_no_map_is_refused() -> None:
    no_maps: Any = (3, None, "V")
    no_net: Any = CRELU
    for function in no_maps:
        with pytest.raises(ValueError, match="variance_map must be callable"):
            assert_variance_map(function, NET)
        with pytest.raises(ValueError, match="correlation_map must be callable"):
            assert_correlation_map(function, NET)
    with pytest.raises(ValueError, match=r"the map must give a number for .*, got None"):
        assert_variance_map(lambda q: None, NET)
    for check in (assert_variance_map, assert_correlation_map):
        with pytest.raises(ValueError, match="net must be a MeanField"):
            check(np.square, no_net)


def test_messages_print_plain_numbers() -> None:
    with pytest.raises(AssertionError) as of_values:
        assert_conforms(np.abs, CRELU)
    with pytest.raises(AssertionError) as of_map:
        assert_variance_map(np.square, NET)
    assert "np.float64" not in f"{of_values.value} {of_map.value}"


def signs_by_their_bit(x: Tensor) -> Tensor:
    """The sign bit of -0.0 is set, and the clip is put where x = 0 was not meant."""
    sign = torch.where(torch.signbit(x), -1.0, 1.0).to(x.dtype)
    size = torch.where(torch.signbit(x) & (x == 0), M, torch.clamp(x.abs() - TAU, 0, M))
    return sign * size.to(x.dtype)


def by_division(x: Tensor) -> Tensor:
    """x / |x| is no sign at zero."""
    return x / x.abs() * torch.clamp(x.abs() - TAU, 0, M)


def even(x: Tensor) -> Tensor:
    """The sign is lost, by twice the largest number of the type."""
    return torch.relu(x.abs() - TAU)


def severed(x: Tensor) -> Tensor:
    """No gradient reaches x."""
    return torch.clamp(x.detach() - TAU, 0, M)


class StraightThrough(torch.autograd.Function):
    """The values are right; gradients pass as if phi were linear."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: D102
        return torch.clamp(x - TAU, 0, M)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: D102
        return gradient


def straight_through(x: Tensor) -> Any:
    """The wrong gradient."""
    return StraightThrough.apply(x)  # type: ignore[no-untyped-call]


class SlopeAlone(StraightThrough):
    """The slope is right, and what comes from behind is not multiplied by it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: D102
        ctx.save_for_backward(x)
        return torch.clamp(x - TAU, 0, M)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: D102
        (x,) = ctx.saved_tensors
        slope: Tensor = ((x - TAU > 0) & (x - TAU < M)).to(gradient.dtype)
        return slope


def slope_alone(x: Tensor) -> Any:
    """Right under a sum, and under nothing else."""
    return SlopeAlone.apply(x)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize(
    ("bug", "activation", "named"),
    [
        (signs_by_their_bit, CST, r"phi\(-0\.0\) is -1\.1\d+ and should be 0\.0, .* at x = -0\.0$"),
        (by_division, CST, r"phi\(-?0\.0\) is nan and should be 0\.0"),
        (even, SOFT, r"phi\(-\d.*e\+\d+\) is \d"),
        (severed, CRELU, r"its gradient raises RuntimeError"),
        (straight_through, CRELU, r"phi'\(-?\d.*\) is 1\.0 and should be 0\.0"),
        (slope_alone, CRELU, r"phi'\(-?\d.*\) is -?\d.* and should be 1\.0"),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_a_bug_in_torch_is_caught_in_every_type_and_its_worst_point_named(
    bug: Any, activation: Any, named: str, dtype: str
) -> None:
    with pytest.raises(AssertionError, match=named):
        assert_conforms(bug, activation, dtype=dtype, library="torch")


def test_an_implementation_in_jax_is_checked() -> None:
    """In the types that JAX has unless told otherwise."""
    jax = pytest.importorskip("jax")
    where, minimum, clip = jax.numpy.where, jax.numpy.minimum, jax.numpy.clip
    clipped = jax.jit(lambda x: clip(x - TAU, 0, M))
    swallowing = jax.jit(lambda x: where(x > TAU, minimum(x - TAU, M), 0))
    slope = jax.jit(lambda x: ((x > TAU) & (x < TAU + M)).astype(x.dtype))
    for dtype in ("float32", "bfloat16"):
        assert_conforms(clipped, CRELU, dtype=dtype, derivative=slope)
        with pytest.raises(AssertionError, match=r"phi\(nan\) is 0\.0 and should be nan"):
            assert_conforms(swallowing, CRELU, dtype=dtype)


def test_the_activations_of_jax_conform_with_their_gradients() -> None:
    """XLA flushes subnormals on the CPU: to zero, or to the other branch of a comparison."""
    jax = pytest.importorskip("jax")

    def leaky(x: Any) -> Any:
        return jax.nn.leaky_relu(x, 0.125)

    kinds = (
        (jax.nn.relu, st.ShiftedReLU(0.0)),
        (leaky, st.PiecewiseLinear([0.0], [0.125, 1.0])),
        (jax.nn.hard_tanh, HARDTANH),
    )
    for dtype in ("float32", "float16", "bfloat16"):
        for function, activation in kinds:
            slope = jax.vmap(jax.grad(function))
            assert_conforms(
                function,
                activation,
                dtype=dtype,
                derivative=slope,
                library="jax",
                either_slope=activation is not kinds[0][1],
            )


def test_jax_is_asked_for_arrays_by_the_names_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in, which like JAX makes single precision of double."""
    stand_in = SimpleNamespace(array=np.array, float32=np.float32, float64=np.float32)
    monkeypatch.setitem(sys.modules, "jax.numpy", stand_in)

    def crelu(x: Any) -> Any:
        return np.clip(x - x.dtype.type(TAU), 0, x.dtype.type(M))

    assert_conforms(crelu, CRELU, dtype="float32", library="jax")
    with pytest.raises(
        ValueError, match="one that jax has here, got 'float64': set jax_enable_x64"
    ):
        assert_conforms(crelu, CRELU, library="jax")


# ---------------------------------------------------------------- formats


@given(x=hyp.floats(width=32, allow_nan=False, allow_infinity=False))
def test_rounding_to_a_format_is_what_torch_does(x: float) -> None:
    for name in ("float32", "float16", "bfloat16"):
        dtype = getattr(torch, name)
        expected = float(torch.tensor(x, dtype=torch.float64).to(dtype).double())
        if math.isfinite(expected):
            assert float(FORMATS[name].rounded(np.array(x))) == expected


@pytest.mark.parametrize("name", DTYPES)
def test_an_ulp_of_zero_and_of_subnormals_is_the_smallest_number(name: str) -> None:
    kind, dtype = FORMATS[name], getattr(torch, name)
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    assert kind.smallest == smallest
    assert kind.ulp(np.array([0.0, smallest, 5 * smallest])).tolist() == [smallest] * 3
    subnormal = [0.0, smallest, -smallest, kind.smallest_normal]
    assert kind.is_subnormal(np.array(subnormal)).tolist() == [False, True, True, False]


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("x", [1.0, 1.5, -3.25, 1e-3, 100.0])
def test_the_neighbours_of_a_number_are_those_of_its_type(name: str, x: float) -> None:
    near = FORMATS[name].around(np.array([x]), 1)
    dtype = getattr(torch, name)
    for low, high in itertools.pairwise(near):
        assert low < high
        middle = torch.tensor(0.5 * (low + high), dtype=torch.float64).to(dtype).double()
        assert float(middle) in (low, high)
    assert near.size in (3, 4)  # below a power of two they lie closer


# ---------------------------------------------------------------- maps

NET = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.9))


def by_quadrature(q: float) -> float:
    """V one variance at a time, by SciPy, split at the kinks."""
    phi: Any = NET.activation
    root = math.sqrt(q)
    ends = [-12.0, *(min(max(float(k) / root, -12.0), 12.0) for k in phi.knots), 12.0]
    parts = [
        quad(lambda z: float(phi(root * z)) ** 2 * math.exp(-z * z / 2), a, b, epsabs=1e-13)[0]
        for a, b in itertools.pairwise(ends)
        if a < b
    ]
    return float(NET.sigma_w2) * math.fsum(parts) / math.sqrt(2 * math.pi) + float(NET.sigma_b2)


def across_the_kinks(q: Any) -> Any:
    """V by 100 Gauss-Hermite nodes, which do not know where the kinks are."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    x = np.sqrt(np.asarray(q))[..., None] * nodes
    mean = (NET.activation(x) ** 2 * weights).sum(axis=-1) / math.sqrt(2 * math.pi)
    return NET.sigma_w2 * mean + NET.sigma_b2


def test_a_variance_map_passes_if_it_is_right_as_a_function_of_arrays_or_of_numbers() -> None:
    assert_variance_map(by_quadrature, NET, rtol=1e-9)
    assert_variance_map(NET.variance_map, NET, rtol=1e-15)


def test_quadrature_across_the_kinks_is_caught_and_its_worst_variance_named() -> None:
    with pytest.raises(
        AssertionError, match=r"V\(q = .* off by .* allowed is 1e-06; .* of 82 points"
    ):
        assert_variance_map(across_the_kinks, NET)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda q: st.edge_of_chaos(st.ShiftedReLU(NET.activation.tau)).variance_map(q),  # type: ignore[attr-defined]
        lambda q: NET.variance_map(q) * 1.05,
        lambda q: np.where(np.asarray(q) > 2, np.nan, NET.variance_map(q)),
    ],
    ids=["unclipped", "five percent", "NaN"],
)
def test_a_wrong_variance_map_is_caught(wrong: Any) -> None:
    with pytest.raises(AssertionError, match="V"):
        assert_variance_map(wrong, NET)


def test_a_correlation_map_is_checked_likewise() -> None:
    assert_correlation_map(NET.correlation_map, NET, rtol=1e-14)
    with pytest.raises(AssertionError, match=r"R\(rho = "):
        assert_correlation_map(lambda rho: np.asarray(rho) ** 2, NET)
    with pytest.raises(ValueError, match=r"correlation|rho"):
        assert_correlation_map(NET.correlation_map, NET, rho=1.5)


# ---------------------------------------------------------------- what it needs


def test_the_checks_need_neither_hypothesis_nor_torch() -> None:
    """Strategies say what they need; the checks work without."""
    program = (
        "import sys\n"
        "sys.modules['hypothesis'] = sys.modules['torch'] = sys.modules['flint'] = None\n"
        "import sparsity_theory as st\n"
        "from sparsity_theory.testing import assert_conforms\n"
        "phi = st.ClippedReLU(1.0, 1.0)\n"
        "assert_conforms(phi, phi, derivative=phi.derivative)\n"
        "try:\n"
        "    import sparsity_theory.testing.strategies\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(
        "sparsity_theory.testing.strategies needs hypothesis: pip install"
    )
