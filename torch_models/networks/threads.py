"""CPU threads, so that a member's numbers are the same, bit for bit, alone and in any stack.

A batched product gives each matrix product to one thread, but a stack of one is handed to the plain
product, which may split its sums among threads and so round them differently. Two threads were seen
to do so only where the result has at most eleven rows or columns, in 2500 products of random shapes
up to 1000; four or more do it anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

SPLIT_SUMS = 32
"""Results with fewer rows or columns than this are left to one thread."""

SAFE_THREADS = 2
"""More than these could split the sums of larger results too."""


@contextmanager
def num_threads(number: int) -> Iterator[None]:
    """Work on this many CPU threads meanwhile; on one, sums are done in one piece."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reproducible_threads(members: int, *sides: int) -> AbstractContextManager[None]:
    """One thread if the products of a lone member could round otherwise than those of a stack.

    And if two threads sleep between products: waking them then takes longer than they save, at
    widths up to some hundreds.

    Args:
        members: in the stack.
        sides: rows and columns of the products' results.
    """
    if members > 1:
        return nullcontext()
    alike = min(sides) >= SPLIT_SUMS and torch.get_num_threads() <= SAFE_THREADS
    spinning = os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE"
    return nullcontext() if alike and spinning else num_threads(1)
