"""``tools/gpu.py``: nothing of what was measured is lost, however it ends. Here on a CPU."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from property_tests.support.images import write_mnist
from property_tests.support.runs import write_run
from property_tests.support.sweeps import dataset_of, small_runs
from tools.on_gpu import parts, processes
from torch_models.experiments import limited
from torch_models.experiments.progress import NoProgress
from torch_models.experiments.trainer import one_by_one
from torch_models.measurements import (
    captured_and_compiled,
    largest_stack,
    noise_training,
    training_step,
)
from torch_models.measurements.noise_training import Shape
from torch_models.records.card import (
    CUT_OFF,
    ENTRIES,
    FAILED,
    SKIPPED,
    WHOLE,
    CardRecord,
    card_records,
    check_entry,
    read_card_record,
    write_card_record,
)
from torch_models.records.files import write_record
from torch_models.records.results import find_records
from torch_models.reports.card import NOT_YET, tables
from torch_models.training.memory_plan import member_memory

ROOT = Path(__file__).parents[2]
TINY = Shape(width=12, depth=2, features=6, classes=3, batch=4)


def record(part: str = "capture", **changes: Any) -> CardRecord:
    """A record of a card that there is not."""
    known = CardRecord(
        part=part,
        state=CUT_OFF,
        reason="it had not come to its end",
        card="A card",
        rehearsal=False,
        command="python tools/gpu.py",
        date="2026-01-01",
        versions={"torch": "2.11.0"},
        commit=None,
        kernels="compiled",
        seconds=0.0,
    )
    return replace(known, **changes)


def test_the_parts_are_those_that_have_records_and_those_of_the_page() -> None:
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([a-z0-9-]+)` \|.*\| (\S+%|the rest) \|$", page, re.MULTILINE)
    shares = {
        name: f"{part.share:.0%}" if part.share < 1 else "the rest"
        for name, part in parts.PARTS.items()
    }
    assert list(shares) == list(ENTRIES)
    assert told == list(shares.items())


ENTRY = {"variant": "both", "members": 33, "step_ms": 7.5, "missing": None}


# ------------------------------------------------------------------------ how a part can end


def carried_out(run: Callable[[Any, Any], None], folder: Path, seconds: float = 60) -> CardRecord:
    """What is on disk once a part has ended, or was ended."""
    setting = parts.Setting("cpu", None, folder, time.monotonic() + seconds)
    processes.carry_out(run, setting, record())
    (found,) = card_records(folder)
    return found


def test_a_part_that_ends_is_whole(tmp_path: Path) -> None:
    found = carried_out(lambda setting, add: add(ENTRY), tmp_path)
    assert (found.state, found.reason, found.entries) == (WHOLE, "", [ENTRY])


def test_a_part_that_raises_keeps_its_entries_and_says_in_one_line_why(tmp_path: Path) -> None:
    def run(setting: Any, add: Any) -> None:
        add(ENTRY)
        raise ValueError("two\nlines")

    found = carried_out(run, tmp_path)
    assert (found.state, found.reason, found.entries) == (FAILED, "ValueError: two lines", [ENTRY])
    assert "in run" in found.traceback


def test_a_part_whose_time_is_over_is_cut_off_in_the_midst_of_an_entry(tmp_path: Path) -> None:
    """Whatever it waits for, and whatever errors it catches."""

    def run(setting: Any, add: Any) -> None:
        add(ENTRY)
        with suppress(Exception):
            time.sleep(60)

    began = time.monotonic()
    found = carried_out(run, tmp_path, seconds=0.3)
    assert time.monotonic() - began < 30
    assert (found.state, found.reason, found.entries) == (CUT_OFF, "its time was over", [ENTRY])


def test_a_part_that_is_interrupted_or_lacks_something_says_so(tmp_path: Path) -> None:
    for error, state in (
        (KeyboardInterrupt(), CUT_OFF),
        (parts.MissingError("needs pytest"), SKIPPED),
    ):

        def run(setting: Any, add: Any, error: BaseException = error) -> None:
            raise error

        found = carried_out(run, tmp_path)
        assert (found.state, found.reason) == (state, str(error) or "it was interrupted")


def test_every_entry_is_on_disk_as_soon_as_it_is_there(tmp_path: Path) -> None:
    """So a process that is killed loses at most the one that it works on."""
    seen = []

    def run(setting: Any, add: Any) -> None:
        for _ in range(3):
            add(ENTRY)
            (now,) = card_records(tmp_path)
            seen.append((now.state, len(now.entries)))

    carried_out(run, tmp_path)
    assert seen == [(CUT_OFF, 1), (CUT_OFF, 2), (CUT_OFF, 3)]


# -------------------------------------------------------------------------------- the records


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = record(state=WHOLE, reason="", entries=[ENTRY])
    assert read_card_record(write_card_record(tmp_path, written)) == written


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"part": "other"}, "part must be one of tests, .*, got 'other'"),
        ({"state": "done"}, "state must be one of whole, .*, got 'done'"),
        ({"state": "whole"}, "reason must say why"),
        ({"rehearsal": "no"}, "rehearsal must be true or false, got 'no'"),
        ({"commit": 1}, "commit must be text or null, got 1"),
        ({"seconds": "1"}, "seconds must be a number, got '1'"),
        ({"versions": {}}, "versions must name that of torch, got {}"),
        ({"entries": 3}, "entries must be a list, got 3"),
        ({"entries": [{**ENTRY, "members": 1.5}]}, "members of an entry of capture is 1.5"),
        ({"entries": [{**ENTRY, "members": True}]}, "members of an entry of capture is True"),
        ({"entries": [{"variant": "both"}]}, "an entry of capture must have variant, members"),
        ({"format": 9}, "format must be 1, got 9"),
        ({"more": 1}, "keys must be"),
    ],
)
def test_a_file_that_is_no_record_is_refused_by_its_name(
    changes: dict[str, Any], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "capture.json"
    write_record(path, {**record(entries=[ENTRY]).to_json(), **changes})
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + named):
        read_card_record(path)


def test_the_committed_records_are_of_gpus_and_of_this_form() -> None:
    committed = card_records(ROOT)
    if not committed:
        pytest.skip("no record of a GPU is committed")
    for each in committed:
        assert not each.rehearsal
        assert each.entries or each.state != WHOLE


def test_pages_say_what_is_not_yet_measured_and_show_what_is() -> None:
    assert tables([]).startswith(NOT_YET)
    assert tables([record(rehearsal=True)]).startswith(NOT_YET)
    shown = tables([record(state=WHOLE, reason="", entries=[ENTRY])])
    assert "### A card" in shown
    assert "| both | 33 | 7.5 |" in shown
    assert shown.count(f"{NOT_YET}.") == len(ENTRIES) - 1
    assert "*Cut off: it had not come to its end.*" in tables([record(entries=[ENTRY])])


def test_parts_that_were_measured_on_different_days_say_so() -> None:
    later = record("tests", date="2026-01-02")
    assert "- `tests`: torch 2.11.0, 2026-01-02, " in tables([later, record()])
    assert "- `capture`: torch 2.11.0, 2026-01-01, " in tables([later, record()])
    assert "- `capture`" not in tables([record("tests"), record()])


# ------------------------------------------------------------------------- what is measured


def test_steps_are_timed_beside_their_products_and_their_peers_in_every_precision() -> None:
    def peer(network: torch.nn.Module, batches: Any) -> float:
        assert len(batches) == 3
        return 1.0

    sizes: dict[str, Any] = {"members": (1, 2), "shape": TINY, "rounds": 1, "steps": 2}
    entries = list(training_step.measure("cpu", {"peer": peer}, **sizes))
    places = [(each["precision"], each["peer"], each["members"]) for each in entries]
    assert places == [
        (precision, peer, members)
        for precision in ("float32", "bf16")
        for peer in ("products", "peer")
        for members in (1, 2)
    ]
    for each in entries:
        check_entry("step", each)
        if each["peer"] == "peer":
            expected = each["step_ms"] / each["members"] / 1000
            assert each["ratio"] == pytest.approx(expected, rel=2e-3)


def test_what_only_cuda_has_is_recorded_as_missing_on_a_cpu() -> None:
    sizes: dict[str, Any] = {"members": (2,), "shape": TINY, "rounds": 1, "steps": 2}
    entries = list(captured_and_compiled.measure("cpu", **sizes))
    for each in entries:
        check_entry("capture", each)
    missing = [each["variant"] for each in entries if each["missing"]]
    assert missing == ["CUDA graph", "both"]
    assert [each["variant"] for each in entries] == list(captured_and_compiled.VARIANTS)


def test_a_stack_that_does_not_fit_is_made_smaller_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is memory for 18 networks, and 20 were planned; if none fits, that is an error."""
    tried = []
    draw = noise_training.networks

    def in_little_memory(shape: Shape, members: int, device: str) -> Any:
        tried.append(members)
        if members > 18:
            raise torch.OutOfMemoryError
        return draw(shape, members, device)

    monkeypatch.setattr(largest_stack, "networks", in_little_memory)
    memory = member_memory(6, 12, 2, 3, batch_size=4)
    found = largest_stack.largest_that_fits(20, memory, "cpu", TINY, 1, 1)
    check_entry("stack", {"stack": "planned", **found})
    assert tried == [20, 19, 18]
    assert found["members"] == 18
    monkeypatch.setattr(largest_stack, "TRIES", 2)
    with pytest.raises(torch.OutOfMemoryError):
        largest_stack.largest_that_fits(100, memory, "cpu", TINY, 1, 1)


