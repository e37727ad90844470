"""Records of runs that never took place, for tests of what reads records."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sparsity_theory.published.rows import Row
from torch_models.records.files import write_record
from torch_models.records.runs import Run, find_budget

CHECKSUMS = {"train-images": "md5:1", "test-images": "md5:2"}


def record_content(
    row: Row,
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
) -> dict[str, Any]:
    """What the record of such a run holds; its sparsity is that of the row unless told."""
    found = find_budget("short" if budget == "custom" else budget, table, network)
    experiment = replace(found.experiment, **changes)
    run = Run(table, row, budget, experiment, seed)
    return {
        "format": 2,
        "name": run.name,
        "table": table,
        "row": {**asdict(row), "label": row.label},
        "budget": budget,
        "experiment": asdict(experiment),
        "seed": seed,
        "data": {
            "name": experiment.data,
            "source": source,
            "checksums": CHECKSUMS,
            "train": 54000,
            "validation": 6000,
            "test": 10000,
        },
        "divergence": divergence and {"step": 2, "epoch": 1, "kind": divergence},
        "epochs": [
            {"epoch": epoch, "loss": loss, "validation_accuracy": accuracy, "sparsity": [0.5]}
            for epoch, loss in enumerate(losses, start=1)
        ],
        "gradient_norms": norms,
        "test": {"accuracy": accuracy, "sparsity": row.sparsity if sparsity is None else sparsity},
    }


def write_run(folder: Path, row: Row, accuracy: float, **options: Any) -> Path:
    """Write such a record under the name of its run."""
    content = record_content(row, accuracy, **options)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content['name']}.json"
    write_record(path, content)
    return path
