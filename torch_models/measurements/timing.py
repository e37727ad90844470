"""Timing on a busy machine, and on a GPU, which runs asynchronously."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def clock(device: str) -> float:
    """Seconds: on a GPU of the wall clock, once its work is done; on one thread of a CPU, CPU time.

    CPU time leaves out what other processes take, but for contention for memory.
    """
    if device != "cpu":
        torch.cuda.synchronize(device)
    return float(getattr(time, clock_name(device))())


def clock_name(device: str) -> str:
    """The function of ``time`` that is read."""
    cpu_time = device == "cpu" and torch.get_num_threads() == 1
    return "process_time" if cpu_time else "perf_counter"


def interleaved(
    works: Mapping[str, Callable[[], object]], device: str, rounds: int, calls: int
) -> dict[str, list[float]]:
    """Seconds a call of each, for every round: all take turns, with some calls in a row.

    A first round, in which memory is allocated and kernels are loaded, is left out.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            start = clock(device)
            for _ in range(calls):
                work()
            seconds[name].append((clock(device) - start) / calls)
    return {name: of_rounds[1:] for name, of_rounds in seconds.items()}


def milliseconds(seconds: list[float]) -> float:
    """The median over rounds, to four significant digits."""
    return float(f"{1e3 * statistics.median(seconds):.4g}")


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of the ratio of two times, to four significant digits."""
    ratio = statistics.median(own / other for own, other in zip(ours, theirs, strict=True))
    return float(f"{ratio:.4g}")
