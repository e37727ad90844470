"""The record of a run: one schema, which writes, reads and checks itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from sparsity_theory.published.rows import Design, expected_sparsity
from torch_models.records.files import read_record
from torch_models.records.outcomes import SPARSITY_HALVED, kept_within, outcome_of
from torch_models.records.runs import CUSTOM, THREE_ROWS, Experiment, Run, budget_names, rows_named

FORMAT = 3
"""Of the records that are written."""

READ_FORMATS = (2, 3)
"""Of the records that are read. Format 2 called a halved sparsity lost, and had neither the
variance of a single image nor an accuracy before training."""

DIGITS = 5
"""Significant digits of the numbers in a record."""

BUDGETS = (*budget_names(), THREE_ROWS, CUSTOM)

COMPRESSED = (".gz", ".xz", ".bz2")


@dataclass(frozen=True)
class InitializationRecord:
    """What was measured before training, on held-out images.

    Attributes:
        variance: q^l, (depth,), averaged over images.
        sparsity: share of zeros, (depth,), averaged over images.
        gain: growth of the squared gradient from h^L back to h^1, for the first image.
        image_variance: q^l of the first image, (depth,); None in records of format 2.
        validation_accuracy: in [0, 1]; None in records of format 2.
    """

    variance: tuple[float, ...]
    sparsity: tuple[float, ...]
    gain: float
    image_variance: tuple[float, ...] | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class DivergenceRecord:
    """The step and the epoch (both from 1) in which a network diverged, and how."""

    step: int
    epoch: int
    kind: str


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: its mean training loss, then accuracy and sparsity (depth,) on held-out images."""

    epoch: int
    loss: float
    validation_accuracy: float
    sparsity: tuple[float, ...]


