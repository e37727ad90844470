"""What came of a row: its prediction, the records of its runs, and the verdict on the theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import PublishedRow, published_rows, read_tables
from torch_models.records.prediction import ENDS, Prediction, Verdict, judge
from torch_models.records.results import RowSummary, row_summary
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

    @property
    def as_forecast(self) -> int:
        """How many networks ended as was forecast."""
        ends = ENDS[self.prediction.outcome]
        return sum(record.outcome in ends for record in self.records)

    @property
    def summary(self) -> RowSummary | None:
        """The records beside what the paper reports of the row; None if it does not have it.

        A row that was trained outside of a table is compared with the first table that has it.
        """
        run = self.records[0].run
        for published in _published(run.table):
            if published.design == run.design:
                return row_summary(published, run.experiment.network, self.records)
        return None

    def to_json(self) -> dict[str, Any]:
        """The report for programs: inputs, prediction, verdict, and the outcome of every run."""
        return {
            "row": asdict(self.design),
            "experiment": self.experiment.to_json(),
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


def _published(table: int | None) -> list[PublishedRow]:
    """The rows of a table, or of all."""
    tables = [int(name.removeprefix("table_")) for name in read_tables()]
    return [row for each in tables if table in (None, each) for row in published_rows(each)]
