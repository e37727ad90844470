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
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT)]  # the checkout need not be installed

from tools.on_gpu.parts import PARTS, Setting  # noqa: E402
from tools.on_gpu.processes import (  # noqa: E402
    GRACE_SECONDS,
    PRELOADED,
    Machine,
    Start,
    end,
    machine_of,
    work,
)
from torch_models.records.card import (  # noqa: E402
    CUT_OFF,
    FAILED,
    WHOLE,
    CardRecord,
    card_record_path,
    read_card_record,
)
from torch_models.records.files import ensure_writable  # noqa: E402

REHEARSALS = ROOT / "runs" / "gpu-rehearsal"
NOT_OVER = "it had not come to its end"
END_SECONDS = 5.0
"""Kept for the summary."""


@dataclass(frozen=True)
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
        run_part(name, plan, machine, seconds)
        found.append(read_card_record(path))
        print(f"{name}: {sentence(found[-1])}", flush=True)
    return found


def run_part(name: str, plan: Plan, machine: Machine, seconds: float) -> None:
    """Measure a part in a process of its own, which ends soon after so many seconds."""
    setting = Setting(plan.device, plan.data_dir, plan.output, time.monotonic() + seconds)
    process = plan.start.Process(target=work, args=(name, setting, unfinished(name, plan, machine)))
    process.start()
    try:
        process.join(seconds + GRACE_SECONDS)
    except KeyboardInterrupt:
        end(process, signal.SIGINT)
        raise
    end(process, signal.SIGKILL)


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
    if chosen.data_dir is not None and not chosen.data_dir.is_dir():
        parser.error(f"--data-dir must be a folder, got {chosen.data_dir}")
    chosen.output = chosen.output or (REHEARSALS if chosen.rehearse else ROOT)
    if chosen.rehearse and chosen.output.resolve() == ROOT:
        parser.error("a rehearsal must not be written into the checkout: give another --output")
    return chosen


def main() -> int:
    """Measure, and sum up: 0, 1 if a part or a test failed, 2 for what cannot begin."""
    began = time.monotonic()
    chosen = arguments()
    device = "cpu" if chosen.rehearse else "cuda"
    try:
        ensure_writable(chosen.output)
    except OSError as error:
        print(f"error: output {chosen.output} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    start, machine = found_machine(device)
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
    return summed_up(records, chosen.output)


def found_machine(device: str) -> tuple[Start, Machine | None]:
    """How processes are to be made, and what a first one found."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # few kernels, no more processes
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]  # the processes need the checkout as well
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    machine = machine_of(device, server)
    if machine is not None:
        return server, machine
    # Something that was loaded has perhaps looked for a GPU after all.
    afresh = multiprocessing.get_context("spawn")
    return afresh, machine_of(device, afresh)


def summed_up(records: list[CardRecord], output: Path) -> int:
    """Print how the parts ended; 1 if a part or a test failed, else 0."""
    for record in records:
        print(f"  {record.part:<18}{sentence(record)}")
    failed = [record for record in records if record.state == FAILED]
    for record in failed:
        path = card_record_path(output, record.card, record.part)
        print(f"error: {record.part} failed: {record.reason} ({path})", file=sys.stderr)
    tests = [e for record in records if record.part == "tests" for e in record.entries]
    broken = [each["test"] for each in tests if each["outcome"] == "failed"]
    if broken:
        print(f"error: {len(broken)} of {len(tests)} tests failed: {broken[0]}", file=sys.stderr)
    return int(bool(failed or broken))


if __name__ == "__main__":
    sys.exit(main())
