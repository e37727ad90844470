"""The records of members of an ensemble: measured before training, and tested when it is over."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torch_models.data import Dataset
from torch_models.experiments.provenance import commit, hardware, versions
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
from torch_models.records.runs import Run
from torch_models.training.loop import Training

IMAGES = 256
"""Held-out images over which variance and sparsity at initialization are averaged."""


def run_records(
    training: Training,
    runs: Sequence[Run],
    members: Sequence[int],
    chosen: Ensemble,
    before: Sequence[InitializationRecord],
    made: dict[str, Any],
) -> Iterator[RunRecord]:
    """The records of these members, tested now.

    Args:
        training: of all ``runs``, up to date.
        runs: one a member of the training's ensemble.
        members: whose records are made.
        chosen: those members, in this order, as an ensemble of their own.
        before: what was measured of every member of the training's ensemble before it.
        made: what they say of where they come from.
    """
    dataset = training.dataset
    x = chosen.shaped(dataset.test_x, dataset.image_shape)
    tested = evaluate(chosen, x, dataset.test_y)
    for place, member in enumerate(members):
        yield RunRecord(
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


def initialization_records(ensemble: Ensemble, dataset: Dataset) -> list[InitializationRecord]:
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


def provenance(seconds: float, members: int, device: str) -> dict[str, Any]:
    """Where a record comes from; ``seconds`` is the time since training began or resumed."""
    return {
        "seconds": round(seconds, 1),
        "members": members,
        "versions": versions(),
        "hardware": hardware(device),
        "commit": commit(),
    }
