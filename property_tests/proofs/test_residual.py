"""Residual networks: gradients that stay bounded whatever the depth, and what a clip costs them."""

from __future__ import annotations

import pytest
from flint import arb

from property_tests.references.balls import ONE_SIDED, density, mass, mean_square, tail, with_chi
from property_tests.support.controls import doubled, weights_times
from property_tests.support.proofs import prove, refute
from sparsity_theory.testing.certify import positive


def growth(kind: str, tau: arb, q: arb, depth: int) -> tuple[arb, arb]:
    """The growth of squared gradients over ``depth`` blocks, alpha^2 = 1 / depth, and the bound."""
    net = with_chi(kind, tau)
    gain = arb(1)
    for _ in range(depth):
        gain *= 1 + net.chi(q) / depth
        q += net.variance_map(q) / depth
    half = net.sigma_w2 / 2
    return gain, (half if kind in ONE_SIDED else 2 * half).exp()


@pytest.mark.claim("Residual: gradient bound", evidence="certified")
@pytest.mark.control("Residual: gradient bound", replace="tail", by=doubled)
@pytest.mark.parametrize("kind", ["relu", "st"])
def test_with_alpha_squared_one_over_the_depth_unclipped_gradients_stay_bounded(kind: str) -> None:
    """By exp(sigma_w^2 / 2) for ReLU_tau and exp(sigma_w^2) for ST_tau, at any depth.

    Stated: chi(q) = sigma_w^2 P(|Z| > tau / sqrt(q)) on one or both sides, with tails below 1/2
    for tau > 0; so prod (1 + chi(q^l) / L) < (1 + c / L)^L < exp(c), c = sigma_w^2 / 2 a side.
    Computed: the tail, and the growth beside the bound, along the variances, for four depths.
    """
    prove(lambda a: positive(arb(1) / 2 - tail(a)), a=(1e-3, 40))
    for depth in (1, 2, 4, 16):

        def bounded(tau: arb, q: arb, depth: int = depth) -> bool | None:
            gain, bound = growth(kind, tau, q, depth)
            return positive(bound - gain)

        prove(bounded, tau=(0.25, 1), q=(0.5, 2))


def constant(right: object) -> object:
    """alpha = 1 instead."""

    def grown(kind: str, tau: arb, q: arb, depth: int) -> tuple[arb, arb]:
        net = with_chi(kind, tau)
        gain = arb(1)
        for _ in range(depth):
            gain *= 1 + net.chi(q)
            q += net.variance_map(q)
        return gain, net.sigma_w2.exp()

    return grown


@pytest.mark.claim("Residual: gradient bound", evidence="certified")
@pytest.mark.control("Residual: gradient bound", replace="growth", by=constant)
def test_with_a_constant_alpha_no_such_bound_holds() -> None:
    """Of ReLU_tau with alpha = 1, over 16 blocks: beyond it everywhere; with 1/16 below."""

    def beyond(tau: arb, q: arb) -> bool | None:
        gain, bound = growth("relu", tau, q, 16)
        return positive(gain - bound)

    refute(beyond, tau=(0.25, 1), q=(0.5, 2))
    net, q, gain = with_chi("relu", arb(1)), arb(1), arb(1)
    for _ in range(16):
        gain *= 1 + net.chi(q)
        q += net.variance_map(q)
    assert gain > (net.sigma_w2 / 2).exp()


def falls(a: arb, w: arb) -> bool | None:
    """Whether p falls as the clip grows: the sign of its derivative in w.

    p = mass / mean_square with the derivatives gamma(a + w) and 2 w tail(a + w).
    """
    growing = density(a + w) * mean_square(a, w)
    return positive(2 * w * tail(a + w) * mass(a, w) - growing)


@pytest.mark.claim("Residual: gradient power", evidence="certified")
@pytest.mark.control("Residual: gradient power", replace="mean_square", by=doubled)
def test_a_clip_raises_the_power_of_the_variance_that_gradients_grow_with() -> None:
    """p = q* E phi'^2 / E phi^2 falls as m grows, and is above 1 without a clip.

    Stated: p does not depend on the number of sides. Behind both integrals, of gamma(a + t) and of
    2 t tail(a + t), the integrand of the derivative has one sign since t (h(t) - t) < 1 for the
    hazard h = gamma / tail, at every a >= 0. Computed: the sign on a box, and p above 1 without
    a clip, the limit that p falls to.
    """
    prove(falls, a=(0.05, 1.5), w=(0.5, 2))
    prove(lambda a: positive(mass(a, None) - mean_square(a, None)), a=(0.05, 6))


@pytest.mark.claim("Residual: gradient bound", evidence="certified")
@pytest.mark.control("Residual: gradient bound", replace="with_chi", by=weights_times(3.0))
def test_at_the_paper_s_sparsest_row_the_bound_of_a_whole_network_is_a_factor_of_thirty() -> None:
    """ReLU_tau at s = 0.85: sigma_w^2 = 1 / 0.15, exp(sigma_w^2 / 2) = 28.03."""
    tau = arb(2).sqrt() * (2 * arb("0.85") - 1).erfinv()
    _, bound = growth("relu", tau, arb(1), 1)
    assert abs(bound - arb("28.0316")) < 1e-4
