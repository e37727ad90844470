"""Records of runs that never took place, for tests of what reads records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sparsity_theory.published.rows import Design
from torch_models.records.files import write_record
from torch_models.records.run_record import (
    DivergenceRecord,
    EpochRecord,
    FinalRecord,
    InitializationRecord,
    RunRecord,
)
from torch_models.records.runs import Run, find_budget

CHECKSUMS = {"train-images": "md5:1", "test-images": "md5:2"}


def run_record(
    row: Design,
    accuracy: float,
    *,
    sparsity: float | None = None,
    table: int = 2,
    network: str = "dnn",
    budget: str = "short",
    seed: int = 0,
    divergence: str | None = None,
    source: str = "MNIST as published",
    losses: tuple[float, ...] = (2.0, 1.0, 0.5),
    norms: tuple[tuple[float, ...], ...] = ((1.0, 1.0, 1.0),),
    **changes: Any,
) -> RunRecord:
    """The record of such a run; its sparsity is that of the row unless told."""
    found = find_budget("short" if budget == "custom" else budget, table, network)
    experiment = replace(found.experiment, **changes)
    data = {"name": experiment.data, "source": source, "checksums": CHECKSUMS}
    layers, share = (0.5,) * experiment.depth, row.sparsity if sparsity is None else sparsity
    return RunRecord(
        run=Run(table, row, budget, experiment, seed),
        data={**data, "train": 54000, "validation": 6000, "test": 10000},
        initialization=InitializationRecord(layers, layers, 1.0, layers, 0.1),
        divergence=None if divergence is None else DivergenceRecord(2, 1, divergence),
        epochs=tuple(
            EpochRecord(epoch, loss, accuracy, layers) for epoch, loss in enumerate(losses, start=1)
        ),
        gradient_norms=norms,
        final=FinalRecord(accuracy, losses[-1] if losses else 2.3, share, layers),
        weights="sha256:0",
        provenance={},
    )


def write_run(folder: Path, row: Design, accuracy: float, **options: Any) -> Path:
    """Write such a record under the name of its run."""
    record = run_record(row, accuracy, **options)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.run.name}.json"
    write_record(path, record.to_json())
    return path
