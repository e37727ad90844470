"""What is measured on a GPU: the parts, in order of worth, and what each needs."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsity_theory._extras import missing
from torch_models.records.files import ensure_writable, write_record
from torch_models.records.results import find_records
from torch_models.records.runs import Run, find_budget, rows_named, runs_of

if TYPE_CHECKING:
    import pytest

    from sparsity_theory.published.rows import Design
    from torch_models.measurements.noise_training import Shape
    from torch_models.records.run_record import RunRecord
    from torch_models.training.epochs import EpochStatistics
    from torch_models.training.loop import Training

ROOT = Path(__file__).resolve().parents[2]

Add = Callable[[dict[str, Any]], None]
"""Writes down an entry of a part."""

TABLES = (2, 5, 4)
"""In order of worth."""

TOGETHER = 8
"""Networks in a group. On an H100, a step of one of Table 2 takes 3 ms, and one of 33 12 ms."""


class TimeOverError(KeyboardInterrupt):
    """A part's time is over; nothing that catches ordinary errors catches it."""


class MissingError(Exception):
    """What a part needs and is not there."""


@dataclass(frozen=True)
class Setting:
    """With what a part runs.

    Attributes:
        device: ``cuda``, or ``cpu`` for a rehearsal.
        data_dir: folder of MNIST's files.
        output: root of all that is written.
        deadline: of the part, on the clock of ``time.monotonic``.
    """

    device: str
    data_dir: Path | None
    output: Path
    deadline: float

    @property
    def rehearsal(self) -> bool:
        """Whether everything is tiny."""
        return self.device == "cpu"

    def shape(self) -> Shape:
        """Of networks that are timed."""
        from torch_models.measurements.noise_training import Shape

        return Shape(20, 3, 16, 10, 8) if self.rehearsal else Shape()

    def seconds_left(self) -> float:
        """Until the deadline."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Part:
    """What is measured, and its share of the time; what it leaves is there for later parts.

    Attributes:
        run: measures, in a process of its own.
        share: of all time, at most.
        what: in words.
    """

    run: Callable[[Setting, Add], None]
    share: float
    what: str


def run_tests(setting: Setting, add: Add) -> None:
    """The tests marked ``gpu``, from the files that have some: others may need more libraries."""
    if lacking := missing("pytest", "hypothesis"):
        raise MissingError(f"needs {lacking}")
    import pytest

    class Reporter:
        """Writes down the outcome of every test, and of files that cannot be loaded."""

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                add(outcome(report.nodeid, "not loaded", 0.0, report.longreprtext))

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or report.outcome != "passed":
                add(outcome(report.nodeid, report.outcome, report.duration, reason_of(report)))

    os.chdir(ROOT)
    suite = ROOT / "property_tests"
    files = [str(f) for f in sorted(suite.rglob("test_*.py")) if "mark.gpu" in f.read_text("utf-8")]
    options = ["-q", "-m", "gpu", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    code = pytest.main([*options, *files], plugins=[Reporter()])
    if code == pytest.ExitCode.INTERRUPTED:
        raise TimeOverError
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with {code!r}")


def reason_of(report: pytest.TestReport) -> str:
    """Why a test was skipped or failed."""
    where_and_why = report.longrepr
    return where_and_why[2] if isinstance(where_and_why, tuple) else report.longreprtext


def outcome(test: str, became: str, seconds: float, reason: str) -> dict[str, Any]:
    """An entry; of a reason its last line, which names the error."""
    lines = reason.strip().splitlines()
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    told = next(iter([*errors, *lines[-1:]]), None)
    return {"test": test, "outcome": became, "seconds": round(seconds, 2), "reason": told}


def grow_gradients(setting: Setting, add: Add) -> None:
    """Gradient growth of all rows, at the paper's size."""
    from torch_models.measurements import gradient_growth

    tiny = {"width": 20, "depth": 5, "networks": 4}
    sizes = tiny if setting.rehearsal else gradient_growth.PAPER_SIZE
    measure = partial(gradient_growth.measure, **sizes, device=setting.device)
    keep_for_the_suite(setting, add, "gradient_growth", "growth", measure)


