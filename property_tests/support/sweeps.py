"""A small sweep for tests: four networks of which two diverge, and processes that run it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sklearn.datasets  # noqa: F401 (so that a forked process need not import it)
import torch
import torch.fx.experimental.symbolic_shapes  # torch.autograd imports it at its first gradient

from torch_models.experiments.build import dataset_loader
from torch_models.experiments.sweep import SweepSummary, sweep
from torch_models.experiments.trainer import one_by_one
from torch_models.records.files import read_record
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import Run, find_budget, rows_named, runs_of
from torch_models.training.loop import Training

SIZES = {"width": 20, "depth": 6, "learning_rate": 0.3}
"""So small that a run takes a tenth of a second, with steps so large that both ST networks diverge.

``cli`` says the same to the command line.
"""

ROWS = ("crelu-0.6-0.5", "st-0.7")

FORKS = multiprocessing.get_context("forkserver")
"""Makes processes in milliseconds, from one that has imported this file and nothing more."""

FORKS.set_forkserver_preload([__name__])

dataset_of = dataset_loader(None)


def small_runs(seeds: int = 2, **changes: Any) -> list[Run]:
    """Runs of 11 steps an epoch: CReLU and ST of each seed."""
    sizes = {"epochs": 3, "batch_size": 128, **SIZES, **changes}
    budget = find_budget("smoke", 2, "dnn", **sizes)
    return runs_of(2, budget, [each.design for each in rows_named(2, "dnn", ROWS)], range(seeds))


def cli(*more: str) -> list[str]:
    """Arguments of the command line for the same runs, but for their number of epochs."""
    rows = [part for row in ROWS for part in ("--row", row)]
    sizes = ["--width", "20", "--depth", "6", "--learning-rate", "0.3", "--batch-size", "128"]
    return ["train-table", "2", *rows, *sizes, "--seeds", "2", "--threads", "1", *more]


class Seen:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.started: list[tuple[list[Run], int]] = []
        self.finished: list[Run] = []

    def on_start(self, runs: Sequence[Run], training: Training) -> None:
        """Keep who trains, and from which step on."""
        self.started.append((list(runs), training.step))

    def on_step(self, training: Training) -> None:
        """Nothing to keep."""

    def on_record(self, record: RunRecord) -> None:
        """Keep that it is finished."""
        self.finished.append(record.run)


def swept(
    runs: Sequence[Run],
    folder: Path,
    members: int = 4,
    checkpoint_seconds: float = 60.0,
    again: bool = False,
    progress: Seen | None = None,
    images: tuple[str, ...] | None = None,
) -> SweepSummary:
    """Sweep in this process."""
    progress = progress or Seen()
    train = one_by_one(dataset_of, progress, "cpu", folder, checkpoint_seconds)
    return sweep(runs, folder, train, progress, members, again, images)


def ends(folder: Path) -> dict[str, dict[str, Any]]:
    """Every record by the name of its file, but for where it comes from."""
    records = {path.name: read_record(path) for path in sorted(folder.glob("*.json"))}
    for record in records.values():
        del record["provenance"]
    return records


@cache
def uninterrupted(*runs: Run) -> dict[str, dict[str, Any]]:
    """What the runs come to when nothing happens to them."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        swept(runs, Path(folder))
        return ends(Path(folder))


class Telling(Seen):
    """Progress that is sent to another process."""

    def __init__(self, channel: Connection) -> None:
        super().__init__()
        self.channel = channel

    def on_step(self, training: Training) -> None:
        """Say that one is over."""
        self.channel.send("step")


def sweep_and_tell(
    runs: Sequence[Run], folder: Path, members: int, seconds: float, channel: Connection
) -> None:
    """What a process does that may be killed: it sends a word for every step, and its summary."""
    torch.set_num_threads(1)
    summary = swept(runs, folder, members, seconds, progress=Telling(channel))
    channel.send(summary)
    channel.close()


def sweep_until_file_operation(number: int, runs: Sequence[Run], folder: Path) -> None:
    """Sweep with a checkpoint after every step, and be killed before a file operation there.

    Counted are opening, renaming and removing a file of the folder.
    """
    torch.set_num_threads(1)
    seen = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event not in ("open", "os.rename", "os.remove"):
            return
        if str(arguments[0]).startswith(str(folder)):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    swept(runs, folder, checkpoint_seconds=0)
