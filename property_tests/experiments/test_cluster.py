"""Sweeps whose ensembles are trained by the workers of a Dask cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import dask
import pytest
from distributed import Client
from typer.testing import CliRunner

from property_tests.support.images import write_mnist
from property_tests.support.sweeps import (
    FORKS,
    Seen,
    cli,
    dataset_of,
    ends,
    small_runs,
    swept,
    uninterrupted,
)
from torch_models.commands.app import app
from torch_models.data import DataError, Dataset, load_dataset
from torch_models.experiments.cluster import (
    ClusterError,
    connected,
    local_workers,
    on_cluster,
    train_task,
)
from torch_models.experiments.sweep import LOCKS, SweepSummary, sweep
from torch_models.records.runs import Experiment, Run


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers, forked from a process that has imported what they need."""
    FORKS.set_forkserver_preload(["distributed", "property_tests.support.sweeps"])
    forkserver.ensure_running()
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        local_workers(2) as client,
    ):
        yield client


def sweep_on(
    client: Client, runs: list[Run], folder: Path, members: int = 2, seconds: float = 60.0
) -> SweepSummary:
    train = on_cluster(client, dataset_of, None, "cpu", folder, seconds)
    return sweep(runs, folder, train, Seen(), members)


def kill_a_busy_worker(client: Client, folder: Path) -> None:
    """SIGKILL for one that trains, once a checkpoint is there."""
    pids = client.run(os.getpid)
    while not list(folder.glob("*.safetensors")):
        time.sleep(0.01)
    busy = next(worker for worker, tasks in client.processing().items() if tasks)
    os.kill(pids[busy], signal.SIGKILL)


def test_a_worker_that_is_killed_loses_nothing_and_changes_no_bit(
    client: Client, tmp_path: Path
) -> None:
    """Of networks that train for seconds; two of six diverge before the kill."""
    runs = small_runs(seeds=3, epochs=60)
    killer = threading.Thread(target=kill_a_busy_worker, args=(client, tmp_path))
    before = set(client.nthreads())
    killer.start()
    summary = sweep_on(client, runs, tmp_path, members=3, seconds=0.5)
    killer.join()
    assert set(client.nthreads()) != before
    assert sorted(summary.trained, key=runs.index) == runs
    assert ends(tmp_path) == uninterrupted(*runs)
    assert {path.suffix for path in tmp_path.iterdir() if path.name != LOCKS} == {".json"}


def test_what_is_finished_or_at_work_elsewhere_is_not_handed_out(
    client: Client, tmp_path: Path
) -> None:
    runs = small_runs(seeds=2)
    swept(runs[:1], tmp_path)
    summary = sweep_on(client, runs, tmp_path)
    assert summary.finished == runs[:1]
    assert sorted(summary.trained, key=runs.index) == runs[1:]
    assert ends(tmp_path) == uninterrupted(*runs)


def test_workers_find_data_by_its_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `find_dataset` does is tested with it; here, that a task asks for the right data."""
    here, there, wrong = tmp_path / "here", tmp_path / "there", tmp_path / "wrong"
    write_mnist(here)
    write_mnist(there, train="")
    labels = write_mnist(wrong) / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x07")
    (run,) = small_runs(seeds=1, data="mnist", batch_size=16, epochs=1)[:1]
    checksums = load_dataset("mnist", here).checksums
    found = train_task([run], checksums, here, "cpu", tmp_path / "none", 60.0)
    monkeypatch.setenv("SPARSITY_THEORY_DATA", os.pathsep.join([str(wrong), str(there)]))
    again = train_task([run], checksums, tmp_path / "not-here", "cpu", tmp_path / "none", 60.0)
    assert found[0].weights == again[0].weights


def test_a_worker_without_the_data_is_one_error_and_the_others_end(
    client: Client, tmp_path: Path
) -> None:
    digits = small_runs(seeds=1)
    mnist = small_runs(seeds=1, data="mnist", batch_size=16)
    images = load_dataset("mnist", write_mnist(tmp_path / "images"))

    def known(experiment: Experiment) -> Dataset:
        return images if experiment.data == "mnist" else dataset_of(experiment)

    runs, output = mnist + digits, tmp_path / "runs"
    train = on_cluster(client, known, tmp_path / "elsewhere", "cpu", output)
    with pytest.raises(DataError, match="mnist with the checksums asked for was not found"):
        sweep(runs, output, train, Seen(), 2)
    assert ends(output) == uninterrupted(*digits)


def test_a_cluster_that_cannot_do_it_is_one_error(client: Client, tmp_path: Path) -> None:
    train = on_cluster(client, dataset_of, None, "cuda:99", tmp_path)
    with pytest.raises(ClusterError, match="could not train: 1 of 1; the first: device cuda:99"):
        sweep(small_runs(seeds=1), tmp_path, train, Seen(), 2)


def test_an_address_without_a_scheduler_is_one_error() -> None:
    with (
        pytest.raises(ClusterError, match="no scheduler can be reached at nowhere"),
        connected("nowhere"),
    ):
        pass


def test_the_command_sweeps_on_an_existing_scheduler(client: Client, tmp_path: Path) -> None:
    arguments = [*cli("--epochs", "3", "--output", str(tmp_path)), "--cluster"]
    done = CliRunner().invoke(app, [*arguments, client.scheduler_info()["address"]])
    assert done.exit_code == 0, done.output
    assert "workers on tcp://" in done.stdout
    assert ends(tmp_path) == uninterrupted(*small_runs())
    assert len(client.nthreads()) == 2  # and leaves the workers as they were
