"""Compare an implementation of an activation with the exact one, and name the worst point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._types import Array
from .floating import FORMATS, Format
from .libraries import LIBRARIES, Implementation, Library, library_of
from .rounding import Allowance, ExactActivation

_RANDOM_POINTS = 200
_STEPS = 4  # ulps on either side of a kink at which to look


@dataclass(frozen=True)
class ConformanceReport:
    """What was seen of an implementation that conforms; printed, it says so.

    Attributes:
        points: the number of points of evaluation.
        dtype: the type.
        flushes_subnormals: whether numbers below the smallest normal one were taken for zero.
    """

    points: int
    dtype: str
    flushes_subnormals: bool

    def __str__(self) -> str:
        note = "; subnormals are flushed to zero" if self.flushes_subnormals else ""
        return f"conforms at {self.points} points of {self.dtype}{note}"


def assert_conforms(
    implementation: Implementation,
    activation: ExactActivation,
    *,
    derivative: Implementation | None = None,
    dtype: str = "float64",
    ulps: float = 2.0,
    library: str | None = None,
    either_slope: bool = False,
) -> ConformanceReport:
    """Check an implementation of an activation against the exact one, and report its worst point.

    It is evaluated at all kinks and the numbers up to four ulps from them, signed zeros,
    infinities, NaN, the largest and the smallest numbers of the type, and random numbers of either
    sign on the kinks' scale; also on arrays that are empty, 0-d, two-dimensional or not contiguous,
    where the same values are expected, within the tolerance.
    The result must have the shape and type of the argument, which must not be changed.

    A value may be off by ``ulps`` ulps of the largest number that it is computed from: of phi(x),
    of the kinks up to |x|, and of those between x and the interval where phi = 0; a kink counts by
    the steepest slope, if that is above 1. Of the default of 2, half an ulp is for each of the two
    parameters tau and m, which the implementation may have rounded to its type, and half for each
    of a subtraction and an addition. Where phi = 0 nearer to zero than all kinks it must be 0.

    The derivative, from ``derivative`` or from torch's autograd, must be exact to as many ulps; an
    implementation in torch that autograd cannot differentiate needs a ``derivative``. At a kink it
    is the smaller in magnitude of the two slopes, so that no gradient passes through a unit at the
    edge of its dead zone, if the type represents all kinks. Where it rounds them, and within an ulp
    of a kink, either slope is accepted, and any between them: torch.maximum takes the mean at a
    tie. Its value at NaN is not checked.

    Subnormals may be flushed to zero, as arguments and as results; the report then says so. Values
    that exceed the type's largest number may be infinite.

    Args:
        implementation: a function of one array (NumPy, torch, JAX), or a torch module.
        activation: the exact one, such as ``st.ClippedReLU(tau, m)``.
        derivative: phi', as a function of the same kind.
        dtype: "float64", "float32", "float16" or "bfloat16".
        ulps: the tolerance.
        library: "numpy", "torch" or "jax", where it cannot be told from the implementation.
        either_slope: accept either slope at every kink, and any between them, as for
            ``torch.clamp``, whose gradient at its bounds is 1.

    Returns:
        A report, which says whether subnormals are flushed to zero.

    Raises:
        AssertionError: if it does not conform; the message names the worst point.
        ValueError: for an implementation or derivative that cannot be called, an activation
            without a derivative, an unknown dtype or library, a dtype that the library lacks, or
            ulps that are not positive.
    """
    if not callable(implementation):
        raise ValueError(f"implementation must be callable, got {implementation!r}")
    if derivative is not None and not callable(derivative):
        raise ValueError(f"derivative must be callable, got {derivative!r}")
    if not callable(activation) or not callable(getattr(activation, "derivative", None)):
        raise ValueError(
            "activation must be the exact one, with its derivative, such as "
            f"st.ClippedReLU(tau, m), got {activation!r}"
        )
    if dtype not in FORMATS:
        raise ValueError(f"dtype must be one of {', '.join(FORMATS)}, got {dtype!r}")
    if library is not None and library not in LIBRARIES:
        raise ValueError(f"library must be one of {', '.join(LIBRARIES)}, got {library!r}")
    if not ulps > 0:
        raise ValueError(f"ulps must be positive, got {ulps!r}")
    found = library_of(implementation) if library is None else LIBRARIES[library]
    allowance = Allowance(activation, FORMATS[dtype], ulps)
    check = _Check(implementation, activation, found, FORMATS[dtype], allowance, either_slope)
    with np.errstate(over="ignore", invalid="ignore"):  # the largest numbers, and infinity times 0
        flushed = check.values()
        check.special_values()
        check.shapes()
        flushed |= check.slopes(derivative)
    return ConformanceReport(check.points().size, dtype, flushed)


@dataclass(frozen=True)
class _Check:
    """One implementation, the activation that it should be, and how closely."""

    implementation: Implementation
    activation: ExactActivation
    library: Library
    format: Format
    allowance: Allowance
    either_slope: bool

    def values(self) -> bool:
        """The values phi(x) at every finite point; returns whether subnormals are flushed."""
        x = self.points()
        found, expected, allowed = self._run(x), self.activation(x), self.allowance.of_values(x)
        overflown = np.isinf(found) & (np.abs(expected) > self.format.largest)
        overflown &= np.sign(found) == np.sign(expected)
        expected = np.where(overflown, found, expected)
        at_zero, smallest = np.zeros(1), self.format.smallest_normal
        subnormal = self.format.is_subnormal(x)
        excused = subnormal & self._close(
            found, self.activation(at_zero), self.allowance.of_values(at_zero)
        )
        # Compared as zero but passed on as it is, x may take the branch of the other sign.
        excused |= subnormal & (np.abs(expected) < smallest) & (np.abs(found) < smallest)
        excused |= (np.abs(expected) < smallest) & (found == 0.0)
        excused &= ~self._close(found, expected, allowed)
        self._compare("phi", np.where(excused, expected, found), expected, allowed, x)
        lost = subnormal & self.format.is_subnormal(self.format.rounded(expected)) & (found == 0.0)
        compared_as_zero = self.format.smallest == 0.0  # this thread flushes, NumPy included
        return bool(np.any(excused | lost)) or compared_as_zero

    def special_values(self) -> None:
        """The values at infinities, and NaN at NaN."""
        x = np.array([np.inf, -np.inf, np.nan, 1.0])
        found, expected = self._run(x), self.activation(x)
        self._compare("phi", found[:2], expected[:2], self.allowance.of_values(x[:2]), x[:2])
        if not np.isnan(found[2]):
            value = float(found[2])
            self._fail(f"phi(nan) is {value!r} and should be nan: NaN must not be swallowed")

    def shapes(self) -> None:
        """Whatever the shape and the strides, the same values but for rounding, shape and type."""
        every = self.points()
        every = every[~self.format.is_subnormal(every)]
        x = every[np.linspace(0, every.size - 1, 24).astype(int)]
        flat = self._run(x)
        table, values = x.reshape(4, 6), flat.reshape(4, 6)
        self._same("an empty array", np.zeros((0,)), np.zeros((0,)))
        self._same("an empty array with two axes", np.zeros((0, 3)), np.zeros((0, 3)))
        self._same("an array without axes", x[7].reshape(()), flat[7].reshape(()))
        self._same("an array with two axes", table, values)
        made = self.library.array(table, self.format.name)
        self._same("a transposed array", table.T, values.T, made.T)
        self._same("every second column", table[:, ::2], values[:, ::2], made[:, ::2])
        if self.library.name == "numpy":
            self._same("a reversed array", table[::-1], values[::-1], made[::-1])

    def slopes(self, derivative: Implementation | None) -> bool:
        """The values phi'(x) at every finite point, if there is a derivative or autograd.

        Returns whether subnormals are flushed.
        """
        x = self.points()
        if derivative is None:
            try:
                found = self.library.gradient(self.implementation, x, self.format.name)
            except RuntimeError as error:
                raise AssertionError(self._sentence(f"its gradient raises {error!r}")) from error
            if found is None:
                return False
        else:
            found = self.library.numbers(derivative(self.library.array(x, self.format.name)))
        expected = self.allowance.nearest_slopes(x, found, self.either_slope)
        allowed = self.allowance.of_slopes(expected)
        at_zero = self.allowance.nearest_slopes(np.zeros(x.size), found, self.either_slope)
        flushed = self.format.is_subnormal(x) & ~self._close(found, expected, allowed)
        flushed &= self._close(found, at_zero, self.allowance.of_slopes(at_zero))
        self._compare("phi'", np.where(flushed, expected, found), expected, allowed, x)
        return bool(np.any(flushed))

    def points(self) -> Array:
        """The points of evaluation, all of them numbers of the type."""
        kinks = self.allowance.kinks
        scale = max(1.0, float(np.max(np.abs(kinks), initial=0.0)))
        random = np.random.default_rng(0).normal(scale=2.0 * scale, size=_RANDOM_POINTS)
        ends = np.concatenate([[0.0], kinks, [2.0 * scale]])
        between = 0.5 * (np.sort(ends)[1:] + np.sort(ends)[:-1])
        magnitudes = [self.format.smallest_normal, 1e3 * scale, self.format.largest]
        some = np.concatenate([random, between, np.array(magnitudes)])
        near = self.format.around(kinks, _STEPS) if kinks.size else kinks
        chosen = self.format.rounded(np.concatenate([some, -some, near, -near, [0.0]]))
        smallest = self.format.smallest
        return np.concatenate([np.unique(chosen), [-0.0, smallest, -smallest]])

    @staticmethod
    def _close(found: Array, expected: Array, tolerance: Array) -> NDArray[np.bool_]:
        """Whether equal, NaN to NaN too, or off by no more than the tolerance."""
        with np.errstate(invalid="ignore", over="ignore"):
            same = (found == expected) | (np.isnan(found) & np.isnan(expected))
            return np.asarray(same | (np.abs(found - expected) <= tolerance))

    def _run(self, x: Array) -> Array:
        """The implementation's values; checks the shape and type too, and that x is not changed."""
        return self._run_on(self.library.array(x, self.format.name), x, "an array with one axis")

    def _run_on(self, given: Any, x: Array, what: str) -> Array:
        before = self.library.numbers(given).copy()
        try:
            made = self.implementation(given)
        except Exception as error:
            raise AssertionError(self._sentence(f"{what} raises {error!r}")) from error
        after = self.library.numbers(given)
        if not np.array_equal(after, before, equal_nan=True):
            self._fail(f"{what} is changed by the call: the argument must be left alone")
        kind = self.library.dtype(made)
        if kind != self.format.name:
            self._fail(f"{what} of {self.format.name} comes back as {kind}")
        numbers = self.library.numbers(made)
        if numbers.shape != x.shape:
            self._fail(f"{what} of shape {x.shape} comes back with shape {numbers.shape}")
        return numbers

    def _same(self, what: str, x: Array, expected: Array, given: Any = None) -> None:
        given = self.library.array(x, self.format.name) if given is None else given
        found = self._run_on(given, x, what)
        allowed = self.allowance.of_values(x.ravel()).reshape(x.shape)  # libraries vectorize
        wrong = np.argwhere(~self._close(found, expected, allowed))
        if wrong.size:
            at = tuple(wrong[0].tolist())
            self._fail(
                f"{what} has phi({float(x[at])!r}) = {float(found[at])!r} at {at}, and a plain "
                f"array {float(expected[at])!r}"
            )

    def _compare(
        self, name: str, found: Array, expected: Array, tolerance: Array, x: Array
    ) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(found - expected)
        wrong = ~self._close(found, expected, tolerance)
        excess = np.where(wrong, np.where(np.isnan(error), np.inf, error - tolerance), -np.inf)
        if not np.any(wrong):
            return
        worst = int(np.argmax(excess))
        distance = self._distance(found[worst], expected[worst], tolerance[worst])
        self._fail(
            f"{name}({float(x[worst])!r}) is {float(found[worst])!r} and should be "
            f"{float(expected[worst])!r}, {distance}; "
            f"{int(np.sum(wrong))} of {x.size} points are wrong, {_where(x[wrong])}"
        )

    def _distance(self, found: float, expected: float, tolerance: float) -> str:
        """How far it is off, in the ulps that the tolerance is in, those of the result if it is 0.

        Ulps of zero are the smallest number; more of them than doubles can count are left out.
        """
        if np.isnan(found):
            return "a number"
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            error = abs(found - expected)
            ulp = tolerance / self.allowance.ulps or self.format.ulp(np.abs(expected))
            ulps = float(error / ulp)
        return f"off by {ulps:.3g} ulps" if np.isfinite(ulps) else f"off by {error:.3g}"

    def _fail(self, what: str) -> None:
        raise AssertionError(self._sentence(what))

    def _sentence(self, what: str) -> str:
        name = getattr(self.implementation, "__name__", None) or repr(self.implementation)
        kind = f"{self.library.name} {self.format.name}"
        return f"{name} does not conform to {self.activation!r} ({kind}): {what}"


def _where(x: Array) -> str:
    low, high = float(x.min()), float(x.max())
    return f"all at x = {low!r}" if low == high else f"x from {low:.6g} to {high:.6g}"
