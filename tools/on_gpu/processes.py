"""Processes on a GPU: one that finds out what it is, and one for each part that is measured.

A process has a session of its own, so that all that it has started ends with it, at its deadline or
when the command ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from tools.on_gpu.parts import PARTS, Add, MissingError, Setting, TimeOverError
from torch_models.records.card import (
    COMPILED,
    FAILED,
    SKIPPED,
    WHOLE,
    CardRecord,
    write_card_record,
)

PROBE_SECONDS = 90.0
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

    def write(**changes: Any) -> None:
        nonlocal record
        record = replace(record, seconds=round(time.monotonic() - began, 1), **changes)
        write_card_record(setting.output, record)

    def add(entry: dict[str, Any]) -> None:
        write(entries=[*record.entries, entry])

    write()
    try:
        with alarm_at(setting.deadline):
            run(setting, add)
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
