"""The job behind ``sparsity-theory reproduce``: predict a row, build, measure, train and judge it.

Nothing here prints. What the user sees while a row runs goes through a ``Watcher``.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparsity_theory.finite_width.forecast import FAILS_FROM, TRAINS_UP_TO
from sparsity_theory.published.rows import Row
from torch_models.data import Dataset
from torch_models.experiments.provenance import hardware, versions
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import evaluate
from torch_models.networks.observe import gradient_growth, observe
from torch_models.records.outcomes import LEARNED, ending, kept_within
from torch_models.records.prediction import Prediction, Verdict, judge, predict
from torch_models.records.settings import Settings
from torch_models.training.divergence import Divergence
from torch_models.training.loop import EpochStatistics, TrainingResult, train

IMAGES = 256
"""Images over which the sparsity at initialization is averaged."""


@dataclass(frozen=True)
class Initialization:
    """What was seen in the networks before training, per member.

    ``variance`` is q^l for one image and ``gain`` the growth of the squared gradient on its way
    back from h^L to h^1, for the same image: both are draws from the forecast's laws. ``sparsity``
    is an average over images.
    """

    variance: NDArray[np.float64]  # (members, depth)
    gain: NDArray[np.float64]  # (members,)
    sparsity: NDArray[np.float64]  # (members, depth)
    validation_accuracy: NDArray[np.float64]  # (members,)


@dataclass(frozen=True)
class Member:
    """How one network ended: ``result`` is trained, diverged, sparsity lost or not learned.

    A diverged network is tested with the weights of its last sound step.
    """

    seed: int
    result: str
    test_accuracy: float
    test_sparsity: float
    divergence: Divergence | None


@dataclass(frozen=True)
class RowReport:
    """A finished row: everything that its record and its picture need."""

    row: Row
    settings: Settings
    prediction: Prediction
    initialization: Initialization
    epochs: tuple[EpochStatistics, ...]
    members: tuple[Member, ...]
    layer_sparsity: NDArray[np.float64]  # (members, depth) on the test set, after training
    verdict: Verdict
    seconds: float


class Watcher(Protocol):
    """Told of every stage of a row, in this order; ``on_epoch`` after every epoch."""

    def on_prediction(self, prediction: Prediction) -> None:
        """The theory has spoken; no network exists yet."""

    def on_initialization(self, initialization: Initialization) -> None:
        """The networks are built and measured; training begins."""

    def on_epoch(self, statistics: EpochStatistics) -> None:
        """One more epoch is over."""


def run_row(row: Row, settings: Settings, dataset: Dataset, watcher: Watcher) -> RowReport:
    """Run one row from prediction to verdict. ``dataset`` must have the row's input variance."""
    started = time.perf_counter()
    prediction = predict(row, settings)
    watcher.on_prediction(prediction)
    seeds = tuple(range(settings.seeds))
    ensemble = DenseEnsemble(
        [row.net()] * settings.seeds,
        dataset.features,
        settings.width,
        settings.depth,
        dataset.classes,
        seeds,
    )
    initialization = observe_initialization(ensemble, dataset)
    watcher.on_initialization(initialization)
    result = train(
        ensemble,
        dataset,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        on_epoch=watcher.on_epoch,
    )
    members, layer_sparsity = test_members(ensemble, dataset, prediction, seeds, result)
    return RowReport(
        row=row,
        settings=settings,
        prediction=prediction,
        initialization=initialization,
        epochs=result.epochs,
        members=members,
        layer_sparsity=layer_sparsity,
        verdict=judge(prediction.outcome, [member.result for member in members]),
        seconds=time.perf_counter() - started,
    )


def observe_initialization(ensemble: DenseEnsemble, dataset: Dataset) -> Initialization:
    """Measure the networks as drawn, before training, on images held out of it.

    q^l and the gradient's growth are those of one image and one random direction sent back from
    h^L: the finite-width law is that of a single input.
    """
    image = dataset.validation_x[:1]
    validation = evaluate(ensemble, dataset.validation_x, dataset.validation_y)
    return Initialization(
        variance=observe(ensemble, image).variance,
        gain=gradient_growth(ensemble, image),
        sparsity=observe(ensemble, dataset.validation_x[:IMAGES]).sparsity,
        validation_accuracy=validation.accuracy,
    )


def test_members(
    ensemble: DenseEnsemble,
    dataset: Dataset,
    prediction: Prediction,
    seeds: tuple[int, ...],
    result: TrainingResult,
) -> tuple[tuple[Member, ...], NDArray[np.float64]]:
    """Evaluate on the test set; also return the sparsity of every member and layer there."""
    evaluation = evaluate(ensemble, dataset.test_x, dataset.test_y)
    layer_sparsity = evaluation.sparsity
    expected, tolerance = float(prediction.sparsity.mean()), kept_within(ensemble.width)
    members = []
    for k, seed in enumerate(seeds):
        accuracy = float(evaluation.accuracy[k])
        sparsity = float(layer_sparsity[k].mean())
        divergence = result.divergences[k]
        members.append(
            Member(
                seed=seed,
                result=ending(
                    None if divergence is None else divergence.kind,
                    abs(sparsity - expected) <= tolerance,
                    accuracy,
                ),
                test_accuracy=accuracy,
                test_sparsity=sparsity,
                divergence=divergence,
            )
        )
    return tuple(members), layer_sparsity


def record_of(report: RowReport, dataset: Dataset) -> dict[str, Any]:
    """Return the row's record, for ``write_record``."""
    return {
        "format": 1,
        "row": {**asdict(report.row), "label": report.row.label},
        "settings": asdict(report.settings),
        "seeds": [member.seed for member in report.members],
        "data": dataset.description(),
        "prediction": report.prediction,
        "initialization": report.initialization,
        "epochs": report.epochs,
        "members": report.members,
        "test_accuracy_mean": float(np.mean([m.test_accuracy for m in report.members])),
        "test_sparsity_mean": float(np.mean([m.test_sparsity for m in report.members])),
        "test_layer_sparsity": report.layer_sparsity,
        "rule": {
            "trains_up_to": TRAINS_UP_TO,
            "fails_from": FAILS_FROM,
            "learned": LEARNED,
            "kept": kept_within(report.settings.width),
        },
        "verdict": report.verdict,
        "seconds": report.seconds,
        "versions": versions(),
        "hardware": hardware(),
    }
