"""Many runs, each trained once, with a record of its own, and nothing lost.

A run is finished when its record is there, and is then never repeated. One that was interrupted
resumes from its checkpoint. A run that another process holds is left to it: every run has a lock,
which the operating system releases with its process, however that ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from torch_models.experiments.checkpoints import checkpoint_path, find_checkpoint, forget_checkpoint
from torch_models.experiments.progress import Progress
from torch_models.experiments.trainer import Trainer
from torch_models.records.files import clear_temporaries, write_record
from torch_models.records.run_record import RunRecord, read_run_record
from torch_models.records.runs import Run

LOCKS = ".locks"
"""Folder of the locks; those of finished runs may be deleted, and need not be."""

OTHER_IMAGES = "is of training on other images: train on these in another folder"
"""What is wrong with a record or a checkpoint that has the name of a run."""


@dataclass
class SweepSummary:
    """What became of the runs asked for.

    Attributes:
        trained: here and now.
        finished: found with a record, and not repeated.
        elsewhere: held by another process.
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
    train: Trainer,
    progress: Progress,
    members: int,
    again: bool = False,
    images: tuple[str, ...] | None = None,
) -> SweepSummary:
    """Train the runs that have no record in ``folder`` yet, ``members`` networks at a time.

    Args:
        runs: what is asked for, each once.
        folder: of records, checkpoints and locks; made if need be.
        train: does the work; see `torch_models.experiments.trainer.one_by_one`.
        progress: called for every record.
        members: networks that train together at most.
        again: whether runs with a record are repeated; it is replaced when they are finished.
        images: of all runs, as `images_described` has them: records and checkpoints of others are
            left alone. Where not given, they are not compared.

    Raises:
        ValueError: if ``members`` is below 1.
    """
    if members < 1:
        raise ValueError(f"members must be at least 1, got {members}")
    (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    with _Claims(runs, folder, again, images) as claims:
        for record in train(claims.groups(members)):
            keep(folder, record)
            claims.release(record.run)
            claims.summary.trained.append(record.run)
            progress.on_record(record)
    return claims.summary


def keep(folder: Path, record: RunRecord) -> None:
    """Write a finished run's record; its checkpoint is not needed any more."""
    write_record(record_path(folder, record.run), record.to_json())
    forget_checkpoint(folder, record.run.name)


def record_path(folder: Path, run: Run) -> Path:
    """Where a run's record is."""
    return folder / f"{run.name}.json"


def lock_path(folder: Path, run: Run) -> Path:
    """Where the lock of a run is: the file is there while a process holds it."""
    return folder / LOCKS / f"{run.name}.lock"


def is_finished(folder: Path, run: Run, images: tuple[str, ...] | None = None) -> bool:
    """Whether the run has a record, of these images if any are given.

    Raises:
        ValueError: if the file in its place cannot be read, or is that of something else.
    """
    path = record_path(folder, run)
    if not path.exists():
        return False
    found = read_run_record(path)
    if found.run != run:
        raise ValueError(f"{path} is the record of something else, {found.run.name}")
    if images not in (None, found.images):
        raise ValueError(f"{path} {OTHER_IMAGES}")
    return True


class _Claims:
    """The runs that wait, those that this process has locked, and what became of the others."""

    def __init__(
        self, runs: Sequence[Run], folder: Path, again: bool, images: tuple[str, ...] | None
    ) -> None:
        self.folder, self.again, self.images = folder, again, images
        self.waiting = list(runs)
        self.locks: dict[Run, FileLock] = {}
        self.summary = SweepSummary()

    def __enter__(self) -> _Claims:
        """Nothing is locked yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave to others what has not ended."""
        for run in list(self.locks):
            self.release(run)

    def groups(self, members: int) -> Iterator[list[Run]]:
        """Lock runs that can train together, one experiment at one step, until none waits."""
        while self.waiting:
            if group := self._group(members):
                yield group

    def release(self, run: Run) -> None:
        """Release the lock of a run."""
        self.locks.pop(run).release()

    def _group(self, members: int) -> list[Run]:
        group: list[Run] = []
        shared = None
        for run in list(self.waiting):
            if len(group) == members:
                break
            if not self._claim(run):
                self.waiting.remove(run)
                continue
            clear_temporaries(self.folder, run.name)
            checkpoint = find_checkpoint(self.folder, run.name)
            if checkpoint and self.images and not checkpoint.is_of(self.images):
                self.summary.blocked.append(f"{checkpoint.path} {OTHER_IMAGES}")
                self.waiting.remove(run)
                self.release(run)
                continue
            place = (run.experiment, checkpoint.step if checkpoint else 0)
            shared = shared or place
            if place == shared:
                self.waiting.remove(run)
                group.append(run)
            else:
                self.release(run)
        return group

    def _claim(self, run: Run) -> bool:
        """Lock a run that is to be trained; if it is not, the summary says why."""
        if not self._is_wanted(run):
            return False
        if not self._lock(run):
            self.summary.elsewhere.append(run)
            return False
        if not self._is_wanted(run):  # it was finished in the meantime
            self.release(run)
            return False
        return True

    def _lock(self, run: Run) -> bool:
        lock = FileLock(lock_path(self.folder, run))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self.locks[run] = lock
        return True

    def _is_wanted(self, run: Run) -> bool:
        try:
            finished = is_finished(self.folder, run, None if self.again else self.images)
        except (OSError, ValueError) as error:
            self.summary.blocked.append(str(error))
            return False
        if finished and not self.again:
            self._forget_leftover(run)
            self.summary.finished.append(run)
        return self.again or not finished

    def _forget_leftover(self, run: Run) -> None:
        """Delete the checkpoint of a finished run, which a kill at the right moment leaves."""
        if run in self.locks:
            forget_checkpoint(self.folder, run.name)
        elif checkpoint_path(self.folder, run.name).exists() and self._lock(run):
            forget_checkpoint(self.folder, run.name)
            self.release(run)
