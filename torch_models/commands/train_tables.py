"""``sparsity-theory reproduce --table``: the networks of the paper's tables, trained."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from torch_models.commands.errors import BAD_VALUE, FAILED, INTERRUPTED, fail
from torch_models.records.files import ensure_writable
from torch_models.records.runs import Budget, Run, find_budget, rows_named, runs_of

if TYPE_CHECKING:
    from distributed import Client

    from torch_models.data import Dataset
    from torch_models.experiments.sweep import Outcome
    from torch_models.experiments.trainer import Trainer
    from torch_models.records.runs import Experiment
    from torch_models.training.loop import Training


@dataclass(frozen=True)
class Request:
    """What the user asked for; the budget decides whatever is None."""

    tables: Sequence[int]
    network: str
    rows: Sequence[str]
    budget: str
    seeds: int | None
    changes: dict[str, Any]
    data_dir: Path | None
    output: Path
    threads: int
    members: int | None
    device: str
    again: bool
    workers: int | None = None
    cluster: str | None = None


def reproduce_tables(request: Request) -> None:
    """Train what has no record yet, and say what was found; one line for any mistake."""
    try:
        plans = [plan(request, table) for table in dict.fromkeys(request.tables)]
        if request.members is not None and request.members < 1:
            raise ValueError(f"stack must be at least 1, got {request.members}")
        if request.workers is not None and request.workers < 1:
            raise ValueError(f"workers must be at least 1, got {request.workers}")
        if request.workers is not None and request.cluster is not None:
            raise ValueError("workers and cluster do not go together; choose one of them")
    except ValueError as error:
        fail(str(error), BAD_VALUE)
    try:
        ensure_writable(request.output)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fail(f"output folder {request.output} cannot be written: {reason}", FAILED)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
    from torch_models.data import DataError

    console = Console(highlight=False)
    try:
        with _client(request, console) as client:
            for budget, runs in plans:
                _sweep(request, budget, runs, console, client)
    except KeyboardInterrupt:
        fail(
            f"interrupted; finished runs and checkpoints are in {request.output}, and the same "
            "command goes on from there",
            INTERRUPTED,
        )
    except DataError as error:
        fail(str(error), FAILED)
    except ValueError as error:
        fail(str(error), BAD_VALUE)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fail(f"{error.filename or request.output} cannot be used: {reason}", FAILED)


def plan(request: Request, table: int) -> tuple[Budget, list[Run]]:
    """The budget and the runs of one table. Raises ``ValueError`` for what there is not."""
    rows = rows_named(table, request.network, list(dict.fromkeys(request.rows)))
    budget = find_budget(request.budget, table, request.network, **request.changes)
    seeds = budget.seeds if request.seeds is None else request.seeds
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    return budget, runs_of(table, budget, rows, range(seeds))


def dataset_loader(data_dir: Path | None) -> Callable[[Experiment], Dataset]:
    """A function that loads an experiment's images, and keeps those asked for last."""
    from torch_models.data import load_dataset
    from torch_models.experiments.build import images_of

    @lru_cache(maxsize=1)
    def dataset_of(experiment: Experiment) -> Dataset:
        return images_of(load_dataset(experiment.data, data_dir), experiment)

    return dataset_of


@contextmanager
def _client(request: Request, console: Console) -> Iterator[Client | None]:
    """The cluster that was asked for, if any."""
    if request.workers is None and request.cluster is None:
        yield None
        return
    from torch_models.experiments.cluster import ClusterError, connected, local_workers

    if request.cluster is not None:
        opened, place = connected(request.cluster), request.cluster
    else:
        opened, place = local_workers(request.workers or 1), "this machine"
    try:
        with opened as client:
            console.print(f"workers on {place}: {len(client.nthreads())}")
            yield client
    except ClusterError as error:
        fail(str(error), FAILED)


def _trainer(
    request: Request,
    dataset_of: Callable[[Experiment], Dataset],
    display: SweepDisplay,
    client: Client | None,
) -> Trainer:
    """Who does the work: this process or a cluster."""
    from torch_models.experiments.trainer import one_by_one

    if client is None:
        return one_by_one(dataset_of, display, request.device, request.output)
    from torch_models.experiments.cluster import on_cluster

    return on_cluster(client, dataset_of, request.data_dir, request.device, request.output)


