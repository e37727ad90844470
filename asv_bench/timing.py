"""Timing on a busy machine, and on a GPU, which runs asynchronously."""

from __future__ import annotations

import os
from collections.abc import Callable
from statistics import median
from time import process_time

ROUNDS = 5
MANY_ROUNDS = 15

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
"""Of benchmarks that train. One by default: on a busy machine, threads wait for each other."""


def clock() -> float:
    """Seconds on the clock of the GPU if there is one, else of the CPU."""
    import torch  # not at the top: this file is imported where torch is missing

    from torch_models.measurements import timing

    return timing.clock("cuda" if torch.cuda.is_available() else "cpu")


def seconds(work: Callable[[], object]) -> float:
    """What one call takes."""
    start = clock()
    work()
    return clock() - start


def median_ratio(ours: Callable[[], float], theirs: Callable[[], float]) -> float:
    """Median over ``ROUNDS`` of the ratio of two times in seconds, measured interleaved.

    One round before them, for warming up, is left out.
    """
    pairs = [(ours(), theirs()) for _ in range(ROUNDS + 1)]
    return median(own / other for own, other in pairs[1:])


def least_ratio(ours: Callable[[], object], theirs: Callable[[], object]) -> float:
    """The ratio of the least CPU times over ``MANY_ROUNDS`` of two calls, measured interleaved.

    For work on one thread: what else runs on the machine makes times longer, never shorter.
    """
    rounds = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(MANY_ROUNDS)]
    return min(own for own, _ in rounds) / min(other for _, other in rounds)


def cpu_seconds(work: Callable[[], object]) -> float:
    """What one call takes of the CPU."""
    start = process_time()
    work()
    return process_time() - start
