"""Measure on a GPU what waits for one: every part in turn, within ten minutes.

    python tools/gpu.py --data-dir FOLDER            # FOLDER holds MNIST's four files
    python tools/gpu.py --data-dir FOLDER --minutes 20 --output FOLDER
    python tools/gpu.py --rehearse                   # on the CPU, everything tiny

It needs this checkout, torch, NumPy and SciPy; a part that needs more is skipped where that is
missing, and says so. Each part is a process of its own, and what it has measured is on disk at any
moment. Below ``--output`` these are ``results/gpu/CARD/PART.json``, in ``property_tests/records``
networks at initialization, which the suite judges, and in ``results/records`` trained networks. Run
again, it measures what is not there yet.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT)]  # the checkout need not be installed

from sparsity_theory._extras import missing  # noqa: E402
from torch_models.records.card import (  # noqa: E402
    CUT_OFF,
    FAILED,
    SKIPPED,
    WHOLE,
    CardRecord,
    card_record_path,
    read_card_record,
    write_card_record,
)
from torch_models.records.files import ensure_writable, write_record  # noqa: E402
from torch_models.records.runs import find_budget, rows_named, runs_of  # noqa: E402

if TYPE_CHECKING:
    import pytest

    from torch_models.measurements.noise_training import Shape
    from torch_models.training.loop import Training

REHEARSALS = ROOT / "runs" / "gpu-rehearsal"
COMPILED = "compiled"
NOT_OVER = "it had not come to its end"
PROBE_SECONDS = 90.0
END_SECONDS = 5.0
"""Kept for the summary."""

GRACE_SECONDS = 10.0
"""How long a process may take to end once its time is over."""

PRELOADED = [
    "asv_bench.loops.eager_loop",
    "torch.fx.experimental.symbolic_shapes",
    "torch_models.data",
    "torch_models.experiments.limited",
    "torch_models.measurements.captured_and_compiled",
    "torch_models.measurements.convolutional",
    "torch_models.measurements.largest_stack",
    "torch_models.measurements.sparse_inference",
    "torch_models.measurements.training_step",
]
"""Loaded once, for all processes; nothing that looks for a GPU, which cannot be shared."""

Start = ForkServerContext | SpawnContext
"""How processes are made."""

Add = Callable[[dict[str, Any]], None]
"""Writes down an entry of a part."""


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


# ------------------------------------------------------------------------------------ the parts


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

    size = (20, 5, 4) if setting.rehearsal else (300, 100, 200)
    keep_for_the_suite(
        setting, add, "gradient_growth", "growth", partial(gradient_growth.measure, *size)
    )


def convolve(setting: Setting, add: Add) -> None:
    """Convolutional networks of all rows at initialization, at the paper's size."""
    from torch_models.measurements import convolutional

    size = (4, 3, 4, 1) if setting.rehearsal else (300, 50, 32, 3)
    keep_for_the_suite(setting, add, "convolutional", "rows", partial(convolutional.measure, *size))


def keep_for_the_suite(
    setting: Setting, add: Add, name: str, rows: str, measure: Callable[[str], dict[str, Any]]
) -> None:
    """Write a record where the suite looks for it."""
    began = time.monotonic()
    record = measure(setting.device)
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


