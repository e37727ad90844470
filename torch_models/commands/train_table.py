"""``sparsity-theory train-table``: the networks of the paper's tables, trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from torch_models.commands.errors import FAILED, fail, require
from torch_models.commands.options import (
    Again,
    Cluster,
    DataDir,
    Device,
    Output,
    SaveWeights,
    Threads,
    Together,
    Workers,
    changed,
    folded,
)
from torch_models.commands.printing import inputs_of
from torch_models.commands.sweep import Resources, summary_line, sweeper
from torch_models.records.runs import Budget, Run, find_budget, rows_named, runs_of

if TYPE_CHECKING:
    from torch_models.experiments.sweep import SweepSummary

OF_BUDGET = "the budget's"


def train_table(
    tables: Annotated[list[int], typer.Argument(metavar="TABLE...", help="2, 4 or 5.")],
    row: Annotated[
        list[str] | None,
        typer.Option(
            help="One of its rows, such as crelu-0.85-0.7; may be repeated.", show_default="all"
        ),
    ] = None,
    network: Annotated[
        str, typer.Option(help="dnn on MNIST, cnn on CIFAR-10, or cnn-1d, the same in one line.")
    ] = "dnn",
    budget: Annotated[
        str | None,
        typer.Option(
            help="full (the paper's), paper-size and larger-steps (its networks, in fewer epochs), "
            "short (hours on a laptop) or smoke (minutes; on digits, of a cnn on CIFAR-10). "
            "Options below change it.",
            show_default="the shortest there is",
        ),
    ] = None,
    width: Annotated[int | None, changed("Units or channels in a layer.", OF_BUDGET)] = None,
    depth: Annotated[int | None, changed("Hidden layers.", OF_BUDGET)] = None,
    seeds: Annotated[int | None, changed("Networks in a row.", OF_BUDGET)] = None,
    epochs: Annotated[int | None, changed("Passes over the training set.", OF_BUDGET)] = None,
    learning_rate: Annotated[
        float | None, changed("Step size of gradient descent.", OF_BUDGET)
    ] = None,
    batch_size: Annotated[int | None, changed("Images in a step.", OF_BUDGET)] = None,
    momentum: Annotated[float | None, changed("Of gradient descent.", "none")] = None,
    data: Annotated[str | None, changed("digits, mnist or cifar10.", OF_BUDGET)] = None,
    data_dir: DataDir = None,
    output: Output = Path("runs"),
    threads: Threads = None,
    together: Together = None,
    device: Device = "cpu",
    workers: Workers = None,
    cluster: Cluster = None,
    again: Again = False,
    save_weights: SaveWeights = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON list of tables with their runs instead.")
    ] = False,
) -> None:
    """Train the networks of Table 2, 4 or 5: one record a network.

    Interrupted runs resume, finished ones are not repeated, and several processes may share a
    folder. `sparsity-theory table` shows the results beside the paper's.
    """
    changes = {
        "width": width,
        "depth": depth,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "momentum": momentum,
        "data": folded(data),
    }
    try:
        resources = Resources(
            data_dir,
            output,
            threads,
            together,
            device.casefold(),
            again,
            workers,
            cluster,
            save_weights,
        )
        plans = [
            _plan(
                table,
                row or [],
                find_budget(folded(budget), table, network.casefold(), **changes),
                seeds,
            )
            for table in dict.fromkeys(tables)
        ]
    except ValueError as error:
        fail(str(error))
    require("train-table", *resources.libraries)
    console, done = Console(highlight=False, stderr=as_json), []
    with sweeper(resources, console) as train:
        for found, runs in plans:
            console.print(
                f"[bold]Table {runs[0].table}[/bold], budget {found.name}: "
                f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}"
            )
            train.print_experiment(found.experiment)
            summary = train.sweep(runs)
            console.print(summary_line(summary, output), soft_wrap=True)
            for reason in summary.blocked:
                console.print(f"  {reason}", soft_wrap=True, markup=False)
            done.append(_record(found, runs, summary, output))
    if as_json:
        typer.echo(json.dumps(done, indent=1))
    if train.blocked:
        raise typer.Exit(FAILED)


def _record(budget: Budget, runs: list[Run], summary: SweepSummary, output: Path) -> dict[str, Any]:
    """The table, what its networks are trained as, and what became of every run asked for."""
    from torch_models.experiments.sweep import record_path

    became = {
        **dict.fromkeys(summary.trained, "trained now"),
        **dict.fromkeys(summary.finished, "found finished"),
        **dict.fromkeys(summary.elsewhere, "held by another process"),
    }
    return {
        "table": runs[0].table,
        "budget": budget.name,
        "experiment": budget.experiment.to_json(),
        "runs": [
            {
                **inputs_of(run.design),
                "seed": run.seed,
                "status": became.get(run, "left alone"),
                "record": str(record_path(output, run)),
            }
            for run in runs
        ],
    }


def _plan(
    table: int, slugs: list[str], budget: Budget, seeds: int | None
) -> tuple[Budget, list[Run]]:
    """The runs of one table. Raises ``ValueError`` for what there is not."""
    rows = rows_named(table, budget.experiment.network, list(dict.fromkeys(slugs)))
    seeds = budget.seeds if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    return budget, runs_of(table, budget, [each.design for each in rows], range(seeds))
