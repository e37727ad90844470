"""The exact law of backpropagated gradients in a random network of finite width.

Eq. 24 takes the backward weights as independent of the forward ones. They are the same, which
matters at finite width: given u = W x, the weights are W = u x^T / |x|^2 + G P with fresh
Gaussian G and P the projection orthogonal to x, so that backpropagation takes delta to

    W^T delta = s (g - x^ (x^ . g)) + c x^,    x^ = x / |x|,    s^2 = sigma_w^2 |delta|^2 / N,
    c |x| = u . delta = kappa h . delta + sqrt(kappa sigma_b^2) |delta| e,

where h = u + b is the layer that delta belongs to, q its variance, kappa = 1 - sigma_b^2 / q, and g
and e are standard normal.
For activations with slopes 0 and 1 only the entries of the unsaturated units R (phi' = 1) are kept.
So the pair (|delta|^2, h . delta) is a Markov chain from the last layer to the first; all that it
needs of the forward pass are the number of units in R and the sums of x^2, x h and h^2 over them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from ..mean_field.maps import check_net
from ..numerics.division import ratio_or_zero
from .variance_law import draw_chain

if TYPE_CHECKING:
    from ..mean_field.maps import MeanField


def draw_gradients(
    net: MeanField,
    width: int = 300,
    depth: int = 100,
    networks: int = 1000,
    seed: int = 0,
    q0: FloatLike | None = None,
) -> Array:
    """Draw the growth of squared gradients, backpropagated from a random direction at h^L.

    Args:
        net: the initialization, of an activation with slopes 0 and 1 only, as the paper's four are;
            parameters may be arrays.
        width: units N in every layer.
        depth: number L of hidden layers.
        networks: how many networks to draw of each initialization.
        seed: of the random numbers; the result depends on nothing else.
        q0: variance of the pre-activations of layer 1; ``net.q_star`` where not given.

    Returns:
        log(|delta^l|^2 / |delta^L|^2), shape (depth, *batch, networks); -inf where delta^l = 0.

    Raises:
        ValueError: as `draw_chain` does, and for an activation with other slopes.
    """
    check_net(net)
    slopes = getattr(net.activation, "slopes", None)
    if slopes is None or not np.all(np.isin(slopes, (0.0, 1.0))):
        raise ValueError(f"activation must have slopes 0 and 1 only, got {net.activation!r}")
    forward, backward = check.generator(seed).spawn(2)
    chain = draw_chain(net, width, depth, networks, forward, q0)
    batch = chain.variance.shape[1:]
    sigma_w2, sigma_b2 = (
        np.broadcast_to(x, batch[:-1])[..., np.newaxis] for x in (net.sigma_w2, net.sigma_b2)
    )
    spread = np.broadcast_to(np.sqrt(sigma_w2 / width), batch)  # s, for a delta of length 1
    log_size = np.zeros(chain.variance.shape)
    along_x = spread * backward.standard_normal(batch)  # c: the last delta is independent of h
    for layer in range(depth - 2, -1, -1):
        from_weights = chain.variance[layer + 1] - sigma_b2
        share, along_h = _passed_on(
            chain.unsaturated[:, layer], width * from_weights / sigma_w2, along_x, spread, backward
        )
        with np.errstate(divide="ignore"):
            log_size[layer] = log_size[layer + 1] + np.log(share)
        along_h = ratio_or_zero(along_h, np.sqrt(share))  # of a delta of length 1 again
        q = chain.variance[layer]
        kappa = ratio_or_zero(np.maximum(q - sigma_b2, 0.0), q)
        noise = np.sqrt(kappa * sigma_b2) * backward.standard_normal(batch)
        length = np.sqrt(width * (q - sigma_b2) / sigma_w2)
        along_x = ratio_or_zero(kappa * along_h + noise, length)
    return log_size


def _passed_on(
    unsaturated: Array, x_squared: Array, along_x: Array, spread: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """|D W^T delta|^2 and h . D W^T delta, for |delta| = 1 and D the unsaturated units.

    Along x_R, the part of x in the unsaturated units, W^T delta is a c + s sqrt(1 - a^2) times a
    normal number, with a = |x_R| / |x|; in every direction orthogonal to it s times one.
    """
    number, xx, xh, hh = unsaturated
    shape = number.shape
    a2 = np.minimum(ratio_or_zero(xx, x_squared), 1.0)
    first = np.sqrt(a2) * along_x + spread * np.sqrt(1.0 - a2) * rng.standard_normal(shape)
    first = np.where(number >= 1.0, first, 0.0)
    second = np.where(number >= 2.0, spread * rng.standard_normal(shape), 0.0)
    others = np.where(number >= 3.0, rng.chisquare(np.maximum(number - 2.0, 1.0)), 0.0)
    h_first = ratio_or_zero(xh, np.sqrt(xx))
    h_second = np.sqrt(np.maximum(hh - h_first**2, 0.0))
    size = first**2 + second**2 + spread**2 * others
    return size, h_first * first + h_second * second
