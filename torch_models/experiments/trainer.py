"""Runs of one experiment trained together as a stack, each with a record of its own."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from torch_models.data import Dataset
from torch_models.experiments.build import build
from torch_models.experiments.checkpoints import find_checkpoint, resume, save_checkpoint
from torch_models.experiments.provenance import commit, hardware, versions
from torch_models.networks.ensemble import Ensemble
from torch_models.networks.evaluation import Evaluation, evaluate
from torch_models.networks.observe import gradient_growth, observe
from torch_models.records.runs import Experiment, Run
from torch_models.training.loop import Schedule, Training

FORMAT = 2
"""Of the records made here."""

CHECKPOINT_SECONDS = 60.0
"""Time between two checkpoints of a stack: what an interruption costs at most."""

IMAGES = 256
"""Held-out images over which variance and sparsity at initialization are averaged."""

DIGITS = 5
"""Significant digits of the figures in a record."""


Record = dict[str, Any]
"""What is known of a run that has ended, as JSON can say it."""

Trainer = Callable[[Iterable[Sequence[Run]]], Iterator[tuple[Run, Record]]]
"""Takes stacks of runs, each of one experiment and at one step; yields every run as it has ended.

Stacks are claimed as they are taken, so one that works by itself takes the next when it needs it.
"""


class Watcher(Protocol):
    """Told of what happens to a stack."""

    def on_stack(self, runs: Sequence[Run], training: Training) -> None:
        """Networks begin to train, or go on."""

    def on_step(self, training: Training) -> None:
        """One more step is taken."""


def one_by_one(
    dataset_of: Callable[[Experiment], Dataset],
    watcher: Watcher,
    device: str = "cpu",
    folder: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Trainer:
    """The trainer that works in this process, on one stack after the other; see `train_stack`."""

    def train(stacks: Iterable[Sequence[Run]]) -> Iterator[tuple[Run, Record]]:
        for runs in stacks:
            dataset = dataset_of(runs[0].experiment)
            yield from train_stack(runs, dataset, watcher, device, folder, checkpoint_seconds)

    return train


def train_stack(
    runs: Sequence[Run],
    dataset: Dataset,
    watcher: Watcher,
    device: str = "cpu",
    folder: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Iterator[tuple[Run, Record]]:
    """Train runs of one experiment, yielding each with its record as soon as it has ended.

    With a ``folder``, checkpoints are written there, and the stack goes on from those that it finds
    there, if all runs have one. They must stand at one step.
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
    watcher.on_stack(runs, training)
    saved, told = time.monotonic(), set[int]()
    while True:
        if news := sorted(training.ended - told):
            training.write_back()
            chosen = ensemble.select(news)
            x = chosen.shaped(dataset.test_x, dataset.image_shape)
            tested = evaluate(chosen, x, dataset.test_y)
            made = _provenance(time.perf_counter() - began, len(runs), device)
            for place, member in enumerate(news):
                yield (
                    runs[member],
                    {
                        **_description(runs[member], dataset),
                        "initialization": rounded({name: v[member] for name, v in before.items()}),
                        **rounded(_course(training, member)),
                        "test": rounded(_figures(tested, place)),
                        "weights": _digest(chosen, place),
                        "provenance": made,
                    },
                )
            told.update(news)
        if training.finished:
            return
        training.advance()
        watcher.on_step(training)
        if folder and time.monotonic() - saved >= checkpoint_seconds:
            training.write_back()
            for member in training.alive:
                save_checkpoint(folder, runs[member].name, training, member)
            saved = time.monotonic()


def rounded(value: Any) -> Any:
    """Round every number in lists and dictionaries to the significant digits that a record has."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return rounded(value.tolist())
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _initialization(ensemble: Ensemble, dataset: Dataset) -> dict[str, Any]:
    """What is seen of the networks before training, by name, each with the members first."""
    images = ensemble.shaped(dataset.validation_x[:IMAGES], dataset.image_shape)
    seen = observe(ensemble, images)
    return {
        "variance": seen.variance,
        "sparsity": seen.sparsity,
        "gain": gradient_growth(ensemble, images[:1]),
    }


def _description(run: Run, dataset: Dataset) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": run.name,
        "table": run.table,
        "row": {**asdict(run.row), "label": run.row.label},
        "budget": run.budget,
        "experiment": asdict(run.experiment),
        "seed": run.seed,
        "data": dataset.description(),
    }


def _course(training: Training, member: int) -> dict[str, Any]:
    """What was measured of a member while it trained."""
    divergence = training.divergences[member]
    last = len(training.epochs) if divergence is None else divergence.epoch
    return {
        "divergence": None if divergence is None else asdict(divergence),
        "epochs": [
            {
                "epoch": statistics.epoch,
                "loss": statistics.loss[member],
                "validation_accuracy": statistics.validation_accuracy[member],
                "sparsity": statistics.sparsity[member],
            }
            for statistics in training.epochs[:last]
            if not math.isnan(statistics.loss[member])
        ],
        "gradient_norms": [
            norms[member] for norms in training.gradient_norms if not np.isnan(norms[member]).all()
        ],
    }


def _figures(tested: Evaluation, place: int) -> dict[str, Any]:
    return {
        "accuracy": tested.accuracy[place],
        "loss": tested.loss[place],
        "sparsity": tested.sparsity[place].mean(),
        "layer_sparsity": tested.sparsity[place],
    }


def _digest(ensemble: Ensemble, member: int) -> str:
    """A hash of a member's parameters: two runs ended alike if theirs are equal."""
    digest = hashlib.sha256()
    for parameter in ensemble.parameters():
        digest.update(parameter[member].detach().cpu().numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"


def _provenance(seconds: float, members: int, device: str) -> dict[str, Any]:
    """Where a record comes from; ``seconds`` is the stack's time since it began or went on."""
    return {
        "seconds": round(seconds, 1),
        "members": members,
        "versions": versions(),
        "hardware": hardware(device),
        "commit": commit(),
    }
