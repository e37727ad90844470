"""``sparsity-theory reproduce``: rows of the paper, from parameters to verdicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sparsity_theory.published.rows import Design, chosen_designs
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
)
from torch_models.commands.pictures import Plot, check_plot, draw_to
from torch_models.commands.printing import print_table, table
from torch_models.commands.sweep import (
    Resources,
    Sweeper,
    summary_line,
    sweeper,
)
from torch_models.records.files import to_plain
from torch_models.records.prediction import PREDICTIONS, RULE
from torch_models.records.runs import Budget, runs_of, three_rows_budget
from torch_models.reports.before_training import COLUMNS, before_training
from torch_models.reports.numbers import number

if TYPE_CHECKING:
    from torch_models.records.prediction import Prediction
    from torch_models.records.row_report import RowReport
    from torch_models.records.run_record import RunRecord

EPILOG = RULE
"""What its help ends with."""

MOST_MEMBERS = 12
"""Seeds whose outcomes are listed one by one; the records always have them all."""

STATUS_STYLES = {"as the theory says": "bold green", "not as the theory says": "bold red"}

AT_END = ("  seed", "test accuracy", "test sparsity", "outcome")
SUMMARY = ("row", "predicted", "outcomes", "verdict")

DIGITS = three_rows_budget("digits")


def _by_data(name: str) -> str:
    """The defaults of one part of the budget, which depend on the data."""
    budgets = {data: three_rows_budget(data).experiment for data in ("digits", "mnist")}
    return ", ".join(f"{getattr(each, name):g} for {data}" for data, each in budgets.items())


def reproduce(
    activation: Annotated[
        str | None,
        typer.Option(
            help="One row of your own: relu, st, crelu or cst.",
            show_default="three rows of the paper",
        ),
    ] = None,
    sparsity: Annotated[
        float | None, typer.Option(help="Its share of zeros s.", show_default="0.85")
    ] = None,
    slope: Annotated[
        float | None, typer.Option(help="Its V'(q*), if clipped.", show_default="0.7")
    ] = None,
    width: Annotated[int | None, changed("Units in a layer.", str(DIGITS.experiment.width))] = None,
    depth: Annotated[int | None, changed("Hidden layers.", str(DIGITS.experiment.depth))] = None,
    seeds: Annotated[int | None, changed("Networks in a row.", str(DIGITS.seeds))] = None,
    epochs: Annotated[
        int | None, changed("Passes over the training set.", _by_data("epochs"))
    ] = None,
    learning_rate: Annotated[
        float | None, changed("Step size of gradient descent.", _by_data("learning_rate"))
    ] = None,
    batch_size: Annotated[int | None, changed("Images in a step.", _by_data("batch_size"))] = None,
    momentum: Annotated[float | None, changed("Of gradient descent.", "none")] = None,
    data: Annotated[str, typer.Option(help="digits (included) or mnist.")] = "digits",
    data_dir: DataDir = None,
    output: Output = Path("runs"),
    threads: Threads = None,
    together: Together = None,
    device: Device = "cpu",
    workers: Workers = None,
    cluster: Cluster = None,
    again: Again = False,
    save_weights: SaveWeights = False,
    plot: Plot = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON list of reports instead of tables.")
    ] = False,
) -> None:
    """Solve for rows of the paper, forecast, build, measure and train them, and judge.

    Every network has a record in the output folder: an interrupted command resumes from there, and
    finished networks are not trained again. `train-table` trains whole tables.
    """
    check_plot(plot)
    changes = {
        "width": width,
        "depth": depth,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "momentum": momentum,
    }
    try:
        rows = chosen_designs(activation, sparsity, slope)
        budget = three_rows_budget(data.casefold(), **changes)
        if seeds is not None and seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {seeds}")
        for row in rows:
            row.net()  # raises where there is no edge of chaos
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
    except ValueError as error:
        fail(str(error))
    require("reproduce", *resources.libraries, "matplotlib")
    console = Console(highlight=False, stderr=as_json)
    with sweeper(resources, console) as train:
        train.print_experiment(budget.experiment)
        reports = [_reproduce(row, budget, seeds or budget.seeds, train, console) for row in rows]
    finished = [report for report in reports if report is not None]
    if as_json:
        typer.echo(json.dumps([to_plain(report.to_json()) for report in finished], indent=1))
    elif finished:
        _print_summary(console, finished)
        console.print(f"a page of all this: sparsity-theory report {output}", soft_wrap=True)
    if plot is not None and finished:
        _draw_all(finished, plot)
    if train.blocked:
        raise typer.Exit(FAILED)


def _reproduce(
    row: Design, budget: Budget, seeds: int, train: Sweeper, console: Console
) -> RowReport | None:
    """Predict a row, train what has no record, judge, and draw; None if records are missing."""
    from torch_models.experiments.sweep import record_path
    from torch_models.records.prediction import predict
    from torch_models.records.row_report import RowReport
    from torch_models.records.run_record import read_run_record
    from torch_models.reports.row_figure import save_figure

    experiment, output = budget.experiment, train.resources.output
    prediction = predict(row, experiment, len(train.dataset(experiment).train_y))
    _print_prediction(console, row, prediction)
    runs = runs_of(None, budget, [row], range(seeds))
    summary = train.sweep(runs)
    if summary.elsewhere or summary.blocked:
        console.print(f"  no verdict: {summary_line(summary, output)}", soft_wrap=True)
        for reason in summary.blocked:
            console.print(f"  {reason}", soft_wrap=True, markup=False)
        return None
    report = RowReport.of(prediction, [read_run_record(record_path(output, run)) for run in runs])
    picture = output / f"{runs[0].name.partition('-seed-')[0]}-{runs[0].name[-8:]}.png"
    save_figure([report], picture)
    _print_report(console, report)
    console.print(f"  records: {summary_line(summary, output)}", soft_wrap=True, markup=False)
    console.print(f"  picture: {picture}", soft_wrap=True, markup=False)
    return report


def _draw_all(reports: Sequence[RowReport], path: Path) -> None:
    """Draw all rows in one picture."""
    from torch_models.reports.row_figure import save_figure

    draw_to(path, lambda place: save_figure(reports, place))


def _print_prediction(console: Console, row: Design, prediction: Prediction) -> None:
    """Print the solved parameters and what the theory says of them."""
    clip = "-" if prediction.m is None else f"{prediction.m:.4f}"
    points = "every q"
    if prediction.fixed_points is not None:
        points = "q = " + ", ".join(
            f"{point.q:.3f}{'' if point.stable else ' (unstable)'}"
            for point in prediction.fixed_points
        )
    lines = Table.grid(padding=(0, 3, 0, 0))
    lines.add_row(
        "  parameters",
        f"tau {prediction.tau:.4f}   m {clip}   sigma_w^2 {prediction.sigma_w2:.4f}   "
        f"sigma_b^2 {prediction.sigma_b2:.4f}",
    )
    lines.add_row(
        "  variance map",
        f"V'(q*) {prediction.slope:.3f}   V''(q*) {prediction.curvature:.3f}   "
        f"fixed points {points}",
    )
    lines.add_row("  forecast", prediction.forecast_verdict)
    lines.add_row(
        "  prediction",
        f"[bold]{PREDICTIONS[prediction.outcome]}[/bold] "
        f"(failure probability {prediction.failure_probability:.3f}, "
        f"learnability {prediction.learnability:.2f})",
    )
    console.print(f"\n[bold]{row.label}[/bold]")
    console.print(lines)


def _print_report(console: Console, report: RowReport) -> None:
    """Print what was measured before training, the outcomes, and the verdict."""
    columns = [f"  {COLUMNS[0]}", *COLUMNS[1:]]
    shown = table(*columns, left=columns)
    for name, *figures in before_training(report):
        shown.add_row(f"  {name}", *figures)
    print_table(console, shown)
    shown = table(*AT_END, left=AT_END)
    for record in report.records[:MOST_MEMBERS]:
        shown.add_row(
            f"  {record.run.seed}",
            number(record.final.accuracy),
            number(record.final.sparsity),
            _outcome(record),
        )
    print_table(console, shown)
    status = report.verdict.status
    console.print(
        f"  verdict: [{STATUS_STYLES.get(status, 'bold')}]{status}[/] ({report.verdict.reason})",
        soft_wrap=True,
    )


def _print_summary(console: Console, reports: Sequence[RowReport]) -> None:
    """Print one line a row: what was predicted, the outcomes, the verdict."""
    console.print()
    shown = table(*SUMMARY, left=SUMMARY)
    for report in reports:
        status = report.verdict.status
        outcomes = [record.outcome for record in report.records]
        counts = [f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes)]
        shown.add_row(
            report.design.label,
            report.prediction.outcome,
            ", ".join(counts),
            f"[{STATUS_STYLES.get(status, 'bold')}]{status}[/]",
        )
    print_table(console, shown)


def _outcome(record: RunRecord) -> str:
    """The outcome, and where and how a network diverged."""
    divergence = record.divergence
    if divergence is None:
        return record.outcome
    return f"{record.outcome} at step {divergence.step}: {divergence.kind}"
