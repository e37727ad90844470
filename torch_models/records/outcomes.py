"""How the training of a network can turn out: trained, diverged, sparsity lost, or not learned."""

from __future__ import annotations

import math

OUTCOMES = ("trained", "not learned", "sparsity lost", "diverged")
"""Best first."""

FAILED = ("sparsity lost", "diverged")
"""The outcomes of a network that failed; one that has not learned may only need more time."""

SPARSITY_HALVED = "sparsity halved"
"""The divergence of a network whose sparsity fell below half of its own while it trained."""

LEARNED = 0.5
"""Test accuracy from which a network of a ten-class problem counts as clearly above chance."""

CHANCE = 0.15
"""Above the accuracy of a constant guess by more than seven standard deviations: 0.1135 on MNIST's
test set, 0.1 on 2000 images of CIFAR-10."""

KEPT = 0.05
"""Largest distance of a network's test sparsity from the mean field's that counts as kept, where
the width is at least ``WIDE``; it grows as 1 / sqrt(width) below, as the spread of a share does."""

WIDE = 300


def outcome_of(divergence: str | None, kept: bool, accuracy: float) -> str:
    """One of `OUTCOMES`, by the first thing that went wrong.

    Args:
        divergence: its kind, None for a network that did not diverge.
        kept: whether the sparsity is that of the mean field; see `kept_within`.
        accuracy: on the test set.
    """
    if divergence not in (None, SPARSITY_HALVED):
        return "diverged"
    if divergence or not kept:
        return "sparsity lost"
    return "trained" if accuracy >= LEARNED else "not learned"


def kept_within(width: int) -> float:
    """Return how far a network's sparsity may be from the mean field's and still count as kept."""
    return KEPT * max(1.0, math.sqrt(WIDE / width))
