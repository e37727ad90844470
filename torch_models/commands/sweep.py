"""How the commands that train networks run them, and what they show meanwhile."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from torch_models.commands.errors import BAD_VALUE, FAILED, Interrupted, fail
from torch_models.commands.options import thread_count
from torch_models.records.files import ensure_writable
from torch_models.records.runs import Experiment, Run

if TYPE_CHECKING:
    from distributed import Client

    from torch_models.data import Dataset
    from torch_models.experiments.sweep import SweepSummary
    from torch_models.experiments.trainer import Trainer
    from torch_models.records.run_record import RunRecord
    from torch_models.training.loop import Training

NEEDED = ("torch", "sklearn", "safetensors", "filelock")


@dataclass(frozen=True)
class Resources:
    """Where and with what runs are trained, as the user asked for it.

    Raises:
        ValueError: for a value out of range, or ``workers`` beside a ``cluster``.
    """

    data_dir: Path | None
    output: Path
    threads: int | None
    together: int | None
    device: str
    again: bool
    workers: int | None
    cluster: str | None
    save_weights: bool

    def __post_init__(self) -> None:
        """Refuse at once what would fail later."""
        thread_count(self.threads)
        for name in ("together", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.workers is not None and self.cluster is not None:
            raise ValueError("workers and cluster do not go together; choose one of them")
        if self.save_weights and self.cluster is not None:
            raise ValueError(
                "save-weights does not go with cluster, whose workers may lack the folder"
            )

    @property
    def distributed(self) -> bool:
        """Whether other processes than this one train."""
        return self.workers is not None or self.cluster is not None

    @property
    def libraries(self) -> tuple[str, ...]:
        """What must be installed to train with them."""
        return (*NEEDED, "distributed") if self.distributed else NEEDED


@contextmanager
def sweeper(resources: Resources, console: Console) -> Iterator[Sweeper]:
    """What trains runs, with its cluster if there is one; any mistake ends in one line."""
    runs: list[Run] = []
    try:
        with _failing_in_one_line(resources), _client(resources, console) as client:
            yield Sweeper(resources, console, client, runs)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted{_kept(resources.output, runs)}") from None


@contextmanager
def _failing_in_one_line(resources: Resources) -> Iterator[None]:
    """Check the output folder and the device, and end with one line whatever fails after that."""
    try:
        ensure_writable(resources.output)
    except OSError as error:
        fail(f"output folder {resources.output} cannot be written: {_reason(error)}", FAILED)
    # Threads that spin while they wait take the cores from each other where these are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
    from torch_models.data import DataError
    from torch_models.experiments.build import check_device

    try:
        check_device(resources.device, elsewhere=resources.cluster is not None)
        yield
    except DataError as error:
        fail(str(error), FAILED)
    except ValueError as error:
        fail(str(error), BAD_VALUE)
    except OSError as error:
        fail(f"{error.filename or resources.output} cannot be used: {_reason(error)}", FAILED)


@contextmanager
def _client(resources: Resources, console: Console) -> Iterator[Client | None]:
    """The cluster that was asked for, if any."""
    if not resources.distributed:
        yield None
        return
    from torch_models.experiments.cluster import ClusterError, connected, local_workers

    if resources.cluster is not None:
        opened, place = connected(resources.cluster), resources.cluster
    else:
        opened, place = local_workers(resources.workers or 1), "this machine"
    try:
        with opened as client:
            console.print(f"workers on {place}: {len(client.nthreads())}")
            yield client
    except ClusterError as error:
        fail(str(error), FAILED)


@dataclass
class Sweeper:
    """Trains runs that have no record yet.

    Attributes:
        resources: where and with what.
        console: where progress is shown.
        client: of the cluster, if there is one.
        runs: all runs asked for so far.
        blocked: why some of them were left alone.
    """

    resources: Resources
    console: Console
    client: Client | None
    runs: list[Run] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    _dataset_of: Callable[[Experiment], Dataset] | None = None

    def dataset(self, experiment: Experiment) -> Dataset:
        """The images of an experiment.

        Raises:
            ValueError: if a batch would be larger than the training set.
        """
        from torch_models.experiments.build import dataset_loader

        self._dataset_of = self._dataset_of or dataset_loader(self.resources.data_dir)
        dataset = self._dataset_of(experiment)
        if experiment.batch_size > len(dataset.train_y):
            raise ValueError(
                f"batch size must be at most {len(dataset.train_y)}, the size of the training "
                f"set, got {experiment.batch_size}"
            )
        return dataset

    def print_experiment(self, experiment: Experiment) -> None:
        """Say what the runs of an experiment have in common."""
        dataset = self.dataset(experiment)
        self.console.print(
            f"{dataset.name} ({dataset.source}): {len(dataset.train_y)} images to train on, "
            f"{len(dataset.validation_y)} held out, {len(dataset.test_y)} to test on",
            soft_wrap=True,
        )
        self.console.print(
            f"{experiment.network}, {experiment.trained_as}, {experiment.not_in_the_paper}",
            soft_wrap=True,
        )

    def sweep(self, runs: Sequence[Run]) -> SweepSummary:
        """Train the runs of one experiment that have no record."""
        import torch

        from torch_models.experiments.build import ensemble_size
        from torch_models.experiments.sweep import sweep
        from torch_models.records.run_record import images_described

        self.runs += runs
        resources, experiment = self.resources, runs[0].experiment
        torch.set_num_threads(thread_count(resources.threads))
        dataset = self.dataset(experiment)
        here = "cpu" if self.client else resources.device  # a cluster's devices are not known here
        members = ensemble_size(resources.together, experiment, dataset, here)
        with SweepProgress(self.console, len(runs)) as progress:
            summary = sweep(
                runs,
                resources.output,
                self._trainer(progress),
                progress,
                members,
                resources.again,
                images_described(dataset.description()),
            )
        self.blocked += summary.blocked
        return summary

    def _trainer(self, progress: SweepProgress) -> Trainer:
        """What does the work: this process or a cluster."""
        from torch_models.experiments.trainer import one_by_one

        resources = self.resources
        if self.client is None:
            return one_by_one(
                self.dataset,
                progress,
                resources.device,
                resources.output,
                keep_weights=resources.save_weights,
            )
        from torch_models.experiments.cluster import on_cluster

        return on_cluster(
            self.client,
            self.dataset,
            resources.data_dir,
            resources.device,
            resources.output,
            keep_weights=resources.save_weights,
        )


def summary_line(summary: SweepSummary, folder: Path) -> str:
    """How many runs were trained, and what became of the others."""
    parts = [f"{len(summary.trained)} trained now"]
    if summary.finished:
        parts.append(f"{len(summary.finished)} found finished")
    if summary.elsewhere:
        parts.append(f"{len(summary.elsewhere)} held by another process")
    if summary.blocked:
        parts.append(f"{len(summary.blocked)} left alone")
    return f"{', '.join(parts)}; records in {folder}"


class SweepProgress:
    """Shows how far the runs and the present ensemble are, and prints a line for each that ends.

    Where there is no terminal, such as in the log of a batch system, every epoch prints a line.
    """

    def __init__(self, console: Console, runs: int) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.runs = self.progress.add_task("all", total=runs, unit="runs", shown="")
        self.ensemble = self.progress.add_task("", visible=False, unit="steps", shown="")
        self.labels = ""

    def __enter__(self) -> SweepProgress:
        """Begin to show."""
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away, however it ended."""
        self.progress.stop()

    def on_start(self, runs: Sequence[Run], training: Training) -> None:
        """Start the bar of an ensemble, from where it resumes."""
        self.labels = ", ".join(dict.fromkeys(run.design.label for run in runs))
        networks = "1 network" if len(runs) == 1 else f"{len(runs)} networks"
        self.progress.reset(
            self.ensemble,
            description=f"{networks}: {self.labels}",
            total=training.schedule.epochs * training.steps_per_epoch,
            completed=training.step,
            visible=True,
        )
        if training.step:
            self.console.print(f"  {self.labels}: resumed at step {training.step}", soft_wrap=True)

    def on_step(self, training: Training) -> None:
        """Move the bar of the ensemble, and show its accuracies after an epoch."""
        shown = f"epoch {len(training.epochs) + 1} of {training.schedule.epochs}"
        self.progress.update(
            self.ensemble, completed=training.step, shown=shown + _accuracies(training)
        )
        if not self.console.is_terminal and training.step % training.steps_per_epoch == 0:
            self.console.print(
                f"  {self.labels}: epoch {len(training.epochs)} of {training.schedule.epochs}"
                f"{_accuracies(training)}",
                soft_wrap=True,
            )

    def on_record(self, record: RunRecord) -> None:
        """Print the outcome of a run."""
        self.progress.update(self.runs, advance=1)
        divergence = record.divergence
        end = "" if divergence is None else f", {divergence.kind} at step {divergence.step}"
        self.console.print(
            f"  {record.run.design.label} seed {record.run.seed}: test accuracy "
            f"{record.final.accuracy:.3f}, sparsity {record.final.sparsity:.3f}{end}",
            soft_wrap=True,
        )


def _accuracies(training: Training) -> str:
    """Of the members that still train, on held-out images after the last epoch."""
    if not training.epochs:
        return ""
    known = [v for v in training.epochs[-1].validation_accuracy if not math.isnan(v)]
    return f", accuracy {min(known):.2f} to {max(known):.2f}" if known else ""


def _kept(folder: Path, runs: Sequence[Run]) -> str:
    """What of the runs is on disk, for the last line of an interrupted command."""
    if not runs:
        return " before anything was trained"
    from torch_models.experiments.checkpoints import checkpoint_path
    from torch_models.experiments.sweep import record_path

    records = sum(record_path(folder, run).exists() for run in runs)
    checkpoints = sum(checkpoint_path(folder, run.name).exists() for run in runs)
    if not records + checkpoints:
        return f"; nothing is kept in {folder} yet"
    return (
        f"; kept in {folder}: records of finished runs {records}, checkpoints {checkpoints}; the "
        "same command resumes from there"
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
