"""How a network can end: trained, diverged, with its sparsity lost, or not learned."""

from __future__ import annotations

import math

ENDINGS = ("trained", "not learned", "sparsity lost", "diverged")
"""Best first."""

LEARNED = 0.5
"""Test accuracy from which a network of a ten-class problem counts as clearly above chance."""

KEPT = 0.05
"""Largest distance of a network's test sparsity from the mean field's that counts as kept, where
the width is at least ``WIDE``; it grows as 1 / sqrt(width) below, as the spread of a share does."""

WIDE = 300


def ending(divergence: str | None, kept: bool, accuracy: float) -> str:
    """Name how a network ended, by the first thing that went wrong.

    Args:
        divergence: its kind, None for a network that did not diverge.
        kept: whether the sparsity is that of the mean field; see `kept_within`.
        accuracy: on the test set.
    """
    if divergence not in (None, "sparsity lost"):
        return "diverged"
    if divergence or not kept:
        return "sparsity lost"
    return "trained" if accuracy >= LEARNED else "not learned"


def kept_within(width: int) -> float:
    """Return how far a network's sparsity may be from the mean field's and still count as kept."""
    return KEPT * max(1.0, math.sqrt(WIDE / width))
