"""The job behind ``sparsity-theory reproduce``: predict a row, build, measure, train and judge it.

Nothing here prints. What the user sees while a row runs goes through a ``Watcher``.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import sparsity_theory as st
from sparsity_theory.forecast import FAILS_FROM, TRAINS_UP_TO
from torch_models.data import Dataset
from torch_models.divergence import Divergence
from torch_models.endings import LEARNED, ending, kept_within
from torch_models.evaluation import evaluate
from torch_models.experiments import Row, Settings
from torch_models.networks import DenseEnsemble
from torch_models.observe import gradient_growth, observe
from torch_models.provenance import hardware, versions
from torch_models.training import EpochStatistics, TrainingResult, train

CLIPPED = (st.ClippedReLU, st.ClippedSoftThreshold)

IMAGES = 256
"""Images over which the sparsity at initialization is averaged."""


@dataclass(frozen=True)
class Prediction:
    """What the theory says of a row before any network exists.

    ``variance`` and ``sparsity`` are the mean-field values of layers 1 to L, ``gain`` is the
    product of chi(q^l) over layers 1 to L - 1 (Eq. 24); quantiles are the forecast's 5%, 50% and
    95%, for networks of the settings' width. ``fixed_points`` is None where every variance is one
    (ReLU). ``outcome`` is ``"trains"``, ``"fails"`` or ``"open"``.
    """

    tau: float
    m: float | None
    sigma_w2: float
    sigma_b2: float
    slope: float
    curvature: float
    chi: float
    fixed_points: tuple[st.FixedPoint, ...] | None
    input_variance: float
    variance: NDArray[np.float64]
    sparsity: NDArray[np.float64]
    gain: float
    failure_probability: float
    left_basin: float
    variance_quantiles: tuple[float, float, float]
    gain_quantiles: tuple[float, float, float]
    sparsity_mean: NDArray[np.float64]
    sparsity_std: NDArray[np.float64]
    forecast_verdict: str
    outcome: str


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
class Verdict:
    """``status`` is "as the theory says", "not as the theory says", "undecided" or "open"."""

    status: str
    reason: str


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


def predict(row: Row, settings: Settings) -> Prediction:
    """Say what the theory says of networks of this row, width and depth, before there are any."""
    phi, net = row.activation(), row.net()
    q0 = row.input_variance()
    # App. D: the first layer keeps the input's variance, so q^1 = q^0 and V acts L - 1 times.
    variance = np.asarray(net.trajectory(q0, settings.depth - 1), dtype=np.float64)
    forecast = st.forecast(net, width=settings.width, depth=settings.depth, q0=q0)
    return Prediction(
        tau=float(phi.tau),
        m=float(phi.m) if isinstance(phi, CLIPPED) else None,
        sigma_w2=float(net.sigma_w2),
        sigma_b2=float(net.sigma_b2),
        slope=float(net.variance_slope(1.0)),
        curvature=float(net.variance_curvature(1.0)),
        chi=float(net.chi(1.0)),
        fixed_points=_fixed_points(net),
        input_variance=q0,
        variance=variance,
        sparsity=np.asarray(phi.sparsity(variance), dtype=np.float64),
        gain=float(np.prod(net.chi(variance[:-1]))),
        failure_probability=float(forecast.failure_probability),
        left_basin=float(forecast.left_basin),
        variance_quantiles=_three(forecast.final_variance),
        gain_quantiles=_three(forecast.gradient_growth),
        sparsity_mean=np.asarray(forecast.sparsity_mean, dtype=np.float64),
        sparsity_std=np.asarray(forecast.sparsity_std, dtype=np.float64),
        forecast_verdict=str(forecast.verdict),
        outcome=forecast.outcome,
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


def judge(outcome: str, results: list[str]) -> Verdict:
    """Hold the networks' ends against the predicted outcome of their row.

    A network fails if it diverges or loses its sparsity. A row predicted to train is refuted by
    one that fails, and confirmed when all have learned; a row predicted to fail is confirmed by
    one that fails, and refuted when all have learned. A row with no failure in which some have not
    learned says nothing for either side: the run was too short.
    """
    count = len(results)
    failed = sum(result in ("diverged", "sparsity lost") for result in results)
    learned = results.count("trained")
    seen = _describe(results)
    if outcome == "open":
        return Verdict("open", f"the forecast takes no side; {seen}")
    if not failed and learned < count:
        return Verdict("undecided", f"{seen}: stable, but train longer to see whether it learns")
    if (failed == 0) == (outcome == "trains"):
        return Verdict("as the theory says", seen)
    return Verdict("not as the theory says", f"{seen}, and the forecast was that it {outcome}")


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


def _fixed_points(net: st.MeanField) -> tuple[st.FixedPoint, ...] | None:
    try:
        return net.fixed_points()
    except ValueError:  # V is the identity
        return None


def _three(values: Any) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in values)
    return low, middle, high


def _describe(results: list[str]) -> str:
    """Count the ends: ``2 of 3 diverged, 1 of 3 lost sparsity``."""
    count = len(results)
    kinds = dict.fromkeys(results)
    return ", ".join(f"{results.count(kind)} of {count} {kind}" for kind in kinds)
