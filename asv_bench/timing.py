"""Seconds that mean something on a busy machine and on a device that runs ahead of the host."""

from __future__ import annotations

import os
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

ROUNDS = 5

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
"""Of benchmarks that train: one unless told, as a busy machine makes more wait for each other."""


def clock() -> float:
    """Seconds, once a GPU has done what it was given; on one CPU thread those of the process.

    What other processes do to the machine does not count then, but for the memory that they use.
    """
    import torch  # here, so that this can be imported where there is none

    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return perf_counter()
    return process_time() if torch.get_num_threads() == 1 else perf_counter()


def seconds(work: Callable[[], object]) -> float:
    """What one call takes."""
    start = clock()
    work()
    return clock() - start


def median_ratio(ours: Callable[[], float], theirs: Callable[[], float]) -> float:
    """How many times as long ours takes as theirs, each told in seconds, turn and turn about.

    The median over the rounds; one before them, which warms up, is left out.
    """
    pairs = [(ours(), theirs()) for _ in range(ROUNDS + 1)]
    return median(own / other for own, other in pairs[1:])
