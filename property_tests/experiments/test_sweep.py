"""Nothing is lost: sweeps that are killed, crowded, damaged or asked for nonsense."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors import safe_open
from typer.testing import CliRunner

from property_tests.support.sweeps import (
    FORKS,
    Seen,
    cli,
    dataset_of,
    ends,
    small_runs,
    sweep_and_tell,
    sweep_until_file_operation,
    swept,
    uninterrupted,
)
from torch_models.data import Dataset
from torch_models.experiments.build import build, check_device, training_of
from torch_models.experiments.checkpoints import (
    checkpoint_path,
    find_checkpoint,
    resume,
    save_checkpoint,
)
from torch_models.experiments.sweep import LOCKS, SweepSummary, keep, lock_path, record_path, sweep
from torch_models.experiments.trainer import train_runs
from torch_models.experiments.weights import load_network, weights_path
from torch_models.records.run_record import images_described
from torch_models.records.runs import Run
from torch_models.training.loop import Training


def checkpoint_at(runs: list[Run], folder: Path, steps: int) -> None:
    """Write the checkpoints of runs that have taken this many steps together."""
    folder.mkdir(exist_ok=True)
    training = training_of(runs, dataset_of(runs[0].experiment))
    for _ in range(steps):
        training.advance()
    training.write_back()
    for member in training.training_members:
        save_checkpoint(folder, runs[member].name, training, member)


def only_records_are_left(folder: Path) -> bool:
    return all(path.suffix == ".json" for path in folder.iterdir() if path.name != LOCKS)


# --- kills --------------------------------------------------------------------------------------


def test_twenty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """SIGKILL after 0 to 6 more steps and up to 10 ms; each start has another ensemble size.

    A checkpoint is written after every step or every second one, so that most of the time goes
    there. Whenever the kills come, the end must be the same; that they come while there is work to
    kill is counted.
    """
    rng = np.random.default_rng(6)
    runs = small_runs(seeds=3, epochs=5)
    kills = 0
    while kills < 20:
        ours, theirs = FORKS.Pipe(duplex=False)
        members, seconds = int(rng.integers(1, 5)), float(rng.choice([0, 0.005]))
        process = FORKS.Process(
            target=sweep_and_tell, args=(runs, tmp_path, members, seconds, theirs)
        )
        process.start()
        theirs.close()
        for _ in range(rng.integers(0, 7)):
            assert ours.recv() == "step", "the sweep ended before it was killed often enough"
        time.sleep(rng.uniform(0, 0.01))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    summary = swept(runs, tmp_path, members=2)
    assert len(summary.trained) + len(summary.finished) == len(runs)
    assert ends(tmp_path) == uninterrupted(*runs)
    assert only_records_are_left(tmp_path)


def test_a_kill_before_any_file_is_opened_renamed_or_removed_changes_nothing(
    tmp_path: Path,
) -> None:
    """Every one of these moments in turn: of locking, of checkpoints and of records.

    Two networks, one of which diverges in the fifth of six steps.
    """
    runs = small_runs(seeds=2, epochs=2, batch_size=1293)[1:3]
    number, killed = 1, True
    while killed:
        folder = tmp_path / str(number)
        process = FORKS.Process(target=sweep_until_file_operation, args=(number, runs, folder))
        process.start()
        process.join()
        killed = process.exitcode == -signal.SIGKILL
        assert killed or process.exitcode == 0
        swept(runs, folder, members=1 + number % 2)
        assert ends(folder) == uninterrupted(*runs), number
        assert only_records_are_left(folder), number
        number += 1
    assert number > 20


# --- checkpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_checkpoint_holds_the_weights_the_generator_and_with_momentum_the_velocity(
    tmp_path: Path, momentum: float
) -> None:
    """Plain SGD has no more to it."""
    runs = small_runs(seeds=1, momentum=momentum)
    checkpoint_at(runs, tmp_path, 3)
    parameters = dict(build(runs, dataset_of(runs[0].experiment)).named_parameters())
    velocity = {f"velocity.{name}": values for name, values in parameters.items() if momentum}
    for run in runs:
        with safe_open(checkpoint_path(tmp_path, run.name), framework="pt") as file:
            assert set(file.keys()) == {*parameters, *velocity, "order"}
            assert file.get_tensor("order").shape == torch.Generator().get_state().shape
            for name, values in (parameters | velocity).items():
                assert file.get_tensor(name).shape == values.shape[1:]


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_an_intact_checkpoint_is_gone_on_from(tmp_path: Path, momentum: float) -> None:
    runs, seen = small_runs(momentum=momentum), Seen()
    checkpoint_at(runs, tmp_path, 4)
    swept(runs, tmp_path, progress=seen)
    assert seen.started == [(runs, 4)]
    assert ends(tmp_path) == uninterrupted(*runs)


def damage_by_truncation(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def damage_by_one_bit(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(bytes(content))


def damage_by_emptying(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def damage_by_nonsense(path: Path, other: Path) -> None:
    path.write_bytes(b"\xff" * 1000)


def damage_by_another_run(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    "damage",
    [
        damage_by_truncation,
        damage_by_one_bit,
        damage_by_emptying,
        damage_by_nonsense,
        damage_by_another_run,
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_not_used(tmp_path: Path, damage: Any) -> None:
    runs, seen = small_runs(seeds=1), Seen()
    checkpoint_at(runs, tmp_path, 4)
    damage(checkpoint_path(tmp_path, runs[0].name), checkpoint_path(tmp_path, runs[1].name))
    assert find_checkpoint(tmp_path, runs[0].name) is None
    swept(runs, tmp_path, progress=seen)
    assert sorted(step for _, step in seen.started) == [0, 4]
    assert ends(tmp_path) == uninterrupted(*runs)
    assert only_records_are_left(tmp_path)


def other_images(dataset: Dataset) -> Dataset:
    """As many, of other content."""
    return replace(dataset, checksums={"pixels": "md5:0", "labels": "md5:0"})


def test_what_was_trained_on_other_images_is_left_alone_and_named(tmp_path: Path) -> None:
    """A record would be taken for one of these images, and a checkpoint would end in both."""
    finished, begun = small_runs(seeds=1)
    swept([finished], tmp_path)
    checkpoint_at([begun], tmp_path, 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    runs, digits = [finished, begun], dataset_of(begun.experiment)
    other = images_described(other_images(digits).description())
    summary = swept(runs, tmp_path, images=other)
    assert (summary.trained, summary.finished) == ([], [])
    for reason, name in zip(summary.blocked, (finished.name, begun.name), strict=True):
        assert name in reason
        assert "is of training on other images" in reason
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    summary = swept(runs, tmp_path, images=images_described(digits.description()))
    assert (summary.trained, summary.finished, summary.blocked) == ([begun], [finished], [])
    assert ends(tmp_path) == uninterrupted(*runs)


def test_a_training_does_not_resume_from_one_on_other_images(tmp_path: Path) -> None:
    (run, _) = small_runs(seeds=1)
    checkpoint_at([run], tmp_path, 2)
    checkpoint = find_checkpoint(tmp_path, run.name)
    assert checkpoint is not None
    training = training_of([run], other_images(dataset_of(run.experiment)))
    with pytest.raises(ValueError, match=f"{run.name}.* is of training on other images"):
        resume(training, [checkpoint])


def test_a_checkpoint_of_another_shape_is_not_used(tmp_path: Path) -> None:
    run, wide = small_runs(seeds=1)[0], small_runs(seeds=1, width=21)[0]
    checkpoint_at([wide], tmp_path, 2)
    checkpoint_path(tmp_path, wide.name).rename(checkpoint_path(tmp_path, run.name))
    seen = Seen()
    swept([run], tmp_path, progress=seen)
    assert seen.started == [([run], 0)]
    assert ends(tmp_path) == uninterrupted(run)


def test_networks_at_different_steps_are_regrouped(tmp_path: Path) -> None:
    runs, seen = small_runs(seeds=3), Seen()
    checkpoint_at([runs[0], runs[3]], tmp_path, 2)
    checkpoint_at([runs[1], runs[4]], tmp_path, 3)
    swept(runs, tmp_path, progress=seen)
    assert seen.started == [
        ([runs[0], runs[3]], 2), ([runs[1], runs[4]], 3), ([runs[2], runs[5]], 0)
    ]  # fmt: skip
    assert ends(tmp_path) == uninterrupted(*runs)


# --- records ------------------------------------------------------------------------------------


def test_the_record_of_a_network_that_diverges_is_there_before_the_others_end(
    tmp_path: Path,
) -> None:
    found: dict[int, set[str]] = {}

    class Looking(Seen):
        def on_step(self, training: Training) -> None:
            found[training.step] = {path.name for path in tmp_path.glob("*.json")}

    runs = small_runs(seeds=1)
    swept(runs, tmp_path, progress=Looking())
    divergence = ends(tmp_path)[f"{runs[1].name}.json"]["divergence"]
    assert divergence["step"] < 30
    assert found[divergence["step"]] == set()
    assert found[divergence["step"] + 1] == {f"{runs[1].name}.json"}


def test_a_finished_run_is_repeated_only_when_asked(tmp_path: Path) -> None:
    runs = small_runs(seeds=1)
    assert swept(runs, tmp_path).trained == [runs[1], runs[0]]  # the second diverges
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    summary = swept(runs, tmp_path)
    assert summary == SweepSummary(finished=runs)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == before
    assert swept(runs, tmp_path, again=True) == SweepSummary(trained=[runs[1], runs[0]])
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())
    assert ends(tmp_path) == uninterrupted(*runs)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    "content", [b'{"name": "table-2"}', b"{", b"", b"[]", b"\xff\xfe", b'{"accuracy": 1}']
)
def test_an_unreadable_or_foreign_record_is_named_and_left_alone(
    tmp_path: Path, content: bytes, again: bool
) -> None:
    runs = small_runs(seeds=1)
    path = record_path(tmp_path, runs[0])
    path.write_bytes(content)
    summary = swept(runs, tmp_path, again=again)
    assert summary.trained == [runs[1]]
    (reason,) = summary.blocked
    assert str(path) in reason
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["train-table", "reproduce"])
def test_a_command_that_left_a_run_alone_ends_with_an_error(name: str, tmp_path: Path) -> None:
    """A script would take the other runs for all that was asked for."""
    sizes = ["--width", "20", "--depth", "4", "--epochs", "1", "--seeds", "1", "--threads", "1"]
    row = ["--activation", "crelu"] if name == "reproduce" else ["2", "--row", "crelu-0.6-0.5"]
    arguments = [name, *row, *sizes, "--output", str(tmp_path)]
    assert command(*arguments).exit_code == 0
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text()[:100])
    done = command(*arguments)
    assert done.exit_code == 1
    assert "1 left alone" in done.output
    assert f"{path} is not a valid record" in done.output


def test_the_checkpoint_of_a_finished_run_is_removed(tmp_path: Path) -> None:
    runs = small_runs(seeds=1)
    swept(runs, tmp_path)
    checkpoint_at(runs, tmp_path, 2)
    with FileLock(lock_path(tmp_path, runs[0])):  # somebody repeats it: theirs is not a leftover
        swept(runs, tmp_path)
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {
        checkpoint_path(tmp_path, runs[0].name).name
    }
    swept(runs, tmp_path)
    assert only_records_are_left(tmp_path)


# --- weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["dnn", "cnn-1d", "cnn"])
def test_kept_weights_load_into_a_sequential_that_tests_as_recorded(
    network: str, tmp_path: Path
) -> None:
    """Named by the digest in the record; plain layers with the parameters alone."""
    (run,) = small_runs(seeds=1, epochs=1)[:1]
    run = replace(run, experiment=replace(run.experiment, network=network, width=6, depth=3))
    dataset = dataset_of(run.experiment)
    (record,) = train_runs([run], dataset, Seen(), folder=tmp_path, keep_weights=True)
    keep(tmp_path, record)
    loaded = load_network(record_path(tmp_path, run))
    assert weights_path(tmp_path, record).stem == record.weights.removeprefix("sha256:")
    x = dataset.test_x
    if network != "dnn":
        x = x.view(-1, *dataset.image_shape)
        x = x.flatten(2) if network == "cnn-1d" else x
    with torch.no_grad():
        accuracy = float((loaded(x).argmax(-1) == dataset.test_y).double().mean())
    assert accuracy == pytest.approx(record.final.accuracy, abs=1.5 / len(x))


def test_weights_are_not_kept_unless_asked(tmp_path: Path) -> None:
    swept(small_runs(seeds=1, epochs=1), tmp_path)
    assert only_records_are_left(tmp_path)


# --- several processes ---------------------------------------------------------------------------


def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    runs = small_runs(seeds=1)
    (tmp_path / LOCKS).mkdir()
    with FileLock(lock_path(tmp_path, runs[0])):
        assert swept(runs, tmp_path) == SweepSummary(trained=[runs[1]], elsewhere=[runs[0]])
    assert swept(runs, tmp_path) == SweepSummary(trained=[runs[0]], finished=[runs[1]])


def summary_of(channel: Connection) -> SweepSummary:
    while not isinstance(told := channel.recv(), SweepSummary):
        pass
    return told


def test_two_processes_in_one_folder_share_the_work(tmp_path: Path) -> None:
    runs = small_runs(seeds=4)
    channels = []
    for _ in range(2):
        ours, theirs = FORKS.Pipe(duplex=False)
        FORKS.Process(target=sweep_and_tell, args=(runs, tmp_path, 2, 0.0, theirs)).start()
        theirs.close()
        channels.append(ours)
    first, second = (summary_of(channel) for channel in channels)
    trained = first.trained + second.trained
    assert sorted(trained, key=runs.index) == runs
    for summary in (first, second):
        told = summary.trained + summary.finished + summary.elsewhere
        assert sorted(told, key=runs.index) == runs
    assert not first.blocked + second.blocked
    assert ends(tmp_path) == uninterrupted(*runs)
    assert only_records_are_left(tmp_path)


# --- the command --------------------------------------------------------------------------------


def command(*arguments: str) -> Any:
    """The command line in this process."""
    from torch_models.commands.app import app

    return CliRunner().invoke(app, list(arguments))


LAUNCH = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from torch_models.commands.main import main; main()"
)
"""The console script, with Ctrl-C as in a terminal, whatever the parent of this process ignores."""


def test_ctrl_c_ends_in_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    arguments = cli("--epochs", "1000", "--output", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        patience = time.monotonic() + 120
        while not list(tmp_path.glob("*.json")) and time.monotonic() < patience:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().count("\n") == 1
    assert "the same command resumes from there" in error.decode()
    finished = ends(tmp_path)
    assert 1 <= len(finished) < 4
    # The others would train for a minute: that they are taken up is enough.
    runs = small_runs(epochs=1000)
    waiting = [run for run in runs if f"{run.name}.json" not in finished]

    class Enough(Seen):
        def on_step(self, training: Training) -> None:
            raise KeyboardInterrupt

    seen = Enough()
    with pytest.raises(KeyboardInterrupt):
        swept(runs, tmp_path, progress=seen)
    assert [group for group, _ in seen.started] == [waiting]
    assert ends(tmp_path) == finished


def command_on_a_full_disk(arguments: list[str], size: int, errors: Path) -> None:
    """Let no file grow beyond ``size`` bytes."""
    from torch_models.commands.main import main

    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    sys.argv[1:] = arguments
    main()


def test_a_disk_that_is_full_ends_in_one_line_and_leaves_what_is_finished(tmp_path: Path) -> None:
    folder, errors = tmp_path / "runs", tmp_path / "errors"
    runs = small_runs(seeds=1, epochs=2)
    swept(runs, folder)
    before = ends(folder)
    arguments = cli("--epochs", "2", "--output", str(folder))
    process = FORKS.Process(target=command_on_a_full_disk, args=(arguments, 500, errors))
    process.start()
    process.join()
    assert process.exitcode == 1
    assert errors.read_text() == f"error: {folder} cannot be used: File too large\n"
    assert ends(folder) == before
    assert only_records_are_left(folder)
    assert command(*arguments).exit_code == 0
    assert ends(folder) == uninterrupted(*small_runs(epochs=2))


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        swept(small_runs(seeds=1), tmp_path, checkpoint_seconds=0)
    monkeypatch.undo()
    assert swept(small_runs(seeds=1), tmp_path).elsewhere == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["3"], "error: table must be one of 2, 4, 5, got 3"),
        (["2", "--row", "gelu-0.5"], "error: row must be one of relu-0.5,"),
        (["2", "--network", "rnn"], "error: network must be one of dnn, cnn, cnn-1d, got 'rnn'"),
        (["4", "--network", "cnn"], "error: network 'cnn' has no rows in Table 4"),
        (
            ["2", "--budget", "x"],
            "error: budget must be one of full, paper-size, larger-steps, short, smoke, got",
        ),
        (["2", "--data", "svhn"], "error: data must be one of digits, mnist, cifar10"),
        (["2", "--seeds", "0"], "error: seeds must be at least 1, got 0"),
        (["2", "--together", "0"], "error: together must be at least 1, got 0"),
        (["2", "--workers", "0"], "error: workers must be at least 1, got 0"),
        (["2", "--threads", "0"], "error: threads must be between 1 and"),
        (["2", "--depth", "1"], "error: depth must be at least 2, got 1"),
        (["2", "--momentum", "1"], "error: momentum must be at least 0 and below 1, got 1.0"),
        (["2", "--batch-size", "1294"], "error: batch size must be at most 1293, the"),
        (
            ["2", "--workers", "2", "--cluster", "tcp://host:1"],
            "error: workers and cluster do not go together",
        ),
        (["2", "--device", "tpu"], "error: device must be cpu, cuda or cuda:N, got"),
        (["2", "--device", "cuda:99"], "error: device cuda:99 is not there: CUDA"),
    ],
)
def test_odd_requests_end_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = command("train-table", *arguments, "--output", str(tmp_path / "runs"))
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.json"))


def test_a_row_that_is_named_twice_is_trained_once(tmp_path: Path) -> None:
    done = command(*cli("--row", "st-0.7", "--epochs", "1", "--output", str(tmp_path)))
    assert "4 trained now" in done.stdout
    assert len(ends(tmp_path)) == 4
    again = command(*cli("--epochs", "1", "--output", str(tmp_path)))
    assert "0 trained now, 4 found finished" in again.stdout


def test_stacks_need_a_member_and_devices_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="members must be at least 1, got 0"):
        sweep(small_runs(), tmp_path, lambda groups: iter(()), Seen(), 0)
    check_device("cpu")
    for name in ("", "CPU", "cuda:", "cuda:-1", "meta"):
        if not (name == "cuda:" and torch.cuda.is_available()):
            with pytest.raises(ValueError, match="device"):
                check_device(name)