def _sweep(
    request: Request, budget: Budget, runs: list[Run], console: Console, client: Client | None
) -> None:
    import torch

    from torch_models.experiments.build import check_device, stack_size
    from torch_models.experiments.sweep import sweep

    torch.set_num_threads(request.threads)
    experiment = budget.experiment
    dataset_of = dataset_loader(request.data_dir)
    dataset = dataset_of(experiment)
    if experiment.batch_size > len(dataset.train_y):
        raise ValueError(
            f"batch size must be at most {len(dataset.train_y)}, the size of the training set, "
            f"got {experiment.batch_size}"
        )
    here = "cpu" if client else request.device  # what a cluster's workers have is not known here
    check_device(here)
    members = stack_size(request.members, experiment, dataset, here)
    console.print(
        f"[bold]Table {runs[0].table}[/bold], {experiment.network}, budget {budget.name}: "
        f"{len(runs)} runs of width {experiment.width} and depth {experiment.depth}, "
        f"epochs {experiment.epochs}, learning rate {experiment.learning_rate:g}, batch size "
        f"{experiment.batch_size}",
        soft_wrap=True,
    )
    console.print(
        f"{dataset.name} ({dataset.source}): {len(dataset.train_y)} images to train on, "
        f"{len(dataset.validation_y)} held out, {len(dataset.test_y)} to test on",
        soft_wrap=True,
    )
    with SweepDisplay(console, len(runs)) as display:
        outcome = sweep(
            runs,
            request.output,
            _trainer(request, dataset_of, display, client),
            display,
            members,
            request.again,
        )
    _print_outcome(console, outcome, request.output)


def _print_outcome(console: Console, outcome: Outcome, folder: Path) -> None:
    parts = [f"{len(outcome.trained)} trained now"]
    if outcome.finished:
        parts.append(f"{len(outcome.finished)} found finished")
    if outcome.elsewhere:
        parts.append(f"{len(outcome.elsewhere)} left to another process that is at them")
    if outcome.blocked:
        parts.append(f"{len(outcome.blocked)} left alone")
    console.print(f"{', '.join(parts)}; records in {folder}", soft_wrap=True)
    for reason in outcome.blocked:
        console.print(f"  {reason}", soft_wrap=True, markup=False)


class SweepDisplay:
    """Shows how far the runs and the present stack are, and prints a line for each that ends."""

    def __init__(self, console: Console, runs: int) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.runs = self.progress.add_task("all", total=runs, unit="runs", figures="")
        self.stack = self.progress.add_task("", visible=False, unit="steps", figures="")

    def __enter__(self) -> SweepDisplay:
        """Begin to show."""
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away, however it ended."""
        self.progress.stop()

    def on_stack(self, runs: Sequence[Run], training: Training) -> None:
        """Start the bar of a stack, from where it goes on."""
        labels = dict.fromkeys(run.row.label for run in runs)
        self.progress.reset(
            self.stack,
            description=f"{len(runs)} networks: {', '.join(labels)}",
            total=training.schedule.epochs * training.steps_an_epoch,
            completed=training.step,
            visible=True,
        )
        if training.step:
            self.console.print(f"  {', '.join(labels)}: going on from step {training.step}")

    def on_step(self, training: Training) -> None:
        """Move the bar of the stack, and show its accuracies after an epoch."""
        figures = f"epoch {len(training.epochs) + 1} of {training.schedule.epochs}"
        if training.epochs:
            known = [v for v in training.epochs[-1].validation_accuracy if not math.isnan(v)]
            if known:
                figures += f", accuracy {min(known):.2f} to {max(known):.2f}"
        self.progress.update(self.stack, completed=training.step, figures=figures)

    def on_record(self, run: Run, record: dict[str, Any]) -> None:
        """Print how a run has ended."""
        self.progress.update(self.runs, advance=1)
        divergence, test = record["divergence"], record["test"]
        end = "" if divergence is None else f", {divergence['kind']} at step {divergence['step']}"
        self.console.print(
            f"  {run.row.label} seed {run.seed}: test accuracy {test['accuracy']:.3f}, sparsity "
            f"{test['sparsity']:.3f}{end}",
            soft_wrap=True,
        )