def convolve(setting: Setting, add: Add) -> None:
    """Convolutional networks of all rows at initialization, at the paper's size."""
    from torch_models.measurements import convolutional

    tiny = {"channels": 4, "depth": 3, "side": 4, "networks": 1}
    sizes = tiny if setting.rehearsal else convolutional.PAPER_SIZE
    measure = partial(convolutional.measure, **sizes, device=setting.device)
    keep_for_the_suite(setting, add, "convolutional", "rows", measure)


def keep_for_the_suite(
    setting: Setting, add: Add, name: str, rows: str, measure: Callable[[], dict[str, Any]]
) -> None:
    """Write a record where the suite looks for it."""
    began = time.monotonic()
    record = measure()
    place = Path("property_tests") / "records" / f"{name}_{setting.device}.json"
    ensure_writable(setting.output / place.parent)
    write_record(setting.output / place, record)
    add(
        {
            "record": place.as_posix(),
            "rows": len(record[rows]),
            "networks": record["networks"],
            "seconds": round(time.monotonic() - began, 1),
        }
    )


def time_steps(setting: Setting, add: Add) -> None:
    """The training step beside its matrix products and other loops, in every precision."""
    from asv_bench.loops.eager_loop import eager_step
    from torch_models.measurements import training_step

    peers = {"eager": eager_step}
    try:
        from asv_bench.loops.lightning_loop import lightning_step

        peers["lightning"] = lightning_step
    except ModuleNotFoundError as error:
        print(f"without Lightning: {error}")
    tiny = {"members": (1, 3), "rounds": 1, "steps": 2}
    sizes: dict[str, Any] = tiny if setting.rehearsal else {}
    for entry in training_step.measure(setting.device, peers, shape=setting.shape(), **sizes):
        add(entry)


def capture_and_compile(setting: Setting, add: Add) -> None:
    """A step as a CUDA graph, with compiled kernels, with both and with neither."""
    from torch_models.measurements import captured_and_compiled

    tiny = {"members": (1, 3), "rounds": 1, "steps": 2}
    sizes: dict[str, Any] = tiny if setting.rehearsal else {}
    for entry in captured_and_compiled.measure(setting.device, shape=setting.shape(), **sizes):
        add(entry)


def stack_networks(setting: Setting, add: Add) -> None:
    """The time of a step by the number of networks, and the largest number."""
    from torch_models.measurements import largest_stack

    tiny = {"counts": (1, 4), "rounds": 1, "steps": 2, "free": 2_000_000}
    sizes: dict[str, Any] = tiny if setting.rehearsal else {}
    for entry in largest_stack.measure(setting.device, shape=setting.shape(), **sizes):
        add(entry)


def infer_sparsely(setting: Setting, add: Add) -> None:
    """Layers and networks that use their zeros, beside the dense ones."""
    from torch_models.measurements import sparse_inference

    tiny = {"widths": (8,), "batches": (1,), "networks": ((6, 2),), "pool": 1024}
    sizes: dict[str, Any] = tiny if setting.rehearsal else {"batches": (1, 4, 16)}
    record = sparse_inference.measure(device=setting.device, **sizes)
    for layer in record["layers"]:
        dense = min(layer["dense"].values())
        for sparsity, sparse in zip(record["sparsities"], layer["sparse"], strict=True):
            place = {"width": layer["width"], "depth": 1, "batch": layer["batch"]}
            add({**place, "sparsity": sparsity, "dense_us": dense, "sparse_us": sparse})
    for network in record["networks"]:
        place = {name: network[name] for name in ("width", "depth", "batch", "sparsity")}
        add({**place, "dense_us": network["dense"], "sparse_us": network["sparse"]})


