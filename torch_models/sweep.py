"""Many runs, each trained once, with a record of its own, and nothing lost.

A run is finished when its record is there, and is then never repeated. One that was interrupted
goes on from its checkpoint. A run that another process is at is left to it: every run has a lock,
which the operating system lets go of with its process, however that ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from torch_models.checkpoints import find_checkpoint, forget_checkpoint
from torch_models.data import Dataset
from torch_models.records import read_record, write_record
from torch_models.runs import Experiment, Run
from torch_models.stacks import CHECKPOINT_SECONDS, Watcher, train_stack

LOCKS = ".locks"
"""Folder of the locks; those of finished runs may be deleted, and need not be."""


class SweepWatcher(Watcher, Protocol):
    """Told of what happens in a sweep."""

    def on_record(self, run: Run, record: dict[str, Any]) -> None:
        """A run has ended and its record is written."""


@dataclass
class Outcome:
    """What became of the runs asked for.

    Attributes:
        trained: here and now.
        finished: found with a record, and not repeated.
        elsewhere: left to another process that is at them.
        blocked: what is wrong with a file that lies in the place of a record and is not that of
            the run; it is left alone, and so is the run.
    """

    trained: list[Run] = field(default_factory=list)
    finished: list[Run] = field(default_factory=list)
    elsewhere: list[Run] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)


def sweep(
    runs: Sequence[Run],
    folder: Path,
    dataset_of: Callable[[Experiment], Dataset],
    watcher: SweepWatcher,
    members: int,
    device: str = "cpu",
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    again: bool = False,
) -> Outcome:
    """Train the runs that have no record in ``folder`` yet, ``members`` networks at a time.

    Args:
        runs: what is asked for.
        folder: of records, checkpoints and locks; made if need be.
        dataset_of: the images of an experiment, of variance 1.
        watcher: told of every step.
        members: networks in a stack at most.
        device: where the networks are.
        checkpoint_seconds: time between checkpoints.
        again: whether runs with a record are repeated; it is replaced when they have ended.
    """
    (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    waiting = list(runs) if again else _without_records(runs, folder, outcome)
    while waiting:
        with ExitStack() as locks:
            stack = _claim(waiting, folder, members, again, outcome, locks)
            if not stack:
                continue
            dataset = dataset_of(stack[0].experiment)
            for run, record in train_stack(
                stack, dataset, watcher, device, folder, checkpoint_seconds
            ):
                keep(folder, run, record)
                outcome.trained.append(run)
                watcher.on_record(run, record)
    return outcome


def keep(folder: Path, run: Run, record: dict[str, Any]) -> None:
    """Write a finished run's record; its checkpoint is not needed any more."""
    write_record(record_path(folder, run), record)
    forget_checkpoint(folder, run.name)


def record_path(folder: Path, run: Run) -> Path:
    """Where a run's record is."""
    return folder / f"{run.name}.json"


def is_finished(folder: Path, run: Run) -> bool:
    """Whether the run has a record.

    Raises:
        ValueError: if the file in its place cannot be read, or is that of something else.
    """
    path = record_path(folder, run)
    if not path.exists():
        return False
    name = read_record(path).get("name")
    if name != run.name:
        raise ValueError(f"{path} is the record of something else: its name is {name!r}")
    return True


def _without_records(runs: Sequence[Run], folder: Path, outcome: Outcome) -> list[Run]:
    """The runs to be trained; the others go into the outcome."""
    waiting: list[Run] = []
    for run in runs:
        try:
            finished = is_finished(folder, run)
        except (OSError, ValueError) as error:
            outcome.blocked.append(str(error))
            continue
        if finished:
            forget_checkpoint(folder, run.name)  # a kill between the two leaves it behind
        (outcome.finished if finished else waiting).append(run)
    return waiting


def _claim(
    waiting: list[Run],
    folder: Path,
    members: int,
    again: bool,
    outcome: Outcome,
    locks: ExitStack,
) -> list[Run]:
    """Take runs that can train together off the list: one experiment, at one step.

    A run that is locked, or was finished in the meantime, leaves the list as well.
    """
    stack: list[Run] = []
    company = None
    for run in list(waiting):
        if len(stack) == members:
            break
        lock = FileLock(folder / LOCKS / f"{run.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting.remove(run)
            outcome.elsewhere.append(run)
            continue
        if not again and not _without_records([run], folder, outcome):
            waiting.remove(run)
            lock.release()
            continue
        checkpoint = find_checkpoint(folder, run.name)
        place = (run.experiment, checkpoint.step if checkpoint else 0)
        company = company or place
        if place != company:
            lock.release()
            continue
        locks.callback(lock.release)
        waiting.remove(run)
        stack.append(run)
    return stack
