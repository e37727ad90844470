"""The four sparsity-inducing activations as modules, for one network or for an ensemble.

All four (Eqs. 7-10) are one function. With dead zone ``[low, tau]`` and range ``[floor, m]``,

    phi(x) = clamp(x - clamp(x, low, tau), floor, m),

where an odd kind (soft thresholding) has low = -tau and floor = -m, a one-sided kind (ReLU) has
low = tau and floor = 0, and an unclipped kind has m = infinity. So members of different kinds can
share one ensemble and one call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import sparsity_theory as st

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsity_theory.activations.expectations import GaussianExpectations


class Kinks(NamedTuple):
    """Where phi changes its slope, and its values there, as tensors that broadcast with x.

    ``top`` is the least |phi| at the upper kink: x - tau may round to just below m there.
    """

    low: Tensor
    tau: Tensor
    floor: Tensor
    m: Tensor
    top: Tensor


def shrink_and_clip(x: Tensor, kinks: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
    """phi(x) as above; ``kinks`` are `Kinks` or a sequence in their order."""
    low, tau, floor, m, _ = kinks
    shrunk = x - torch.minimum(torch.maximum(x, low), tau)
    return torch.minimum(torch.maximum(shrunk, floor), m, out=out)


def to_nearest_kink(y: Tensor, top: Tensor) -> Tensor:
    """Positive where y = phi(x) lies strictly between 0 and +-top, and NaN where y is NaN."""
    size = y.abs()
    return torch.minimum(size, top - size)


def pass_between_kinks(grad: Tensor, y: Tensor, top: Tensor) -> Tensor:
    """``grad`` where y = phi(x) lies strictly between 0 and +-top, zero elsewhere."""
    # The backward of relu: zero where its second argument is <= 0, and NaN is not <= 0.
    passed: Tensor = torch.ops.aten.threshold_backward(grad, to_nearest_kink(y, top), 0.0)
    return passed


class _DeadZoneAndClip(torch.autograd.Function):
    """phi(x) with derivative one strictly between the kinks and zero on them and outside.

    A custom function because the gradient of torch's clamp is one *at* its bounds, where the
    theory's derivative is zero. The rule is written in differentiable operations, so forward mode,
    double backward and torch.func work. NaN stays NaN in the forward and the backward pass.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, *kinks: Tensor) -> Tensor:
        return shrink_and_clip(x, kinks)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        top = inputs[-1]
        ctx.save_for_backward(output, top)
        ctx.save_for_forward(output, top)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return pass_between_kinks(grad_outputs[0], *ctx.saved_tensors), *(None,) * 5

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return pass_between_kinks(grad_inputs[0], *ctx.saved_tensors)


class SparseActivation(nn.Module):
    """phi of any of the four kinds, with parameters shared by all members or one set per member.

    Args:
        tau: threshold; finite, and not negative for an odd kind.
        m: the largest |phi|, in (0, inf]; inf leaves the activation unclipped.
        odd: True for the odd kinds (Eqs. 8 and 10), False for the one-sided (Eqs. 7 and 9).

    Each is a number or has shape (members,). With numbers the module takes inputs of any shape;
    with one value per member it takes (members, batch, width).

    tau, m and odd are buffers: they move with ``.to`` and are saved in the ``state_dict``. They are
    kept in float64 until the module is cast, so that a network in double precision has its kinks
    exactly where the theory has them.

    The gradient is one strictly between the kinks, and zero on them and elsewhere, as in the
    theory. NaN stays NaN in the forward and the backward pass.

    Raises:
        ValueError: if a parameter is out of range, or neither a number nor a vector.
    """

    tau: Tensor
    m: Tensor
    odd: Tensor

    def __init__(self, tau: ArrayLike, m: ArrayLike = math.inf, odd: ArrayLike = False) -> None:
        super().__init__()
        tau, m = np.asarray(tau, dtype=np.float64), np.asarray(m, dtype=np.float64)
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

        Raises:
            ValueError: if an activation is not one of the four kinds of Eqs. 7-10.
        """
        if not isinstance(phi, Sequence):
            return _one_module(phi)
        modules = [_one_module(member) for member in phi]
        tau, m, odd = (
            [getattr(module, name).numpy() for module in modules] for name in ("tau", "m", "odd")
        )
        return SparseActivation(tau, m, odd)

    def forward(self, x: Tensor) -> Tensor:
        """Return phi(x), in x's shape and floating dtype."""
        if not x.is_floating_point():
            raise ValueError(f"x must have a floating dtype, got {x.dtype}")
        kinks = self.kinks(x.dtype)
        if torch.is_inference_mode_enabled():  # autograd.Function costs more than phi itself
            return shrink_and_clip(x, kinks)
        y: Tensor = _DeadZoneAndClip.apply(x, *kinks)  # type: ignore[no-untyped-call]
        return y

    def pull_back(self, grad: Tensor, y: Tensor) -> Tensor:
        """The backward pass: phi'(x) * grad, in y's shape and dtype, from y = phi(x)."""
        return pass_between_kinks(grad, y, self.kinks(y.dtype).top)

    def kinks(self, dtype: torch.dtype) -> Kinks:
        """The kinks in the dtype of the inputs."""
        tau, m = self.tau.to(dtype), self.m.to(dtype)
        return Kinks(
            low=torch.where(self.odd, -tau, tau),
            tau=tau,
            floor=torch.where(self.odd, -m, 0.0),
            m=m,
            top=torch.minimum(m, (tau + m) - tau),
        )

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
    """ReLU_tau(x) = max(0, x - tau)  (Eq. 7)."""

    def __init__(self, tau: ArrayLike) -> None:
        super().__init__(tau)


class SoftThreshold(SparseActivation):
    """ST_tau(x) = sign(x) max(0, |x| - tau), tau >= 0  (Eq. 8)."""

    def __init__(self, tau: ArrayLike) -> None:
        super().__init__(tau, odd=True)


class ClippedReLU(SparseActivation):
    """CReLU_{tau,m}(x) = min(m, max(0, x - tau)), m > 0  (Eq. 9)."""

    def __init__(self, tau: ArrayLike, m: ArrayLike) -> None:
        super().__init__(tau, m)


class ClippedSoftThreshold(SparseActivation):
    """CST_{tau,m}(x) = sign(x) min(m, max(0, |x| - tau)), tau >= 0, m > 0  (Eq. 10)."""

    def __init__(self, tau: ArrayLike, m: ArrayLike) -> None:
        super().__init__(tau, m, odd=True)


def _one_module(phi: GaussianExpectations) -> SparseActivation:
    """The named module of one theory activation."""
    match phi:
        case st.ShiftedReLU():
            return ShiftedReLU(phi.tau)
        case st.SoftThreshold():
            return SoftThreshold(phi.tau)
        case st.ClippedReLU():
            return ClippedReLU(phi.tau, phi.m)
        case st.ClippedSoftThreshold():
            return ClippedSoftThreshold(phi.tau, phi.m)
    raise ValueError(f"activation must be one of the four kinds of Eqs. 7-10, got {phi!r}")
