"""The four sparsity-inducing activations as modules, for one network or for an ensemble.

All four (Eqs. 7-10) are one function. With dead zone ``[low, tau]`` and range ``[floor, m]``,

    phi(x) = clamp(x - clamp(x, low, tau), floor, m),

where an odd kind (soft thresholding) has low = -tau and floor = -m, a one-sided kind (ReLU) has
low = tau and floor = 0, and an unclipped kind has m = infinity. So members of different kinds can
share one ensemble and one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import torch
import torch.fx
from numpy.typing import NDArray
from torch import Tensor, nn

import sparsity_theory as st
from sparsity_theory import _validation as check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsity_theory.activations.expectations import GaussianExpectations

WITHOUT_FLOAT64 = ("mps",)
"""Kinds of devices that have no float64."""


class Kinks(NamedTuple):
    """Where phi changes its slope, and its values there, as tensors that broadcast with x.

    phi' is one where bottom < |phi| < top. ``top`` is the least |phi| at the upper kink: x - tau
    may round to just below m there. ``bottom`` is 0, and negative for an odd kind with tau = 0,
    which has no kink at zero.
    """

    low: Tensor
    tau: Tensor
    floor: Tensor
    m: Tensor
    bottom: Tensor
    top: Tensor

    @classmethod
    def of(cls, tau: Tensor, m: Tensor, odd: Tensor, dtype: torch.dtype) -> Kinks:
        """The kinks in ``dtype``; those of a threshold that rounds to 0 are those of tau = 0."""
        tau, m = tau.to(dtype), m.to(dtype)
        return cls(
            low=torch.where(odd, -tau, tau),
            tau=tau,
            floor=torch.where(odd, -m, 0.0),
            m=m,
            bottom=-(odd & (tau == 0)).to(dtype),
            top=torch.minimum(m, (tau + m) - tau),
        )


def shrink_and_clip(x: Tensor, kinks: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
    """phi(x) as above; ``kinks`` are `Kinks` or a sequence in their order."""
    low, tau, floor, m = kinks[:4]
    shrunk = x - torch.minimum(torch.maximum(x, low), tau)
    return torch.minimum(torch.maximum(shrunk, floor), m, out=out)


def to_nearest_kink(y: Tensor, bottom: Tensor, top: Tensor) -> Tensor:
    """Positive where y = phi(x) lies strictly between the kinks, and NaN where y is NaN."""
    size = y.abs()
    return torch.minimum(size - bottom, top - size)


def pass_between_kinks(grad: Tensor, y: Tensor, bottom: Tensor, top: Tensor) -> Tensor:
    """``grad`` where y = phi(x) lies strictly between the kinks, zero elsewhere."""
    # The backward of relu: zero where its second argument is <= 0, and NaN is not <= 0.
    distance = to_nearest_kink(y, bottom, top)
    passed: Tensor = torch.ops.aten.threshold_backward(grad, distance, 0.0)
    return passed


def sparse_activation(x: Tensor, tau: Tensor, m: Tensor, odd: Tensor) -> Tensor:
    """phi(x) in x's shape and dtype, with derivative one strictly between the kinks and zero else.

    The gradient of torch's clamp is one *at* its bounds, where the theory's derivative is zero; so
    x is kept between the kinks, and the rest is constant. These are operations of torch that
    autograd, torch.func and torch's compilers differentiate to any order.

    Raises:
        ValueError: if x has no floating dtype.
    """
    if not x.is_floating_point():
        raise ValueError(f"x must have a floating dtype, got {x.dtype}")
    kinks = Kinks.of(tau, m, odd, x.dtype)
    if not torch.compiler.is_compiling() and torch.is_inference_mode_enabled():
        return shrink_and_clip(x, kinks)
    linear = x - torch.minimum(torch.maximum(x.detach(), kinks.low), kinks.tau)
    y = torch.minimum(torch.maximum(linear.detach(), kinks.floor), kinks.m)
    return torch.where(to_nearest_kink(y, kinks.bottom, kinks.top) <= 0, y, linear)


torch.fx.wrap("sparse_activation")  # one call in a traced graph, for it looks at x's dtype


class SparseActivation(nn.Module):
    """phi of any of the four kinds, with parameters shared by all members or one set per member.

    Args:
        tau: threshold; finite, and not negative for an odd kind.
        m: the largest |phi|, in (0, inf]; inf leaves the activation unclipped.
        odd: True for the odd kinds (Eqs. 8 and 10), False for the one-sided (Eqs. 7 and 9).

    Each is a number or has shape (members,). With numbers the module takes inputs of any shape;
    with one value per member it takes (members, batch, width).

    tau, m and odd are buffers: they move between devices and are saved in the ``state_dict``. Casts
    such as ``.half()`` leave them alone: they are in float64 (float32 on a device without it, such
    as "mps"), and rounded once, to the dtype of every input. So a network has its kinks where the
    theory has them in every precision, whatever it was cast to before.

    The gradient is one strictly between the kinks, and zero on them and elsewhere, as in the
    theory; an odd kind with tau = 0 has no kink at 0. NaN stays NaN in the forward and the backward
    pass. The module works under ``torch.compile``, ``torch.export``, ``torch.fx``,
    ``torch.jit.trace`` and ``torch.autocast``; not under ``torch.jit.script``, which torch has
    deprecated.

    Raises:
        ValueError: if a parameter is out of range, neither a number nor a vector, or a tensor that
            requires a gradient: kinks are not learned.
    """

    tau: Tensor
    m: Tensor
    odd: Tensor

    def __init__(self, tau: ArrayLike, m: ArrayLike = math.inf, odd: ArrayLike = False) -> None:
        super().__init__()
        tau, m = _numbers("tau", tau), _numbers("m", m)
        odd = np.asarray(odd, dtype=np.bool_)
        shape = np.broadcast_shapes(tau.shape, m.shape, odd.shape)
        if len(shape) > 1:
            raise ValueError(f"tau, m and odd must be numbers or of shape (members,), got {shape}")
        if not np.isfinite(tau).all():
            raise ValueError(f"tau must be finite, got {tau}")
        if not (m > 0).all():
            raise ValueError(f"m must be positive (inf for no clipping), got {m}")
        if (odd & (tau < 0)).any():
            raise ValueError(f"tau must not be negative for an odd activation, got {tau}")
        for name, values in (("tau", tau), ("m", m), ("odd", odd)):
            copied = torch.from_numpy(np.array(np.broadcast_to(values, shape)))  # () or (members,)
            self.register_buffer(name, copied.reshape(-1, 1, 1) if shape else copied)

    @staticmethod
    def from_theory(phi: GaussianExpectations | Sequence[GaussianExpectations]) -> SparseActivation:
        """The module of a theory activation, or of a sequence of them, one per member.

        A ``PiecewiseLinear`` is taken where it is one of the four kinds, written out.

        Raises:
            ValueError: if an activation is not one of the four kinds of Eqs. 7-10.
        """
        if not isinstance(phi, Sequence) or isinstance(phi, str):
            return _one_module(phi)
        distinct = {id(member): member for member in phi}
        modules = {key: _one_module(member) for key, member in distinct.items()}
        tau, m, odd = (
            [getattr(modules[id(member)], name).numpy() for member in phi]
            for name in ("tau", "m", "odd")
        )
        return SparseActivation(tau, m, odd)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the buffers as ``fn`` moves them (to, cuda, half, ...), but keep their dtypes."""

        def move(buffer: Tensor) -> Tensor:
            single = buffer.float() if buffer.is_floating_point() else buffer
            if fn(single.new_empty(0)).device.type in WITHOUT_FLOAT64:
                buffer = single
            moved = fn(buffer)
            return moved if moved.dtype == buffer.dtype else buffer.to(moved.device)

        super()._apply(move, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return phi(x), in x's shape and floating dtype."""
        return sparse_activation(x, self.tau, self.m, self.odd)

    def pull_back(self, grad: Tensor, y: Tensor) -> Tensor:
        """The backward pass: phi'(x) * grad, in y's shape and dtype, from y = phi(x)."""
        kinks = self.kinks(y.dtype)
        return pass_between_kinks(grad, y, kinks.bottom, kinks.top)

    def kinks(self, dtype: torch.dtype) -> Kinks:
        """The kinks in the dtype of the inputs."""
        return Kinks.of(self.tau, self.m, self.odd, dtype)

    def extra_repr(self) -> str:
        """``tau=1.03643, m=1.17037``; for an ensemble the number of members and the ranges."""
        shown = {"tau": self.tau, "m": self.m}
        if bool(self.m.isinf().all()):
            del shown["m"]
        if self.tau.ndim == 0:
            return ", ".join(f"{name}={value:.6g}" for name, value in shown.items())
        ranges = [f"{name}={v.min():.4g}..{v.max():.4g}" for name, v in shown.items()]
        return ", ".join([f"members={len(self.tau)}", *ranges, f"odd={int(self.odd.sum())}"])


class ShiftedReLU(SparseActivation):
    """ReLU_tau(x) = max(0, x - tau)  (Eq. 7). tau = 0 is the ReLU."""

    def __init__(self, tau: ArrayLike = 0.0) -> None:
        super().__init__(tau)

    @classmethod
    def for_sparsity(cls, s: ArrayLike, q_star: ArrayLike = 1.0) -> Self:
        """The activation that is zero with probability s at variance q_star.

        Raises:
            ValueError: for s outside (0, 1), q_star not positive and finite.
        """
        phi = st.ShiftedReLU.for_sparsity(s, q_star)
        return cls(phi.tau)


class SoftThreshold(SparseActivation):
    """ST_tau(x) = sign(x) max(0, |x| - tau), tau >= 0  (Eq. 8). tau = 0 is the identity."""

    def __init__(self, tau: ArrayLike = 0.0) -> None:
        super().__init__(tau, odd=True)

    @classmethod
    def for_sparsity(cls, s: ArrayLike, q_star: ArrayLike = 1.0) -> Self:
        """The activation that is zero with probability s at variance q_star.

        Raises:
            ValueError: for s outside (0, 1), q_star not positive and finite.
        """
        phi = st.SoftThreshold.for_sparsity(s, q_star)
        return cls(phi.tau)


class ClippedReLU(SparseActivation):
    """CReLU_{tau,m}(x) = min(m, max(0, x - tau)), 0 < m < inf  (Eq. 9)."""

    def __init__(self, tau: ArrayLike, m: ArrayLike) -> None:
        super().__init__(tau, _finite_clip(m))

    @classmethod
    def for_sparsity(cls, s: ArrayLike, slope: ArrayLike = 0.7, q_star: ArrayLike = 1.0) -> Self:
        """Zero with probability s at variance q_star, and V'(q_star) = slope on the edge of chaos.

        Raises:
            ValueError: for s or slope outside (0, 1), q_star not positive and finite.
        """
        phi = st.ClippedReLU.for_sparsity(s, slope, q_star)
        return cls(phi.tau, phi.m)


class ClippedSoftThreshold(SparseActivation):
    """CST_{tau,m}(x) = sign(x) min(m, max(0, |x| - tau)), tau >= 0, 0 < m < inf  (Eq. 10)."""

    def __init__(self, tau: ArrayLike, m: ArrayLike) -> None:
        super().__init__(tau, _finite_clip(m), odd=True)

    @classmethod
    def for_sparsity(cls, s: ArrayLike, slope: ArrayLike = 0.7, q_star: ArrayLike = 1.0) -> Self:
        """Zero with probability s at variance q_star, and V'(q_star) = slope on the edge of chaos.

        Raises:
            ValueError: for s or slope outside (0, 1), q_star not positive and finite.
        """
        phi = st.ClippedSoftThreshold.for_sparsity(s, slope, q_star)
        return cls(phi.tau, phi.m)


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """``values`` in double precision, from numbers, arrays or tensors on any device."""
    if isinstance(values, Tensor):
        if values.requires_grad:
            raise ValueError(
                f"{name} must be fixed numbers, for kinks are not learned: got a tensor that "
                "requires a gradient (pass its .detach())"
            )
        if values.is_meta:
            raise ValueError(f"{name} must have values, got a tensor on the device meta")
        values = values.cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    return check.real(name, values)


def _finite_clip(m: ArrayLike) -> NDArray[np.float64]:
    values = _numbers("m", m)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            f"m must be positive and finite (the unclipped kinds have no m), got {values}"
        )
    return values


