"""What ``sparsity-theory`` gains when this package is installed. It only talks to the user."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sparsity_theory.published.rows import Row, chosen_rows
from torch_models.commands.errors import BAD_VALUE, FAILED, INTERRUPTED, fail
from torch_models.commands.train_tables import Request, reproduce_tables
from torch_models.records.files import ensure_writable, write_record
from torch_models.records.settings import BUDGETS, Settings, run_name

if TYPE_CHECKING:
    from torch_models.data import Dataset
    from torch_models.experiments.reproduce import Initialization, Member, RowReport
    from torch_models.records.prediction import Prediction
    from torch_models.training.loop import EpochStatistics

MOST_FIGURES = 4
"""Seeds whose figures share a line; those of more are summed up by median and range."""

MOST_MEMBERS = 12
"""Seeds whose ends are listed one by one; the record always has them all."""

DEFAULT_THREADS = 2
"""Threads unless told: the products are small, and more threads mostly wait for each other."""

NEEDED = {
    "torch": "torch",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "safetensors": "safetensors",
    "filelock": "filelock",
}
NEEDED_ON_CLUSTERS = {**NEEDED, "distributed": "distributed"}

OUTCOMES = {
    "trains": "every network trains and stays sparse",
    "fails": "not every network trains and stays sparse",
    "open": "the forecast takes no side",
}

RULE = (
    "A row is predicted from its finite-width law before any network exists. The prediction that "
    "every network trains and stays sparse is refuted by one that diverges, or whose sparsity ends "
    "more than 0.05 from the mean field's (more in networks narrower than 300); the opposite one "
    "is refuted if all stay and learn."
)

STATUS_STYLES = {"as the theory says": "bold green", "not as the theory says": "bold red"}


def _budget(name: str) -> str:
    """Say the defaults of one part of the budget, which depend on the data."""
    return ", ".join(f"{getattr(budget, name):g} for {data}" for data, budget in BUDGETS.items())


def reproduce(
    table: Annotated[
        list[int] | None,
        typer.Option(
            help="Train the networks of Table 2, 4 or 5; may be repeated.",
            show_default="three rows of the paper's story",
        ),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(
            help="With --table: one of its rows, such as crelu-0.85-0.7; may be repeated.",
            show_default="all",
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            help="With --table: dnn on MNIST, cnn on CIFAR-10, or cnn-1d, the same in one line."
        ),
    ] = "dnn",
    budget: Annotated[
        str,
        typer.Option(
            help="With --table: full (the paper's), short (hours on a laptop) or smoke (minutes, "
            "on digits). Options below change it."
        ),
    ] = "smoke",
    again: Annotated[
        bool, typer.Option("--again", help="With --table: repeat finished runs.")
    ] = False,
    stack: Annotated[
        int | None,
        typer.Option(
            help="With --table: networks trained together at most.",
            show_default="4, on a GPU all that fit",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="With --table: cpu or cuda.")] = "cpu",
    workers: Annotated[
        int | None,
        typer.Option(
            help="With --table: processes of this machine that train stacks, of one thread each.",
            show_default="none, only this process",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="With --table: Dask scheduler whose workers train stacks, tcp://HOST:PORT.",
            show_default="none",
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="One row of your own: relu, st, crelu or cst.", show_default="three rows"
        ),
    ] = None,
    sparsity: Annotated[
        float | None, typer.Option(help="Its share of zeros s.", show_default="0.85")
    ] = None,
    slope: Annotated[
        float | None, typer.Option(help="Its V'(q*), if clipped.", show_default="0.7")
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Units in a layer.", show_default=str(Settings.width))
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Hidden layers.", show_default=str(Settings.depth))
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Networks in a row.", show_default=str(Settings.seeds))
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training set.", show_default=_budget("epochs")),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Step size of plain gradient descent.", show_default=_budget("learning_rate")
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images in a step.", show_default=_budget("batch_size"))
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="digits (included), mnist or cifar10.", show_default="digits, or the budget's"
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the official files of MNIST or CIFAR-10.", show_default="from OpenML"
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for records and pictures.")] = Path("runs"),
    threads: Annotated[
        int | None, typer.Option(help="CPU threads.", show_default=f"at most {DEFAULT_THREADS}")
    ] = None,
) -> None:
    """Solve for rows of the paper, forecast them, build, measure and train them, and judge.

    With --table, train the networks of the paper's tables: one record a network, interrupted runs
    go on, finished ones are not repeated. `sparsity-theory table` shows what came of them.
    """
    if threads is not None and threads < 1:
        fail(f"threads must be at least 1, got {threads}", BAD_VALUE)
    _require_packages(NEEDED if (workers, cluster) == (None, None) else NEEDED_ON_CLUSTERS)
    given = {
        "width": width,
        "depth": depth,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
    }
    if table:
        if (activation, sparsity, slope) != (None, None, None):
            fail("activation, sparsity and slope do not go with --table; use --row", BAD_VALUE)
        reproduce_tables(
            Request(
                tables=table,
                network=network,
                rows=row or (),
                budget=budget,
                seeds=seeds,
                changes={**given, "data": data},
                data_dir=data_dir,
                output=output,
                threads=threads or min(DEFAULT_THREADS, os.cpu_count() or 1),
                members=stack,
                device=device,
                again=again,
                workers=workers,
                cluster=cluster,
            )
        )
        return
    if row:
        fail("row needs a table beside it, such as --table 2", BAD_VALUE)
    if (workers, cluster) != (None, None):
        fail("workers and cluster need a table beside them, such as --table 2", BAD_VALUE)
    data = data or Settings.data
    defaults = {**asdict(BUDGETS.get(data, BUDGETS["digits"])), "seeds": Settings.seeds}
    chosen = {key: value for key, value in {**given, "seeds": seeds}.items() if value is not None}
    try:
        rows = chosen_rows(activation, sparsity, slope)
        settings = Settings(data=data, **{**defaults, **chosen})
        for each in rows:
            each.net()
    except ValueError as error:
        fail(str(error), BAD_VALUE)
    try:
        ensure_writable(output)
    except OSError as error:
        fail(f"output folder {output} cannot be written: {_reason(error)}", FAILED)
    finished: list[RowReport] = []
    try:
        _reproduce_rows(rows, settings, data_dir, output, threads, finished)
    except KeyboardInterrupt:
        kept = f"rows finished and kept in {output}: {len(finished)}"
        fail(f"interrupted; {kept if finished else 'no row was finished'}", INTERRUPTED)
    except OSError as error:
        fail(f"{error.filename or output} cannot be used: {_reason(error)}", FAILED)


def _require_packages(needed: Mapping[str, str]) -> None:
    for module, package in needed.items():
        if find_spec(module) is None:
            fail(f"reproduce needs {package}: pip install 'sparsity-theory[all]'", FAILED)


def _reproduce_rows(
    rows: Sequence[Row],
    settings: Settings,
    data_dir: Path | None,
    output: Path,
    threads: int | None,
    finished: list[RowReport],
) -> None:
    """Run the rows one after the other; a row's record is written before the next one begins."""
    # Threads that spin while they wait take the cores from each other where these are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
    import torch

    from torch_models.data import DataError, load_dataset
    from torch_models.experiments.reproduce import record_of, run_row
    from torch_models.reports.row_figure import save_figure

    torch.set_num_threads(threads or min(DEFAULT_THREADS, torch.get_num_threads()))
    console = Console(highlight=False)
    for row in rows:
        try:
            dataset = load_dataset(settings.data, data_dir, variance=row.input_variance())
        except DataError as error:
            fail(str(error), FAILED)
        if settings.batch_size > len(dataset.train_y):
            fail(
                f"batch size must be at most {len(dataset.train_y)}, the size of the training set, "
                f"got {settings.batch_size}",
                BAD_VALUE,
            )
        if not finished:
            _print_setting(console, settings, dataset)
        conversation = Conversation(console, row, settings)
        try:
            report = run_row(row, settings, dataset, conversation)
        finally:
            conversation.close()
        record = output / f"{run_name(row, settings)}.json"
        write_record(record, record_of(report, dataset))
        finished.append(report)
        save_figure(report, record.with_suffix(".png"))
        _print_end(console, report, record)
    _print_summary(console, finished)


