"""CPU threads, set so that a member's results are the same, bit for bit, in any ensemble.

`torch.bmm` computes each matrix product on one thread, but for a batch of one it calls the plain
matrix product, which may split its sums among threads and so round them differently. In 2500
products of random shapes up to 1000, two threads did so only where the result had at most eleven
rows or columns; four or more did it at any size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

SPLIT_SUMS = 32
"""A product whose result has fewer rows or columns than this is taken on one thread."""

SAFE_THREADS = 2
"""With more threads than this, sums may be split at any size of the result."""


@contextmanager
def num_threads(number: int) -> Iterator[None]:
    """Set torch's number of CPU threads within the block; one thread never splits a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reproducible_threads(members: int, *sides: int) -> AbstractContextManager[None]:
    """One thread where a single member's products could round differently than in an ensemble.

    Also where OMP_WAIT_POLICY is PASSIVE: threads then sleep between products, and at widths up to
    some hundreds waking them takes longer than they save.

    Args:
        members: in the ensemble; with more than one, nothing is changed.
        sides: rows and columns of the products' results.
    """
    if members > 1:
        return nullcontext()
    whole_sums = min(sides) >= SPLIT_SUMS and torch.get_num_threads() <= SAFE_THREADS
    spinning = os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE"
    return nullcontext() if whole_sums and spinning else num_threads(1)
