"""What was measured on one card: a record a part, with a schema that is checked on reading.

``python tools/gpu.py`` writes them to ``results/gpu/CARD/PART.json``, renewed with every entry, so
that a reader finds what was measured up to then however the command ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from torch_models.records.files import read_record, write_record

FORMAT = 1

WHOLE = "whole"
CUT_OFF = "cut off"
SKIPPED = "skipped"
FAILED = "failed"
STATES = (WHOLE, CUT_OFF, SKIPPED, FAILED)
"""All of it was measured; time was over, or the process ended; a library is missing; it raised."""

COMPILED = "compiled"
"""Kernels made by torch.compile."""

TEXT, NUMBER, COUNT = (str,), (int, float), (int,)
MAYBE_TEXT, MAYBE_NUMBER = (str, type(None)), (int, float, type(None))
NUMBERS = (list,)

ENTRIES: dict[str, dict[str, tuple[type, ...]]] = {
    "tests": {"test": TEXT, "outcome": TEXT, "seconds": NUMBER, "reason": MAYBE_TEXT},
    "gradient-growth": {"record": TEXT, "rows": COUNT, "networks": COUNT, "seconds": NUMBER},
    "convolutional": {"record": TEXT, "rows": COUNT, "networks": COUNT, "seconds": NUMBER},
    "step": {
        "peer": TEXT,
        "precision": TEXT,
        "members": COUNT,
        "step_ms": NUMBER,
        "peer_ms": NUMBER,
        "ratio": NUMBER,
    },
    "capture": {
        "variant": TEXT,
        "members": COUNT,
        "step_ms": MAYBE_NUMBER,
        "missing": MAYBE_TEXT,
    },
    "stack": {
        "stack": TEXT,
        "members": COUNT,
        "step_ms": NUMBER,
        "ms_a_network": NUMBER,
        "planned_gb": NUMBER,
        "peak_gb": NUMBER,
    },
    "sparse-inference": {
        "width": COUNT,
        "depth": COUNT,
        "batch": COUNT,
        "sparsity": NUMBER,
        "dense_us": NUMBER,
        "sparse_us": NUMBER,
    },
    "tables": {
        "table": COUNT,
        "group": COUNT,
        "epoch": COUNT,
        "seconds": NUMBER,
        "networks": COUNT,
        "accuracy": NUMBERS,
    },
}
"""The parts, in order of worth, and what an entry of each holds."""


@dataclass(frozen=True)
class CardRecord:
    """One part on one card.

    Attributes:
        part: one of `ENTRIES`.
        state: one of `STATES`.
        reason: why it is not whole, in one line; empty if it is.
        card: the name of the GPU; of a rehearsal, of the CPU.
        rehearsal: whether everything was tiny, and on a CPU.
        command, date, versions, commit: where it comes from.
        kernels: `COMPILED`, or what they are instead.
        seconds: that it took.
        entries: what was measured.
        traceback: of an error.

    Raises:
        ValueError: for what is not of this form, naming it.
    """

    part: str
    state: str
    reason: str
    card: str
    rehearsal: bool
    command: str
    date: str
    versions: Mapping[str, str]
    commit: str | None
    kernels: str
    seconds: float
    entries: list[dict[str, Any]] = field(default_factory=list)
    traceback: str = ""

    def __post_init__(self) -> None:
        """Check it all."""
        for name, known in (("part", ENTRIES), ("state", STATES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        for name in ("reason", "card", "command", "date", "kernels", "traceback"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be text, got {getattr(self, name)!r}")
        if not isinstance(self.commit, MAYBE_TEXT):
            raise ValueError(f"commit must be text or null, got {self.commit!r}")
        if not isinstance(self.rehearsal, bool):
            raise ValueError(f"rehearsal must be true or false, got {self.rehearsal!r}")
        if not isinstance(self.seconds, NUMBER) or isinstance(self.seconds, bool):
            raise ValueError(f"seconds must be a number, got {self.seconds!r}")
        if not isinstance(self.versions, Mapping) or "torch" not in self.versions:
            raise ValueError(f"versions must name that of torch, got {self.versions!r}")
        if not isinstance(self.entries, list):
            raise ValueError(f"entries must be a list, got {self.entries!r}")
        if bool(self.reason) == (self.state == WHOLE):
            raise ValueError(f"reason must say why a part is {self.state!r}, got {self.reason!r}")
        for entry in self.entries:
            check_entry(self.part, entry)

    def to_json(self) -> dict[str, Any]:
        """What `write_record` writes."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The record that the content of a file is.

        Raises:
            ValueError: if it is none, saying why.
        """
        if content.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT}, got {content.get('format')!r}")
        names = {each.name for each in fields(cls)}
        if content.keys() - {"format"} != names:
            raise ValueError(f"keys must be {sorted(names)}, got {sorted(content)}")
        return cls(**{name: content[name] for name in names})


def check_entry(part: str, entry: Any) -> None:
    """Raise ``ValueError`` unless an entry holds what those of its part do."""
    known = ENTRIES[part]
    if not isinstance(entry, Mapping) or entry.keys() != known.keys():
        raise ValueError(f"an entry of {part} must have {', '.join(known)}, got {entry!r}")
    for name, kinds in known.items():
        value = entry[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(f"{name} of an entry of {part} is {value!r}")


def slug_of(card: str) -> str:
    """The name of a card or a processor as files have it, such as ``nvidia-h100-80gb-hbm3``."""
    return re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")


def card_record_path(root: Path, card: str, part: str) -> Path:
    """Where the record of a part is, below the root of a checkout or of an output folder."""
    return root / "results" / "gpu" / slug_of(card) / f"{part}.json"


def write_card_record(root: Path, record: CardRecord) -> Path:
    """Write it in its place; the folder is made if need be."""
    path = card_record_path(root, record.card, record.part)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, record.to_json())
    return path


def read_card_record(path: Path) -> CardRecord:
    """The record in a file.

    Raises:
        ValueError: naming the file, if it does not hold one.
        OSError: if it cannot be read.
    """
    try:
        return CardRecord.from_json(read_record(path))
    except (TypeError, ValueError) as error:
        message = str(error)
        raise ValueError(
            message if str(path) in message else f"{path} is no record of a card: {message}"
        ) from error


def card_records(root: Path) -> list[CardRecord]:
    """All that there are below a root, by card, in the order of the parts."""
    paths = (root / "results" / "gpu").glob("*/*.json")
    records = [read_card_record(path) for path in sorted(paths)]
    order = list(ENTRIES)
    return sorted(records, key=lambda record: (record.card, order.index(record.part)))