@dataclass(frozen=True)
class FinalRecord:
    """On the test set; of a network that diverged, with the weights of its last finite step.

    Attributes:
        accuracy: in [0, 1].
        loss: mean cross-entropy.
        sparsity: share of zeros over all hidden layers, in [0, 1].
        layer_sparsity: of each layer, (depth,).
    """

    accuracy: float
    loss: float
    sparsity: float
    layer_sparsity: tuple[float, ...]


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes:
        run: what was trained.
        data: what the images are: name, source, checksums, numbers of images.
        initialization: measured before training.
        divergence: None for a network that trained to the end.
        epochs: the finished ones.
        gradient_norms: of the first steps, each (depth + 1,): Frobenius norms of the gradient by
            every layer's weights.
        final: on the test set.
        weights: a digest of the trained parameters.
        provenance: time, versions, hardware and the commit of the code.
    """

    run: Run
    data: Mapping[str, Any] = field(compare=False)
    initialization: InitializationRecord
    divergence: DivergenceRecord | None
    epochs: tuple[EpochRecord, ...]
    gradient_norms: tuple[tuple[float, ...], ...]
    final: FinalRecord
    weights: str
    provenance: Mapping[str, Any] = field(compare=False, repr=False)

    @cached_property
    def outcome(self) -> str:
        """One of `torch_models.records.outcomes.OUTCOMES`."""
        experiment = self.run.experiment
        distance = abs(self.final.sparsity - expected_sparsity(self.run.design, experiment.depth))
        kind = None if self.divergence is None else self.divergence.kind
        return outcome_of(kind, distance <= kept_within(experiment.width), self.final.accuracy)

    @property
    def training_time(self) -> float:
        """The learning rate times the steps of the whole run, as `st.forecast` takes it."""
        return self.run.experiment.training_time(self.data["train"])

    @property
    def outcome_in_detail(self) -> str:
        """The outcome, or the kind of divergence of a network that diverged."""
        if self.divergence is not None and self.outcome == "diverged":
            return self.divergence.kind
        return self.outcome

    @cached_property
    def images(self) -> tuple[str, ...]:
        """What the images are: see `images_described`."""
        return images_described(self.data)

    def to_json(self) -> dict[str, Any]:
        """What `torch_models.records.files.write_record` writes, numbers to `DIGITS` digits."""
        run = self.run
        return {
            "format": FORMAT,
            "name": run.name,
            "table": run.table,
            "row": {**asdict(run.design), "label": run.design.label},
            "budget": run.budget,
            "experiment": run.experiment.to_json(),
            "seed": run.seed,
            "data": dict(self.data),
            "initialization": rounded(asdict(self.initialization)),
            "divergence": None if self.divergence is None else asdict(self.divergence),
            "epochs": rounded([asdict(epoch) for epoch in self.epochs]),
            "gradient_norms": rounded(self.gradient_norms),
            "test": rounded(asdict(self.final)),
            "weights": self.weights,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The record that the content of a file is.

        Raises:
            ValueError: if it is none, saying why.
        """
        found = content.get("format")
        if found not in READ_FORMATS or "experiment" not in content:
            what = "" if found is None else f", its format is {found!r}"
            raise ValueError(f"is not the record of a run{what}")
        try:
            record = cls._from_whole(content)
            hash((record.run, record.images, record.data["source"]))  # TypeError for lists
            record._check(content["name"])
        except (KeyError, TypeError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise ValueError(f"is not a whole record of a run ({problem})") from error
        except ValueError as error:
            raise ValueError(f"is not a record of a run: {error}") from error
        return record

    @classmethod
    def _from_whole(cls, content: Mapping[str, Any]) -> Self:
        row = Design(*(content["row"][name] for name in ("kind", "sparsity", "slope")))
        experiment = Experiment(**content["experiment"])
        before, after = content["initialization"], content["test"]
        image, accuracy = before.get("image_variance"), before.get("validation_accuracy")
        return cls(
            run=Run(content["table"], row, content["budget"], experiment, content["seed"]),
            data=content["data"],
            initialization=InitializationRecord(
                _numbers(before["variance"]),
                _numbers(before["sparsity"]),
                _number(before["gain"]),
                None if image is None else _numbers(image),
                None if accuracy is None else _number(accuracy),
            ),
            divergence=_divergence(content["divergence"]),
            epochs=tuple(
                EpochRecord(
                    each["epoch"],
                    _number(each["loss"]),
                    _number(each["validation_accuracy"]),
                    _numbers(each["sparsity"]),
                )
                for each in content["epochs"]
            ),
            gradient_norms=tuple(map(_numbers, content["gradient_norms"])),
            final=FinalRecord(
                _number(after["accuracy"]),
                _number(after["loss"]),
                _number(after["sparsity"]),
                _numbers(after["layer_sparsity"]),
            ),
            weights=content["weights"],
            provenance=content["provenance"],
        )

    def _check(self, called: str) -> None:
        """Refuse numbers that would spoil a mean, parts that do not fit, and another's name."""
        run = self.run
        layers = {len(each.sparsity) for each in self.epochs} | {len(self.final.layer_sparsity)}
        layers |= {len(self.initialization.variance), len(self.initialization.sparsity)}
        if layers != {run.experiment.depth}:
            raise ValueError(
                f"it must have figures of {run.experiment.depth} layers, got those of "
                f"{', '.join(map(str, sorted(layers)))}"
            )
        counts = [self.data[part] for part in ("train", "validation", "test")]
        if not all(isinstance(count, int) for count in counts):
            raise ValueError(f"numbers of images must be whole, got {counts}")
        if not isinstance(self.provenance, Mapping):
            raise ValueError(f"provenance must be an object, got {self.provenance!r}")
        for name in ("accuracy", "sparsity"):
            value = getattr(self.final, name)
            if not 0 <= value <= 1:
                raise ValueError(f"test {name} must be between 0 and 1, got {value!r}")
        if run.budget not in BUDGETS:
            raise ValueError(f"budget must be one of {', '.join(BUDGETS)}, got {run.budget!r}")
        if not isinstance(run.seed, int) or isinstance(run.seed, bool):
            raise ValueError(f"seed must be an integer, got {run.seed!r}")
        if run.table is not None:
            rows_named(run.table, run.experiment.network, (run.design.slug,))
        if called != run.name:
            raise ValueError(f"its name must be that of its run, {run.name}, got {called!r}")


def images_described(data: Mapping[str, Any]) -> tuple[str, ...]:
    """What images are: the content of files, however they were compressed, and how many.

    Args:
        data: as in a `RunRecord`, or a data set's ``description()``.
    """
    sums = {
        name: value for name, value in data["checksums"].items() if not name.endswith(COMPRESSED)
    }
    counts = (f"{part} {data[part]}" for part in ("train", "validation", "test"))
    return (*(f"{name} {value}" for name, value in sorted(sums.items())), *counts)


def read_run_record(path: Path) -> RunRecord:
    """The record in a file.

    Raises:
        ValueError: naming the file, if it does not hold one.
        OSError: if it cannot be read.
    """
    try:
        return RunRecord.from_json(read_record(path))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if str(path) in message else f"{path} {message}") from error


def rounded(value: Any) -> Any:
    """Round every number in lists, tuples and dictionaries to the digits that a record has."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _divergence(content: Mapping[str, Any] | None) -> DivergenceRecord | None:
    if content is None:
        return None
    kind = SPARSITY_HALVED if content["kind"] == "sparsity lost" else content["kind"]
    return DivergenceRecord(content["step"], content["epoch"], kind)


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(map(_number, values))


def _number(value: Any) -> float:
    """A number as a record holds it: null stands for NaN, and infinities are strings."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not (isinstance(value, (int, float)) or value in ("inf", "-inf")):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
