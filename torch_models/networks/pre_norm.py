"""Initialization, in place, of the MLPs behind the normalizations of a pre-norm network."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from sparsity_theory import PreNorm
from torch_models.networks.initialization import (
    GaussianLaw,
    Initialization,
    check_arguments,
    draw_layers_,
)
from torch_models.networks.weight_layers import (
    NORMALIZATIONS,
    require_no_shared_parameters,
    require_values,
    weight_layer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TRANSFORMER_LAYERS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
BESIDE = (*NORMALIZATIONS, nn.Dropout, nn.Identity)
"""What may stand in a Sequential with the three parts of an MLP."""


@dataclass(frozen=True)
class Mlp:
    """The parts of W_2 phi(W_1 x), and where they are.

    Attributes:
        activation: a module, or a function where torch's transformer layers were given one.
        paths: dotted paths of ``inner`` and ``outer``.
    """

    inner: nn.Linear
    activation: Callable[[Tensor], Tensor]
    outer: nn.Linear
    paths: tuple[str, str]


def mlps(module: nn.Module) -> list[Mlp]:
    """The MLPs of a module: of every Sequential that is one, and of torch's transformer layers.

    A Sequential is one if it consists of a Linear layer, an activation and a Linear layer, with
    dropout, identities and normalizations beside them. Others, such as a readout, are passed over.

    Raises:
        ValueError: if there is none, or a transformer layer normalizes after its MLP.
    """
    found = [mlp for path, part in module.named_modules() for mlp in _mlp_of(path, part)]
    if not found:
        raise ValueError(
            "module must have a Sequential of Linear, activation and Linear, or a "
            f"TransformerEncoderLayer, got {type(module).__name__} without one"
        )
    return found


def pre_norm_(
    module: nn.Module, net: PreNorm, generator: torch.Generator | None = None
) -> Initialization:
    """Initialize every MLP of a pre-norm network, in place, so that its sparsity is ``net``'s.

    Weights of the inner layer are N(0, sigma_w^2 / N), those of the outer one N(0, alpha^2
    sigma_v^2 / M), for N features of the stream and M hidden units: ``net``'s alpha, which modules
    do not have, is in the weights. Biases are 0. Everything else is left as it is: attention,
    embeddings, the readout, and the normalizations, whose gain must be 1, as torch starts it.

    Behind a normalization the sparsity is ``net.sparsity()`` in every MLP, whatever the rest of the
    network does. That a normalization stands before an MLP, a custom ``forward`` decides and is not
    seen here: `measured_sparsity` shows it.

    Args:
        module: has the MLPs that `mlps` finds.
        net: the initialization, for example ``st.PreNorm(phi, alpha=(2 * depth) ** -0.5,
            sigma_v2=1 / phi.mean_square(1.0))``, with which a block adds alpha^2 whatever phi is.
        generator: where the numbers come from; torch's global generator by default.

    Returns:
        What was initialized, with which variances.

    Raises:
        ValueError: if ``net`` is no single `PreNorm`; for an activation that is not ``net``'s, or a
            module without MLPs; for layers that cannot be drawn or are tied, as in
            `edge_of_chaos_`. ``module`` is unchanged then.
    """
    check_arguments(module, generator)
    if not isinstance(net, PreNorm) or np.ndim(net.increment):
        raise ValueError(f"net must be a single PreNorm, got {net!r}")
    found = mlps(module)
    layers = [
        weight_layer(path, layer)
        for mlp in found
        for path, layer in zip(mlp.paths, (mlp.inner, mlp.outer), strict=True)
    ]
    require_no_shared_parameters(module, layers)
    for mlp in found:
        name = f"the activation between {mlp.paths[0]} and {mlp.paths[1]}"
        phi = mlp.activation
        on_cpu = copy.deepcopy(phi).cpu().eval() if isinstance(phi, nn.Module) else phi
        require_values(name, on_cpu, net.activation, float(net.sigma_w2))
    inner, outer = float(net.sigma_w2), float(net.alpha) ** 2 * float(net.sigma_v2)
    laws = [
        GaussianLaw(variance / each.fan_in, 0.0)
        for each, variance in zip(layers, (inner, outer) * len(found), strict=True)
    ]
    return draw_layers_(module, layers, laws, generator)


def _mlp_of(path: str, part: nn.Module) -> Iterator[Mlp]:
    """The MLP that a module is, if it is one."""
    at = f"{path}." if path else ""
    if isinstance(part, TRANSFORMER_LAYERS):
        if not part.norm_first:
            raise ValueError(
                f"{path or 'module'} ({type(part).__name__}) must normalize first "
                "(norm_first=True), got norm_first=False"
            )
        yield Mlp(part.linear1, part.activation, part.linear2, (f"{at}linear1", f"{at}linear2"))
    elif isinstance(part, nn.Sequential):
        parts = [(name, each) for name, each in part.named_children() if type(each) not in BESIDE]
        match parts:
            case [(first, nn.Linear() as inner), (_, phi), (last, nn.Linear() as outer)] if (
                not isinstance(phi, nn.Linear | nn.Sequential)
            ):
                yield Mlp(inner, phi, outer, (at + first, at + last))
