"""What to choose for sparse activations in a network, and whether it will work.

Each architecture has the design that the theory knows for it:

- plain and convolutional: the edge of chaos, unclipped if the forecast lets it, or else with the
  largest clip that is stable in a dense network of that width and depth;
- residual: unclipped, alpha^2 = 1 / depth and skip^2 = 1 - alpha^2, which keeps q* and s;
- pre-norm and transformer: unclipped, and so scaled that a block adds alpha^2 to the stream.

`forecast` then says whether it is expected to work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from .. import _validation as check
from .._values import Summary
from ..activations.expectations import GaussianExpectations
from ..activations.thresholded import (
    ClippedReLU,
    ClippedSoftThreshold,
    ShiftedReLU,
    SoftThreshold,
)
from ..mean_field.edge_of_chaos import edge_of_chaos, edge_of_chaos_of_sparsity
from ..mean_field.maps import MeanField
from ..mean_field.pre_norm import PreNorm
from ..mean_field.residual import Residual
from ..mean_field.transformer import Transformer
from .convolution_law import Positions
from .failure import PAPER_TIME
from .forecast import Forecast, forecast
from .stable_clip import NoStableClipError, largest_stable_clip

Architecture = Literal["plain", "convolutional", "residual", "pre-norm", "transformer"]
Kind = Literal["relu", "st"]
Designed: TypeAlias = MeanField | Residual | PreNorm | Transformer

UNCLIPPED: dict[str, type[ShiftedReLU] | type[SoftThreshold]] = {
    "relu": ShiftedReLU,
    "st": SoftThreshold,
}
CLIPPED: dict[str, type[ClippedReLU] | type[ClippedSoftThreshold]] = {
    "relu": ClippedReLU,
    "st": ClippedSoftThreshold,
}

KEPT = 0.05
"""Networks keep their sparsity if that of the last layer is expected within this of the design."""


@dataclass(frozen=True, eq=False, repr=False)
class Recipe(Summary):
    """What to choose, and what to expect; ``print`` it for all of it in words.

    Attributes:
        architecture: that asked for.
        net: the initialization: a `MeanField` for plain and convolutional networks, a `Residual`,
            a `PreNorm` or a `Transformer`.
        width, depth: those asked for: units (channels, features of the stream) and layers (blocks).
        forecast: of networks of that size; for a transformer, of its MLPs alone.
        works: whether training is expected to go well, from a start with the sparsity asked for.
        reason: why, in one sentence.
        watch: what to look at, or to see to, in training.
    """

    architecture: Architecture
    net: Designed
    width: int
    depth: int
    forecast: Forecast
    works: bool
    reason: str
    watch: tuple[str, ...]

    @property
    def activation(self) -> GaussianExpectations:
        """phi; its threshold is ``activation.tau``, its clip, if it has one, ``activation.m``."""
        return self.net.activation

    @property
    def sparsity(self) -> tuple[float, float]:
        """The expected sparsity of the first and of the last layer, at initialization."""
        first, last = self.forecast.sparsity_mean[[0, -1]]
        return float(first), float(last)

    def numbers(self) -> dict[str, float]:
        """tau, m, sigma_w2 and so on, by their names, as far as the architecture has them."""
        phi, net = self.activation, self.net
        found = {name: getattr(phi, name) for name in ("tau", "m") if hasattr(phi, name)}
        if isinstance(net, MeanField):
            found |= {"sigma_w2": net.sigma_w2, "sigma_b2": net.sigma_b2}
        elif isinstance(net, Residual):
            found |= {"sigma_w2": net.net.sigma_w2, "sigma_b2": net.net.sigma_b2}
            found |= {"alpha": net.alpha, "skip": net.skip}
        else:
            mlp = net.mlp if isinstance(net, Transformer) else net
            found |= {"sigma_w2": mlp.sigma_w2, "sigma_v2": mlp.sigma_v2, "alpha": mlp.alpha}
        return {name: float(value) for name, value in found.items()}

    def __str__(self) -> str:
        first, last = self.sparsity
        kind = type(self.activation).__name__
        numbers = ", ".join(f"{name} = {value:.4g}" for name, value in self.numbers().items())
        lines = [
            f"{self.architecture}, width {self.width}, depth {self.depth}: {kind}",
            f"  {numbers}",
            f"  sparsity {first:.1%} in the first layer and {last:.1%} in the last",
            f"  {'works' if self.works else 'would not work'}: {self.reason}",
            *(f"  watch: {line}" for line in self.watch),
        ]
        return "\n".join(lines)


def recipe(
    architecture: Architecture,
    sparsity: float,
    width: int = 300,
    depth: int = 100,
    kind: Kind = "relu",
    kernel: int = 3,
    positions: Positions = (32, 32),
    risk: float = 0.05,
    networks: int = 1000,
    seed: int = 0,
    training_time: float = PAPER_TIME,
) -> Recipe:
    """The design of a network with sparse activations, and whether it is expected to work.

    Args:
        architecture: "plain", "convolutional", "residual", "pre-norm" or "transformer".
        sparsity: s, in (0, 1), from 1/2 for "relu" (tau >= 0).
        width: units of a layer, channels, or features of the stream.
        depth: layers, or blocks.
        kind: "relu" for one-sided activations, "st" for soft thresholding; clipped where needed.
        kernel: odd size of a convolution in each dimension; other architectures ignore it.
        positions: of a convolutional network, (rows, columns), or the length of a ring.
        risk: largest probability of failure allowed, in (0, 1).
        networks: how many random networks the forecast is made from.
        seed: of their random numbers.
        training_time: learning rate times steps of plain SGD, as `forecast` takes it.

    Raises:
        ValueError: for another architecture or kind, or an argument outside its range.
    """
    if architecture not in _DESIGNS:
        names = ", ".join(map(repr, _DESIGNS))
        raise ValueError(f"architecture must be one of {names}, got {check.shown(architecture)}")
    if kind not in UNCLIPPED:
        raise ValueError(f"kind must be 'relu' or 'st', got {check.shown(kind)}")
    sparsity = check.single("sparsity", check.fraction("sparsity", sparsity))
    if kind == "relu" and sparsity < 0.5:
        raise ValueError(f"sparsity must be at least 0.5 for 'relu' (tau >= 0), got {sparsity}")
    risk = check.single("risk", check.fraction("risk", risk))
    depth = check.size("depth", depth)
    phi = UNCLIPPED[kind].for_sparsity(sparsity)
    images = architecture == "convolutional"
    places: tuple[int | None, Positions | None] = (kernel, positions) if images else (None, None)

    def told(net: Designed) -> Forecast:
        known = net.mlp if isinstance(net, Transformer) else net
        return forecast(known, width, depth, networks, seed, None, *places, training_time)

    net = _DESIGNS[architecture](phi, depth)
    found, refusal = told(net), ""
    if isinstance(net, MeanField) and not _fine(found, sparsity, risk):
        try:
            clip = largest_stable_clip(
                CLIPPED[kind], sparsity, width, depth, 1.0, risk, networks, seed, training_time
            )
            net = edge_of_chaos(CLIPPED[kind](phi.tau, clip.m))
            found = told(net)
        except NoStableClipError as error:
            refusal = f"{error}; "
    works = not refusal and _fine(found, sparsity, risk)
    reason = found.verdict if works else f"{refusal}{found.verdict}; {_instead(architecture)}"
    watch = tuple(_to_watch(net, found)) if works else ()
    return Recipe(architecture, net, width, depth, found, works, reason, watch)


def _instead(architecture: Architecture) -> str:
    """What may work where this does not."""
    if architecture in ("pre-norm", "transformer"):
        return "take a lower sparsity"
    return "a pre-norm network needs no clip"


def _fine(found: Forecast, sparsity: float, risk: float) -> bool:
    """Whether training goes well within the risk, and the sparsity is kept."""
    kept = abs(float(found.sparsity_mean[-1]) - sparsity) <= KEPT
    return found.outcome == "trains" and found.failure_probability <= risk and kept


def _plain(phi: GaussianExpectations, depth: int) -> MeanField:
    return edge_of_chaos_of_sparsity(phi, float(phi.sparsity(1.0)))


def _residual(phi: GaussianExpectations, depth: int) -> Residual:
    alpha2 = 1.0 / max(depth, 2)  # one layer has no block, and skip must stay positive
    return Residual(_plain(phi, depth), math.sqrt(alpha2), math.sqrt(1.0 - alpha2))


def _pre_norm(phi: GaussianExpectations, depth: int) -> PreNorm:
    return PreNorm(phi, depth**-0.5, sigma_v2=1.0 / float(phi.mean_square(np.ones(()))))


def _transformer(phi: GaussianExpectations, depth: int) -> Transformer:
    """Two increments in a block."""
    return Transformer(_pre_norm(phi, 2 * depth))


_DESIGNS: dict[str, Callable[[GaussianExpectations, int], Designed]] = {
    "plain": _plain,
    "convolutional": _plain,
    "residual": _residual,
    "pre-norm": _pre_norm,
    "transformer": _transformer,
}


def _to_watch(net: Designed, found: Forecast) -> Iterator[str]:
    scatter = 4.0 * float(np.max(found.sparsity_std))
    yield f"the sparsity of every layer: at first within {scatter:.2f} of that above, for one input"
    if isinstance(net, MeanField | Residual):
        yield "inputs: the mean of their squares must be q* = 1"
    else:
        yield "the gains of normalizations: the sparsity changes with them when they are trained"
    if isinstance(net, Residual):
        yield "the sparsity in training: without a normalization nothing holds it, and it falls"
    if isinstance(net, MeanField):
        yield "gradients of the first layers: they grow before the sparsity is lost"
