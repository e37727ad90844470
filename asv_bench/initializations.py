"""What the benchmarks of the oracle start from."""

from __future__ import annotations

from typing import Any

import sparsity_theory as st

KINDS = list(st.ACTIVATIONS)
SPARSITY, SLOPE = 0.85, 0.7  # the paper's example: CReLU with s = 0.85 and V'(q*) = 0.7


def initialization(kind: str) -> st.MeanField:
    """One of the four kinds on the edge of chaos."""
    activation: Any = st.ACTIVATIONS[kind]
    slope = {"slope": SLOPE} if activation.clipped else {}
    return st.edge_of_chaos(activation.for_sparsity(SPARSITY, **slope))
