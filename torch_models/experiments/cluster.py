"""Ensembles as tasks of a Dask cluster: processes of this machine, or workers on many.

Planning, locks and records stay with the process that sweeps, so nothing else is new: a worker is
sent the runs of an ensemble and the checksums of their data, and returns their records. If a worker
dies, Dask gives its ensemble to another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import torch
from distributed import Client, LocalCluster, as_completed

from torch_models.data import DataError, Dataset, find_dataset
from torch_models.experiments.build import check_device, images_of
from torch_models.experiments.checkpoints import find_checkpoint
from torch_models.experiments.progress import NoProgress
from torch_models.experiments.sweep import lock_path
from torch_models.experiments.trainer import CHECKPOINT_SECONDS, Trainer, train_runs
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import Experiment, Run

CONNECTING_SECONDS = 20
"""How long a scheduler may take to answer."""


class ClusterError(RuntimeError):
    """Runs that a cluster could not train, or a cluster that cannot be reached."""


@contextmanager
def local_workers(number: int) -> Iterator[Client]:
    """Processes of this machine with one thread each, which end with the body or this process."""
    with (
        LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """The workers of the scheduler at ``address``, such as ``tcp://host:8786``.

    Raises:
        ClusterError: if nobody answers there.
    """
    for name in ("distributed", "distributed.client"):  # what they would log is raised as well
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECTING_SECONDS)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no scheduler can be reached at {address}: {error}") from error
    with client:
        yield client


def on_cluster(
    client: Client,
    dataset_of: Callable[[Experiment], Dataset],
    data_dir: Path | None,
    device: str,
    folder: Path,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    keep_weights: bool = False,
) -> Trainer:
    """The trainer that sends every ensemble to a worker, and yields its records when all are there.

    Args:
        client: of the cluster.
        dataset_of: the images of an experiment as they are here; only their checksums are sent.
        data_dir: where a worker looks for them before the folders of ``SPARSITY_THEORY_DATA``.
        device: where the networks are, on the workers.
        folder: of the sweep; a worker that sees it too, because it is on the same machine or the
            folder is shared, writes checkpoints there.
        checkpoint_seconds: time between them.
        keep_weights: whether such a worker writes trained weights there too.

    An ensemble that fails, on a worker without the data for example, does not keep the others from
    being trained; its error is raised after them: `DataError`, or `ClusterError`.
    """

    def train(groups: Iterable[Sequence[Run]]) -> Iterator[RunRecord]:
        tasks = [
            client.submit(
                train_task,
                runs,
                dataset_of(runs[0].experiment).checksums,
                None if data_dir is None else data_dir.absolute(),
                device,
                folder.absolute(),
                checkpoint_seconds,
                keep_weights,
                pure=False,
            )
            for runs in groups
        ]
        errors: list[Exception] = []
        for task in as_completed(tasks):
            try:
                records = task.result()
            except Exception as error:  # whatever a worker, or the loss of one, may raise
                errors.append(error)
            else:
                yield from records
        if errors:
            raise _first(errors, len(tasks))

    return train


def _first(errors: Sequence[Exception], ensembles: int) -> Exception:
    first = errors[0]
    if isinstance(first, DataError):
        return first
    return ClusterError(
        f"ensembles that the cluster could not train: {len(errors)} of {ensembles}; the first: "
        f"{str(first) or type(first).__name__}"
    )


def train_task(
    runs: Sequence[Run],
    checksums: Mapping[str, str],
    data_dir: Path | None,
    device: str,
    folder: Path,
    checkpoint_seconds: float,
    keep_weights: bool = False,
) -> list[RunRecord]:
    """Train an ensemble, on a worker.

    Lock files of its runs show that a folder is that of the sweep, and not another of that name.
    """
    torch.set_num_threads(1)
    check_device(device)
    experiment = runs[0].experiment
    dataset = _images(experiment, tuple(checksums.items()), data_dir)
    shared = folder if all(lock_path(folder, run).exists() for run in runs) else None
    return [
        record
        for group in _at_one_step(runs, shared)
        for record in train_runs(
            group, dataset, NoProgress(), device, shared, checkpoint_seconds, keep_weights
        )
    ]


@lru_cache(maxsize=1)
def _images(
    experiment: Experiment, checksums: tuple[tuple[str, str], ...], data_dir: Path | None
) -> Dataset:
    folders = () if data_dir is None else (data_dir,)
    return images_of(find_dataset(experiment.data, dict(checksums), folders), experiment)


def _at_one_step(runs: Sequence[Run], folder: Path | None) -> list[list[Run]]:
    """The runs that can train together: a worker that died may have left them at two steps."""

    def step(run: Run) -> int:
        checkpoint = folder and find_checkpoint(folder, run.name)
        return checkpoint.step if checkpoint else 0

    return [list(group) for _, group in groupby(sorted(runs, key=step), key=step)]
