"""What the benchmarks of the theory start from."""

from __future__ import annotations

from typing import Any

import sparsity_theory as st

KINDS = list(st.ACTIVATIONS)
SPARSITY, SLOPE = 0.85, 0.7  # the paper's example: CReLU with s = 0.85 and V'(q*) = 0.7


def solved_activation(
    kind: str, sparsity: float = SPARSITY, slope: float | None = SLOPE, q_star: float = 1.0
) -> Any:
    """One of the four kinds; ``slope`` matters to those that are clipped."""
    family: Any = st.ACTIVATIONS[kind]
    clip = {"slope": slope} if family.clipped else {}
    return family.for_sparsity(sparsity, q_star=q_star, **clip)


def initialization(kind: str) -> st.MeanField:
    """One of the four kinds on the edge of chaos."""
    return st.edge_of_chaos(solved_activation(kind))
