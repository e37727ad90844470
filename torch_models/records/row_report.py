"""What came of a row: its prediction, the records of its runs, and the verdict on the theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from sparsity_theory.published.rows import Design
from torch_models.records.prediction import Prediction, Verdict, judge
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import Experiment


@dataclass(frozen=True)
class RowReport:
    """A finished row: everything that is printed and drawn of it.

    Attributes:
        prediction: made before any network existed.
        records: one or more, of one row and experiment, by seed.
        verdict: the prediction held against the records.
    """

    prediction: Prediction
    records: tuple[RunRecord, ...]
    verdict: Verdict

    @classmethod
    def of(cls, prediction: Prediction, records: Sequence[RunRecord]) -> Self:
        """Judge the prediction of a row by its records."""
        outcomes = [record.outcome for record in records]
        verdict = judge(prediction.outcome, prediction.failure_probability, outcomes)
        return cls(prediction, tuple(records), verdict)

    @property
    def design(self) -> Design:
        """What was trained."""
        return self.records[0].run.design

    @property
    def experiment(self) -> Experiment:
        """How it was trained."""
        return self.records[0].run.experiment

    def to_json(self) -> dict[str, Any]:
        """The report for programs: inputs, prediction, verdict, and the outcome of every run."""
        return {
            "row": asdict(self.design),
            "experiment": asdict(self.experiment),
            "prediction": asdict(self.prediction),
            "verdict": asdict(self.verdict),
            "runs": [
                {
                    "name": record.run.name,
                    "seed": record.run.seed,
                    "outcome": record.outcome,
                    "divergence": record.divergence and asdict(record.divergence),
                    "test_accuracy": record.final.accuracy,
                    "test_sparsity": record.final.sparsity,
                }
                for record in self.records
            ],
        }