def train_table_2(setting: Setting, add: Add) -> None:
    """Table 2 at the paper's size, all rows together, for as many epochs as there is time."""
    from torch_models.data import load_dataset, subset
    from torch_models.experiments.limited import train_until
    from torch_models.training.epochs import EpochStatistics

    if setting.data_dir is None:
        raise MissingError("needs --data-dir, a folder with MNIST's files")
    budget = find_budget("full", 2, "dnn")
    dataset = load_dataset("mnist", setting.data_dir)
    if setting.rehearsal:
        budget = find_budget("full", 2, "dnn", width=20, depth=4, epochs=2, batch_size=32)
        dataset = subset(dataset, min(200, len(dataset.train_y)), min(50, len(dataset.test_y)))
    rows = rows_named(2, "dnn", ())
    runs = runs_of(2, budget, [row.design for row in rows], seeds=(0,))
    began = time.monotonic()

    def tell(epoch: EpochStatistics) -> None:
        known = sorted(float(a) for a in epoch.validation_accuracy if a == a)
        shown = [known[0], known[len(known) // 2], known[-1]] if known else []
        add(
            {
                "epoch": epoch.epoch,
                "seconds": round(time.monotonic() - began, 2),
                "networks": len(known),
                "accuracy": [round(a, 4) for a in shown],
            }
        )

    reserve = min(25.0, 0.1 * setting.seconds_left())
    records, training = train_until(setting.deadline - reserve, runs, dataset, setting.device, tell)
    folder = setting.output / "results" / "records"
    ensure_writable(folder)
    for record in records:
        write_record(folder / f"{record.run.name}.json", record.to_json())
    if not records:
        raise TimeOverError
    keep_checkpoints(setting.output, runs, training)


def keep_checkpoints(output: Path, runs: Sequence[Any], training: Training) -> None:
    """From which ``sparsity-theory train-table 2 --budget full`` goes on, where safetensors is."""
    try:
        from torch_models.experiments.checkpoints import save_checkpoint
    except ModuleNotFoundError as error:
        print(f"without checkpoints: {error}")
        return
    folder = output / "runs" / "table-2"
    ensure_writable(folder)
    for member in () if training.finished else training.training_members:
        save_checkpoint(folder, runs[member].name, training, member)


PARTS = {
    "tests": Part(run_tests, 0.15, "tests marked gpu"),
    "gradient-growth": Part(grow_gradients, 0.15, "gradient growth of all rows"),
    "convolutional": Part(convolve, 0.1, "convolutional rows"),
    "step": Part(time_steps, 0.15, "the training step beside its peers"),
    "capture": Part(capture_and_compile, 0.08, "CUDA graph and torch.compile"),
    "stack": Part(stack_networks, 0.12, "the largest stack"),
    "sparse-inference": Part(infer_sparsely, 0.08, "sparse inference"),
    "table-2": Part(train_table_2, 1.0, "Table 2 at the paper's size"),
}
"""In order of worth."""


# --------------------------------------------------------------------- a process for each part


@dataclass(frozen=True)
class Machine:
    """What a first process found out.

    Attributes:
        card: name of the GPU, or of the processor.
        versions, commit: of what measures.
        kernels: `COMPILED`, or why torch.compile cannot be used.
    """

    card: str
    versions: dict[str, str]
    commit: str | None
    kernels: str


def probe(device: str, answer: Connection) -> None:
    """Answer with the machine; compiling, which later processes find done, is tried first."""
    in_a_session_of_its_own()
    import torch

    from torch_models.experiments.provenance import commit, hardware, versions

    if device == "cuda" and not torch.cuda.is_available():
        answer.send(None)
        return
    kernels = COMPILED if device == "cuda" else "those of torch"
    if device == "cuda":
        try:
            compile_once(device)
        except Exception as error:  # whatever keeps the compiler from working
            kernels = f"torch.compile fails: {last_line(error)}"
    name = torch.cuda.get_device_name() if device == "cuda" else hardware()["processor"]
    answer.send(Machine(name, versions(), commit(), kernels))


def compile_once(device: str) -> None:
    """Take a step of a small ensemble."""
    from torch_models.measurements.noise_training import Shape, networks, ready

    shape = Shape(64, 3, 32, 10, 16)
    ready(networks(shape, 4, device), shape.batch, steps=1)


def work(name: str, setting: Setting, record: CardRecord) -> None:
    """What the process of a part does."""
    in_a_session_of_its_own()
    import torch

    if setting.rehearsal:
        torch.set_num_threads(1)
    elif record.kernels != COMPILED:
        torch.compiler.set_stance("force_eager")
    carry_out(PARTS[name].run, setting, record)


def carry_out(run: Callable[[Setting, Add], None], setting: Setting, record: CardRecord) -> None:
    """Run a part until it ends, or its time does, and keep its record up to date."""
    began = time.monotonic()
    current = [record]

    def write(entry: dict[str, Any] | None = None, **changes: Any) -> None:
        seconds = time.monotonic() - began
        if entry is not None:
            current[0] = current[0].with_entry(entry, seconds)
        current[0] = replace(current[0], seconds=round(seconds, 1), **changes)
        write_card_record(setting.output, current[0])

    write()
    try:
        with alarm_at(setting.deadline):
            run(setting, write)
        write(state=WHOLE, reason="")
    except TimeOverError:
        write(reason="its time was over")
    except KeyboardInterrupt:
        write(reason="it was interrupted")
    except MissingError as error:
        write(state=SKIPPED, reason=str(error))
    except Exception as error:
        write(state=FAILED, reason=last_line(error), traceback=traceback.format_exc())


def last_line(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(traceback.format_exception_only(error)[-1].split())


@contextmanager
def alarm_at(deadline: float) -> Iterator[None]:
    """Raise `TimeOverError` within the block once the deadline is there."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeOverError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_a_session_of_its_own() -> None:
    """So that all processes of a part end together, at the latest when the command does."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end_with_parent, daemon=True).start()


def end(process: BaseProcess, number: signal.Signals) -> None:
    """Send a signal to all processes of a part, and soon another that cannot be missed."""
    for each in (number, signal.SIGKILL):
        if process.is_alive() and process.pid is not None:
            try:
                os.killpg(process.pid, each)
            except ProcessLookupError:  # it has ended, or has not yet a session of its own
                process.kill()
            process.join(GRACE_SECONDS)


# ------------------------------------------------------------------------------------ the clock


@dataclass
class Plan:
    """What is asked for, and until when."""

    parts: list[str]
    again: bool
    device: str
    data_dir: Path | None
    output: Path
    minutes: float
    began: float
    start: Start

    @property
    def command(self) -> str:
        """As records have it, without the folders of one machine."""
        words = ["python tools/gpu.py", "--rehearse" if self.device == "cpu" else ""]
        words += ["--data-dir FOLDER" if self.data_dir else "", f"--minutes {self.minutes:g}"]
        return " ".join(filter(None, words))

    def seconds_for(self, name: str) -> float:
        """For a part, from now on."""
        left = self.began + 60 * self.minutes - END_SECONDS - time.monotonic()
        return min(60 * self.minutes * PARTS[name].share, left)


def measure(plan: Plan, machine: Machine) -> list[CardRecord]:
    """Run the parts that have no whole record, one after the other; the records of all."""
    found = []
    for name in plan.parts:
        path = card_record_path(plan.output, machine.card, name)
        if not plan.again and path.exists():
            record = read_card_record(path)
            if record.state == WHOLE and record.rehearsal == (plan.device == "cpu"):
                print(f"{name}: found in {path}")
                found.append(record)
                continue
        seconds = plan.seconds_for(name)
        if seconds <= GRACE_SECONDS:
            print(f"{name}: no time is left")
            continue
        print(f"{name}: {PARTS[name].what}, at most {seconds:.0f} s", flush=True)
        setting = Setting(plan.device, plan.data_dir, plan.output, time.monotonic() + seconds)
        begun = unfinished(name, plan, machine)
        process = plan.start.Process(target=work, args=(name, setting, begun))
        process.start()
        try:
            process.join(seconds + GRACE_SECONDS)
        except KeyboardInterrupt:
            end(process, signal.SIGINT)
            raise
        end(process, signal.SIGKILL)
        found.append(read_card_record(path))
        print(f"{name}: {sentence(found[-1])}", flush=True)
    return found


def unfinished(name: str, plan: Plan, machine: Machine) -> CardRecord:
    """The record of a part that begins."""
    return CardRecord(
        part=name,
        state=CUT_OFF,
        reason=NOT_OVER,
        card=machine.card,
        rehearsal=plan.device == "cpu",
        command=plan.command,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        versions=machine.versions,
        commit=machine.commit,
        kernels=machine.kernels,
        seconds=0.0,
    )


def sentence(record: CardRecord) -> str:
    """How a part ended."""
    entries = f"{len(record.entries)} entries in {record.seconds:.0f} s"
    return f"{record.state}, {entries}" + (f"; {record.reason}" if record.reason else "")


def machine_of(device: str, start: Start) -> Machine | None:
    """What a process of its own finds; None without a GPU."""
    here, there = start.Pipe(duplex=False)
    process = start.Process(target=probe, args=(device, there))
    process.start()
    there.close()
    try:
        if not here.poll(PROBE_SECONDS):
            raise SystemExit(f"error: the device {device} did not answer in {PROBE_SECONDS:.0f} s")
        machine: Machine | None = here.recv()
    except EOFError:
        raise SystemExit(f"error: the first process on {device} ended without an answer") from None
    finally:
        end(process, signal.SIGKILL)
    return machine


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, help="MNIST's four files; no table without it")
    parser.add_argument("--output", type=Path, help="root of what is written; this checkout")
    parser.add_argument("--minutes", type=float, default=10.0, help="for everything; 10")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; may be repeated")
    parser.add_argument("--again", action="store_true", help="also what was measured before")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, everything tiny")
    chosen = parser.parse_args()
    if not 0 < chosen.minutes <= 24 * 60:
        parser.error(f"minutes must be positive and at most a day's, got {chosen.minutes}")
    chosen.output = chosen.output or (REHEARSALS if chosen.rehearse else ROOT)
    if chosen.rehearse and chosen.output.resolve() == ROOT:
        parser.error("a rehearsal must not be written into the checkout: give another --output")
    return chosen


def main() -> int:
    """Measure, and sum up; 1 if a part or a test failed."""
    began = time.monotonic()
    chosen = arguments()
    device = "cpu" if chosen.rehearse else "cuda"
    ensure_writable(chosen.output)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # few kernels, no more processes
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]  # the processes need the checkout as well
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    start: Start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(PRELOADED)
    machine = machine_of(device, start)
    if machine is None:  # something that was loaded has perhaps looked for a GPU after all
        start = multiprocessing.get_context("spawn")
        machine = machine_of(device, start)
    if machine is None:
        print("error: needs a CUDA device; --rehearse runs everything on the CPU", file=sys.stderr)
        return 2
    print(f"{machine.card}, torch {machine.versions['torch']}, kernels: {machine.kernels}")
    plan = Plan(
        chosen.part or list(PARTS), chosen.again, device,
        chosen.data_dir, chosen.output, chosen.minutes, began, start,
    )  # fmt: skip
    try:
        records = measure(plan, machine)
    except KeyboardInterrupt:
        print(f"error: interrupted; what was measured is in {chosen.output}", file=sys.stderr)
        return 130
    print(f"\n{machine.card}, {time.monotonic() - began:.0f} s, below {chosen.output}:")
    for record in records:
        print(f"  {record.part:<18}{sentence(record)}")
    failed = [record for record in records if record.state == FAILED]
    for record in failed:
        path = card_record_path(chosen.output, record.card, record.part)
        print(f"error: {record.part} failed: {record.reason} ({path})", file=sys.stderr)
    tests = [e for record in records if record.part == "tests" for e in record.entries]
    broken = [each["test"] for each in tests if each["outcome"] == "failed"]
    if broken:
        print(f"error: {len(broken)} of {len(tests)} tests failed: {broken[0]}", file=sys.stderr)
    return int(bool(failed or broken))


if __name__ == "__main__":
    sys.exit(main())