def train_tables(setting: Setting, add: Add) -> None:
    """Networks of the paper's size, group after group, for as many epochs as there is time."""
    from torch_models.data import load_dataset, subset
    from torch_models.experiments.limited import train_until

    if setting.data_dir is None:
        raise MissingError("needs --data-dir, a folder with MNIST's files")
    dataset, changes = load_dataset("mnist", setting.data_dir), {}
    if setting.rehearsal:
        changes = {"width": 20, "depth": 4, "epochs": 2, "batch_size": 32}
        dataset = subset(dataset, min(200, len(dataset.train_y)), min(50, len(dataset.test_y)))
    reserve = min(25.0, 0.1 * setting.seconds_left())
    folders = [ROOT / "results" / "records", setting.output / "results" / "records"]
    for group, runs in enumerate(unrecorded(folders, **changes)):
        tell = partial(add_epoch, add, {"table": runs[0].table, "group": group}, time.monotonic())
        deadline = setting.deadline - reserve
        records, training = train_until(deadline, runs, dataset, setting.device, tell)
        keep_trained(setting.output, runs, records, training)
        if not training.finished:
            if group == 0 and not records:
                raise TimeOverError
            return


def unrecorded(folders: Sequence[Path], **changes: Any) -> Iterator[Sequence[Run]]:
    """The first network of every row that has no record at the paper's budget, in order of worth.

    In groups of a table that train together, `TOGETHER` at most. Rows of which no network of the
    paper's width and depth is recorded, however briefly trained, come first.
    """
    there = [folder for folder in folders if folder.is_dir()]
    trained = {row_and_size(record.run) for record in find_records(there).records}
    first, later = [], []
    for table in TABLES:
        budget = find_budget("full", table, "dnn", **changes)
        rows = [row.design for row in rows_named(table, "dnn", ())]
        runs = [
            run
            for run in runs_of(table, budget, sorted(rows, key=worth), seeds=(0,))
            if not any((folder / f"{run.name}.json").exists() for folder in there)
        ]
        first += in_groups([run for run in runs if row_and_size(run) not in trained])
        later += in_groups([run for run in runs if row_and_size(run) in trained])
    yield from first + later


def in_groups(runs: Sequence[Run]) -> list[Sequence[Run]]:
    """Split into those that train together."""
    return [runs[at : at + TOGETHER] for at in range(0, len(runs), TOGETHER)]


def row_and_size(run: Run) -> tuple[int | None, Design, int, int]:
    """What is trained, but for how long."""
    return run.table, run.design, run.experiment.width, run.experiment.depth


def worth(design: Design) -> tuple[bool, float]:
    """Unclipped rows first, and then the sparsest."""
    return design.clipped, -design.sparsity


def add_epoch(add: Add, where: dict[str, Any], began: float, epoch: EpochStatistics) -> None:
    """An entry: how many networks train, and the least, median and best of their accuracies."""
    known = sorted(float(a) for a in epoch.validation_accuracy if a == a)
    shown = [known[0], statistics.median(known), known[-1]] if known else []
    add(
        {
            **where,
            "epoch": epoch.epoch,
            "seconds": round(time.monotonic() - began, 2),
            "networks": len(known),
            "accuracy": [round(a, 4) for a in shown],
        }
    )


def keep_trained(
    output: Path, runs: Sequence[Run], records: Sequence[RunRecord], training: Training
) -> None:
    """Write records, and where safetensors is, checkpoints of networks that have epochs to go.

    From these ``sparsity-theory train-table --budget full`` goes on.
    """
    folder = output / "results" / "records"
    ensure_writable(folder)
    for record in records:
        write_record(folder / f"{record.run.name}.json", record.to_json())
    if training.finished:
        return
    try:
        from torch_models.experiments.checkpoints import save_checkpoint
    except ModuleNotFoundError as error:
        print(f"without checkpoints: {error}")
        return
    folder = output / "runs" / f"table-{runs[0].table}"
    ensure_writable(folder)
    for member in training.training_members:
        save_checkpoint(folder, runs[member].name, training, member)


PARTS = {
    "tests": Part(run_tests, 0.15, "tests marked gpu"),
    "gradient-growth": Part(grow_gradients, 0.15, "gradient growth of all rows"),
    "convolutional": Part(convolve, 0.1, "convolutional rows"),
    "step": Part(time_steps, 0.15, "the training step beside its peers"),
    "capture": Part(capture_and_compile, 0.08, "CUDA graph and torch.compile"),
    "stack": Part(stack_networks, 0.12, "the largest stack"),
    "sparse-inference": Part(infer_sparsely, 0.08, "sparse inference"),
    "tables": Part(train_tables, 1.0, "Tables 2, 4 and 5 at the paper's size"),
}
"""In order of worth."""
