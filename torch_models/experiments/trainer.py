"""Runs of one experiment trained together as an ensemble, each with a record of its own."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torch_models.data import Dataset
from torch_models.experiments.build import build
from torch_models.experiments.checkpoints import find_checkpoint, resume, save_checkpoint
from torch_models.experiments.progress import Progress
from torch_models.experiments.provenance import commit, hardware, versions
from torch_models.experiments.weights import save_weights
from torch_models.networks.ensemble import Ensemble
from torch_models.networks.evaluation import Evaluation, evaluate
from torch_models.networks.observe import gradient_growth, observe
from torch_models.records.run_record import (
    DivergenceRecord,
    EpochRecord,
    FinalRecord,
    InitializationRecord,
    RunRecord,
)
from torch_models.records.runs import Experiment, Run
from torch_models.training.loop import Training
from torch_models.training.schedule import Schedule

CHECKPOINT_SECONDS = 60.0
"""Time between two checkpoints of an ensemble: what an interruption costs at most."""

IMAGES = 256
"""Held-out images over which variance and sparsity at initialization are averaged."""

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
    ensemble = build(runs, dataset, device)
    before = _initialization(ensemble, dataset)
    experiment = runs[0].experiment
    training = Training(
        ensemble,
        dataset,
        Schedule(
            experiment.epochs, experiment.learning_rate, experiment.batch_size, experiment.order
        ),
    )
    checkpoints = [folder and find_checkpoint(folder, run.name) for run in runs]
    if all(checkpoints):
        resume(training, [checkpoint for checkpoint in checkpoints if checkpoint])
    progress.on_start(runs, training)
    saved, recorded = time.monotonic(), set[int]()
    while True:
        if finished := sorted(training.finished_members - recorded):
            training.write_back()
            made = _provenance(time.perf_counter() - began, len(runs), device)
            chosen = ensemble.select(finished)
            x = chosen.shaped(dataset.test_x, dataset.image_shape)
            tested = evaluate(chosen, x, dataset.test_y)
            for place, member in enumerate(finished):
                record = RunRecord(
                    run=runs[member],
                    data=dataset.description(),
                    initialization=before[member],
                    divergence=_divergence(training, member),
                    epochs=tuple(_epochs(training, member)),
                    gradient_norms=tuple(_gradient_norms(training, member)),
                    final=_final(tested, place),
                    weights=_digest(chosen, place),
                    provenance=made,
                )
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


def _initialization(ensemble: Ensemble, dataset: Dataset) -> list[InitializationRecord]:
    """What is measured of every member before training, on held-out images."""
    images = ensemble.shaped(dataset.validation_x, dataset.image_shape)
    seen, of_one = observe(ensemble, images[:IMAGES]), observe(ensemble, images[:1])
    gain = gradient_growth(ensemble, images[:1])
    accuracy = evaluate(ensemble, images, dataset.validation_y).accuracy
    return [
        InitializationRecord(
            variance=_numbers(seen.variance[member]),
            sparsity=_numbers(seen.sparsity[member]),
            gain=float(gain[member]),
            image_variance=_numbers(of_one.variance[member]),
            validation_accuracy=float(accuracy[member]),
        )
        for member in range(ensemble.members)
    ]


def _divergence(training: Training, member: int) -> DivergenceRecord | None:
    found = training.divergences[member]
    return None if found is None else DivergenceRecord(found.step, found.epoch, found.kind)


def _epochs(training: Training, member: int) -> Iterator[EpochRecord]:
    """The epochs that a member finished."""
    divergence = training.divergences[member]
    last = len(training.epochs) if divergence is None else divergence.epoch
    for statistics in training.epochs[:last]:
        if not math.isnan(statistics.loss[member]):
            yield EpochRecord(
                statistics.epoch,
                float(statistics.loss[member]),
                float(statistics.validation_accuracy[member]),
                _numbers(statistics.sparsity[member]),
            )


def _gradient_norms(training: Training, member: int) -> Iterator[tuple[float, ...]]:
    for norms in training.gradient_norms:
        if not np.isnan(norms[member]).all():
            yield _numbers(norms[member])


def _final(tested: Evaluation, place: int) -> FinalRecord:
    return FinalRecord(
        float(tested.accuracy[place]),
        float(tested.loss[place]),
        float(tested.sparsity[place].mean()),
        _numbers(tested.sparsity[place]),
    )


def _numbers(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(values.tolist())


def _digest(ensemble: Ensemble, member: int) -> str:
    """A hash of a member's parameters: two runs ended alike if theirs are equal."""
    digest = hashlib.sha256()
    for parameter in ensemble.parameters():
        digest.update(parameter[member].detach().cpu().numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"


def _provenance(seconds: float, members: int, device: str) -> dict[str, Any]:
    """Where a record comes from; ``seconds`` is the time since training began or resumed."""
    return {
        "seconds": round(seconds, 1),
        "members": members,
        "versions": versions(),
        "hardware": hardware(device),
        "commit": commit(),
    }
