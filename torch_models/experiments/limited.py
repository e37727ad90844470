"""Runs of one experiment, trained for as long as there is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch_models.data import Dataset
from torch_models.experiments.build import training_of
from torch_models.experiments.recording import initialization_records, provenance, run_records
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import CUSTOM, Run
from torch_models.training.epochs import EpochStatistics
from torch_models.training.loop import Training


def train_until(
    deadline: float,
    runs: Sequence[Run],
    dataset: Dataset,
    device: str = "cpu",
    on_epoch: Callable[[EpochStatistics], None] = lambda statistics: None,
) -> tuple[list[RunRecord], Training]:
    """Train whole epochs until another one, as long as the last, would end after ``deadline``.

    SGD at a constant rate does not know how many epochs are to come: the first epochs of a run are
    a run of so many epochs. The records are those of such runs, whose budget is ``"custom"``, or of
    the runs themselves if all epochs were trained.

    Args:
        deadline: on the clock of ``time.monotonic``.
        runs: one a network, of one experiment.
        dataset: of the experiment.
        device: of the networks.
        on_epoch: called after every epoch.

    Returns:
        One record a run, diverged or not, but none if not one epoch was over in time; and the
        training as it stands, up to date.
    """
    began = time.monotonic()
    training = training_of(runs, dataset, device)
    before = initialization_records(training.ensemble, dataset)
    started, last = time.monotonic(), 0.0  # not the longest: the first compiles kernels
    while not training.finished and started + last < deadline:
        _train_an_epoch(training)
        on_epoch(training.epochs[-1])
        last = time.monotonic() - started
        started += last
    training.write_back()
    if not training.epochs:
        return [], training
    made = provenance(time.monotonic() - began, len(runs), device)
    shortened = [shorter(run, len(training.epochs), training.finished) for run in runs]
    every = range(len(runs))
    records = run_records(training, shortened, every, training.ensemble, before, made)
    return list(records), training


def shorter(run: Run, epochs: int, finished: bool) -> Run:
    """The run of so many epochs; itself if it is finished."""
    if finished:
        return run
    return replace(run, budget=CUSTOM, experiment=replace(run.experiment, epochs=epochs))


def _train_an_epoch(training: Training) -> None:
    done = len(training.epochs)
    while len(training.epochs) == done:
        training.advance()