class Conversation:
    """Tells the user of one row while it runs."""

    def __init__(self, console: Console, row: Row, settings: Settings) -> None:
        self.console = console
        self.row = row
        self.settings = settings
        self.prediction: Prediction | None = None
        self.progress = Progress(
            TextColumn("  training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[accuracy]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("train", total=settings.epochs, accuracy="")

    def on_prediction(self, prediction: Prediction) -> None:
        """Print the solved parameters and what the theory says of them."""
        self.prediction = prediction
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
            f"[bold]{OUTCOMES[prediction.outcome]}[/bold] "
            f"(failure probability {prediction.failure_probability:.3f})",
        )
        self.console.print(f"\n[bold]{self.row.label}[/bold]")
        self.console.print(lines)

    def on_initialization(self, initialization: Initialization) -> None:
        """Print what was measured before training, each figure beside its predicted value."""
        assert self.prediction is not None
        prediction = self.prediction
        table = _table("  at initialization", "mean field", "90% of networks", "observed")
        table.add_row(
            "  sparsity",
            _number(float(prediction.sparsity.mean())),
            _number(float(prediction.sparsity_mean.mean())),
            _figures(initialization.sparsity.mean(axis=1).tolist()),
        )
        table.add_row(
            f"  q^{self.settings.depth}",
            _number(float(prediction.variance[-1])),
            _range(prediction.variance_quantiles),
            _figures(initialization.variance[:, -1].tolist()),
        )
        table.add_row(
            "  gradient growth",
            _number(prediction.gain),
            _range(prediction.gain_quantiles),
            _figures(initialization.gain.tolist()),
        )
        self.console.print(table)
        self.progress.start()

    def on_epoch(self, statistics: EpochStatistics) -> None:
        """Move the progress bar on."""
        accuracy = _figures(statistics.validation_accuracy.tolist())
        self.progress.update(self.task, advance=1, accuracy=f"accuracy {accuracy}")

    def close(self) -> None:
        """Take the progress bar away, however the row ended."""
        self.progress.stop()


def _print_setting(console: Console, settings: Settings, dataset: Dataset) -> None:
    """Print what all rows have in common."""
    console.print(
        f"{dataset.name} ({dataset.source}): {len(dataset.train_y)} images to train on, "
        f"{len(dataset.validation_y)} held out, {len(dataset.test_y)} to test on",
        soft_wrap=True,
    )
    console.print(
        f"networks of width {settings.width} and depth {settings.depth}, seeds a row "
        f"{settings.seeds}, epochs {settings.epochs}, learning rate {settings.learning_rate:g}, "
        f"batch size {settings.batch_size}",
        soft_wrap=True,
    )


def _print_end(console: Console, report: RowReport, record: Path) -> None:
    """Print how the networks of one row ended, the verdict, and where the files are."""
    table = _table("  seed", "test accuracy", "test sparsity", "end")
    for member in report.members[:MOST_MEMBERS]:
        table.add_row(
            f"  {member.seed}",
            _number(member.test_accuracy),
            _number(member.test_sparsity),
            _end(member),
        )
    console.print(table)
    verdict = report.verdict
    console.print(
        f"  verdict: [{STATUS_STYLES.get(verdict.status, 'bold')}]{verdict.status}[/] "
        f"({verdict.reason}; {report.seconds:.0f} s)",
        soft_wrap=True,
    )
    console.print(f"  {record}\n  {record.with_suffix('.png')}", soft_wrap=True, markup=False)


def _print_summary(console: Console, reports: Sequence[RowReport]) -> None:
    """Print one line a row: what was forecast, what was seen, the verdict."""
    console.print()
    table = _table("row", "predicted", "seen", "verdict")
    for report in reports:
        status = report.verdict.status
        table.add_row(
            report.row.label,
            report.prediction.outcome,
            _seen(report.members),
            f"[{STATUS_STYLES.get(status, 'bold')}]{status}[/]",
        )
    console.print(table)


def _end(member: Member) -> str:
    if member.divergence is None:
        return member.result
    end = f"{member.result} at step {member.divergence.step}"
    return end if member.divergence.kind == member.result else f"{end}: {member.divergence.kind}"


def _seen(members: Sequence[Member]) -> str:
    results = [member.result for member in members]
    return ", ".join(f"{results.count(kind)} {kind}" for kind in dict.fromkeys(results))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="italic")
    for column in columns:
        table.add_column(column)
    return table


def _figures(values: Sequence[float]) -> str:
    """Print a figure per seed, or their median and range where there are many."""
    if len(values) <= MOST_FIGURES:
        return "  ".join(_number(value) for value in values)
    known = sorted(value for value in values if not math.isnan(value))
    if not known:
        return "-"
    middle = known[len(known) // 2]
    return f"{_number(middle)} ({_number(known[0])} to {_number(known[-1])})"


def _range(quantiles: Sequence[float]) -> str:
    """Print the middle 90% of a law."""
    return f"{_number(quantiles[0])} to {_number(quantiles[-1])}"


def _number(value: float) -> str:
    """Print three digits after the point for small figures, a power of ten for large ones."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1e}"


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
