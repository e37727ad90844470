"""What the benchmarks of the theory start from."""

from __future__ import annotations

import sparsity_theory as st
from sparsity_theory.published.rows import Design

KINDS = list(st.ACTIVATIONS)
SPARSITY = 0.85  # of the paper's example: CReLU with s = 0.85 and V'(q*) = 0.7


def initialization(kind: str) -> st.MeanField:
    """One of the four kinds on the edge of chaos, with V'(q*) = 0.7 if it is clipped."""
    return Design.of(kind, SPARSITY).net()