def _one_module(phi: GaussianExpectations) -> SparseActivation:
    """The named module of one theory activation."""
    match _as_one_of_the_four(phi):
        case st.ShiftedReLU() as kind:
            return ShiftedReLU(kind.tau)
        case st.SoftThreshold() as kind:
            return SoftThreshold(kind.tau)
        case st.ClippedReLU() as kind:
            return ClippedReLU(kind.tau, kind.m)
        case st.ClippedSoftThreshold() as kind:
            return ClippedSoftThreshold(kind.tau, kind.m)
    raise ValueError(
        "activation must be one of the four kinds of Eqs. 7-10 (ShiftedReLU, SoftThreshold, "
        "ClippedReLU, ClippedSoftThreshold, or a PiecewiseLinear that equals one of them), "
        f"got {phi!r}"
    )


def _as_one_of_the_four(phi: GaussianExpectations) -> GaussianExpectations:
    """``phi``, or the one of the four kinds that a ``PiecewiseLinear`` equals."""
    if type(phi) is not st.PiecewiseLinear:
        return phi
    knots = phi.knots
    match phi.slopes.tolist(), phi(knots).tolist():
        case [0.0, 1.0], [0.0]:
            return st.ShiftedReLU(knots[0])
        case [1.0, 0.0, 1.0], [0.0, 0.0] if -knots[0] == knots[1]:
            return st.SoftThreshold(knots[1])
        case [0.0, 1.0, 0.0], [0.0, m]:
            return st.ClippedReLU(knots[0], m)
        case [0.0, 1.0, 0.0], [floor, m] if -floor == m == knots[1]:
            return st.ClippedSoftThreshold(0.0, m)
        case [0.0, 1.0, 0.0, 1.0, 0.0], [floor, 0.0, 0.0, m] if (
            -floor == m and (-knots[::-1] == knots).all()
        ):
            return st.ClippedSoftThreshold(knots[2], m)
    return phi
