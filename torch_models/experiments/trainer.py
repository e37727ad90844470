"""Runs of one experiment trained together as an ensemble, each with a record of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from torch_models.data import Dataset
from torch_models.experiments.build import training_of
from torch_models.experiments.checkpoints import find_checkpoint, resume, save_checkpoint
from torch_models.experiments.progress import Progress
from torch_models.experiments.recording import initialization_records, provenance, run_records
from torch_models.experiments.weights import save_weights
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import Experiment, Run

CHECKPOINT_SECONDS = 60.0
"""Time between two checkpoints of an ensemble: what an interruption costs at most."""

Trainer = Callable[[Iterable[Sequence[Run]]], Iterator[RunRecord]]
"""Takes groups of runs, each of one experiment and at one step; yields the record of every run as
soon as it is finished.

Groups are claimed as they are taken, so a trainer that works by itself takes one when it needs it.
"""


def one_by_one(
    dataset_of: Callable[[Experiment], Dataset],
    progress: Progress,
    device: str = "cpu",
    folder: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    keep_weights: bool = False,
) -> Trainer:
    """The trainer that works in this process, on one group after the other; see `train_runs`."""

    def train(groups: Iterable[Sequence[Run]]) -> Iterator[RunRecord]:
        for runs in groups:
            dataset = dataset_of(runs[0].experiment)
            yield from train_runs(
                runs, dataset, progress, device, folder, checkpoint_seconds, keep_weights
            )

    return train


def train_runs(
    runs: Sequence[Run],
    dataset: Dataset,
    progress: Progress,
    device: str = "cpu",
    folder: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    keep_weights: bool = False,
) -> Iterator[RunRecord]:
    """Train runs of one experiment, yielding the record of each as soon as it is finished.

    With a ``folder``, checkpoints are written there, and training resumes from those that it finds
    there, if all runs have one. They must stand at one step. With ``keep_weights`` the trained
    weights are written there too, before the record of their run is yielded.
    """
    began = time.perf_counter()
    training = training_of(runs, dataset, device)
    before = initialization_records(training.ensemble, dataset)
    checkpoints = [folder and find_checkpoint(folder, run.name) for run in runs]
    if all(checkpoints):
        resume(training, [checkpoint for checkpoint in checkpoints if checkpoint])
    progress.on_start(runs, training)
    saved, recorded = time.monotonic(), set[int]()
    while True:
        if finished := sorted(training.finished_members - recorded):
            training.write_back()
            made = provenance(time.perf_counter() - began, len(runs), device)
            chosen = training.ensemble.select(finished)
            records = run_records(training, runs, finished, chosen, before, made)
            for place, record in enumerate(records):
                if folder and keep_weights:
                    save_weights(folder, record, chosen, place)
                yield record
            recorded.update(finished)
        if training.finished:
            return
        training.advance()
        progress.on_step(training)
        if folder and time.monotonic() - saved >= checkpoint_seconds:
            training.write_back()
            for member in training.training_members:
                save_checkpoint(folder, runs[member].name, training, member)
            saved = time.monotonic()