@pytest.fixture
def slow_epochs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """A clock that stands still, but for ten seconds an epoch."""
    now = [0.0]
    monkeypatch.setattr(limited, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def on_epoch(statistics: Any) -> None:
        now[0] += 10

    return on_epoch


@pytest.mark.parametrize(("seconds", "epochs"), [(5, 1), (19, 1), (21, 2)])
def test_runs_that_are_stopped_for_lack_of_time_are_shorter_runs(
    seconds: float, epochs: int, slow_epochs: Callable[[Any], None]
) -> None:
    """All their records are the same, to the last digit, and of networks that diverge too."""
    runs, short = small_runs(epochs=9), small_runs(epochs=epochs)
    dataset = dataset_of(runs[0].experiment)
    stopped, _ = limited.train_until(seconds, runs, dataset, on_epoch=slow_epochs)
    whole = {each.run: each for each in one_by_one(dataset_of, NoProgress())([short])}
    for own, run in zip(stopped, short, strict=True):
        assert own.run == replace(run, budget="custom")
        assert replace(own, run=run) == whole[run]
    assert any(each.divergence for each in stopped)
    assert not all(each.divergence for each in stopped)


def test_runs_that_have_time_are_those_asked_for_and_those_without_have_no_record(
    slow_epochs: Callable[[Any], None],
) -> None:
    runs = small_runs(seeds=1, epochs=2)
    dataset = dataset_of(runs[0].experiment)
    records, training = limited.train_until(21, runs, dataset)
    assert [each.run for each in records] == runs
    assert training.finished
    records, training = limited.train_until(0, runs, dataset)
    assert (records, training.step) == ([], 0)


def test_rows_without_a_record_are_trained_and_of_each_table_the_sparsest_first(
    tmp_path: Path,
) -> None:
    groups = list(parts.unrecorded([tmp_path]))
    runs = [run for group in groups for run in group]
    assert len(set(runs)) == len(runs) == 33 + 24 + 8
    assert list(dict.fromkeys(group[0].table for group in groups)) == list(parts.TABLES)
    assert {len({run.experiment for run in group}) for group in groups} == {1}
    first, *_ = groups
    assert [run.design.sparsity for run in first if not run.design.clipped] == [
        0.7, 0.7, 0.6, 0.6, 0.5, 0.5
    ]  # fmt: skip
    assert {run.design.sparsity for run in first if run.design.clipped} == {0.85}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{first[0].name}.json").touch()
    folders = [tmp_path / "none", tmp_path, elsewhere]
    left = [run for group in parts.unrecorded(folders) for run in group]
    assert set(runs) - set(left) == {first[0]}


def test_rows_of_which_a_network_of_that_size_is_recorded_are_trained_last(tmp_path: Path) -> None:
    """However few epochs it had; one that is narrower does not count."""
    first, *_ = parts.unrecorded([tmp_path])
    briefly, narrow = first[:2]
    write_run(tmp_path, briefly.design, 0.5, budget="custom", width=300, depth=100, epochs=3)
    write_run(tmp_path, narrow.design, 0.5)
    groups = list(parts.unrecorded([tmp_path]))
    assert groups[0][0] == narrow
    assert list(groups[-1]) == [briefly]


# -------------------------------------------------------------------------------- all of it


def command(folder: Path, data: Path) -> list[str]:
    """A rehearsal."""
    where = ["--output", str(folder), "--data-dir", str(data)]
    return [sys.executable, str(ROOT / "tools" / "gpu.py"), "--rehearse", *where]


def states(folder: Path) -> dict[str, str]:
    """How each part ended that has a record."""
    return {each.part: each.state for each in card_records(folder)}


def test_a_rehearsal_is_not_written_into_the_checkout() -> None:
    asked = [sys.executable, str(ROOT / "tools" / "gpu.py"), "--rehearse", "--output", str(ROOT)]
    refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "a rehearsal must not be written into the checkout" in refused.stderr


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "file"
    output.touch()
    refused = subprocess.run(command(output, tmp_path), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr == f"error: output {output} cannot be written: File exists\n"


def test_a_folder_of_data_that_is_not_there_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    asked = command(tmp_path / "output", tmp_path / "missing")
    refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert f"--data-dir must be a folder, got {tmp_path / 'missing'}" in refused.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.slow
def test_without_a_gpu_the_command_says_that_there_is_a_rehearsal(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    asked = [sys.executable, str(ROOT / "tools" / "gpu.py"), "--output", str(tmp_path)]
    refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: needs a CUDA device; --rehearse ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_rehearsal_that_is_killed_goes_on_and_a_part_that_fails_leaves_the_others(
    tmp_path: Path,
) -> None:
    """Killed after the third part; then without data for the last; then with them."""
    output, empty = tmp_path / "output", tmp_path / "empty"
    empty.mkdir()
    parts = list(ENTRIES)
    running = subprocess.Popen(command(output, empty), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while states(output).get(parts[2]) != WHOLE:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    kept = {part: path_of(output, part).read_bytes() for part in parts[:3]}
    assert [states(output)[part] for part in parts[:3]] == [WHOLE] * 3

    failing = subprocess.run(command(output, empty), capture_output=True, text=True, check=False)
    assert failing.returncode == 1
    assert states(output) == {**dict.fromkeys(parts, WHOLE), "tables": FAILED}
    errors = [line for line in failing.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: tables failed: ")
    assert str(empty) in errors[0]

    data = write_mnist(tmp_path / "data")
    ending = subprocess.run(command(output, data), capture_output=True, text=True, check=False)
    assert ending.returncode == 0, ending.stderr
    assert states(output) == dict.fromkeys(parts, WHOLE)
    assert {part: path_of(output, part).read_bytes() for part in parts[:3]} == kept
    found = find_records([output / "results" / "records"])
    assert found.left_out == []
    assert len(found.records) == 33 + 24 + 8
    assert all(each.rehearsal for each in card_records(output))
    assert tables(card_records(output)).startswith(NOT_YET)


def path_of(folder: Path, part: str) -> Path:
    """The record of a part, on whatever machine this is."""
    (path,) = folder.glob(f"results/gpu/*/{part}.json")
    return path
