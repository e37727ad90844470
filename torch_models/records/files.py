"""JSON records, written so that a reader finds the old one or the new one, never half.

JSON has no NaN and no infinities. A record holds ``null`` for NaN (a figure that does not exist,
such as the loss of a member that has diverged) and the strings ``"inf"`` and ``"-inf"`` for the
infinities.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import math
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np


def ensure_writable(folder: Path) -> None:
    """Create ``folder`` if need be and write a file there; ``OSError`` says why it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; what was written there takes its place at the end.

    If the body raises, or is interrupted, whatever was at ``path`` before stays as it was.
    Raises ``IsADirectoryError`` if ``path`` is a folder, ``OSError`` if it is a device or a pipe.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():  # as /dev/null, which would be lost
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows syncs only what is open for writing
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def clear_temporaries(folder: Path, stem: str) -> None:
    """Delete what killed processes left of files whose names begin with ``stem`` and a dot."""
    for left in folder.glob(f".{glob.escape(stem)}.*.tmp"):
        left.unlink(missing_ok=True)


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write ``record`` as JSON at ``path``, atomically: a line for each of its keys.

    See ``to_plain`` for what it may hold.
    """
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
        for key, value in to_plain(record).items()
    ]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` at ``path``, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """Read a record back. Raises ``ValueError`` naming the file if it does not hold one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a valid record: {error}") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not a valid record: it holds no JSON object")
    return record


def to_plain(value: Any) -> Any:
    """Turn data classes, arrays, paths and non-finite numbers into what JSON can say."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return to_plain(value.tolist())
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Path):
        return str(value)
    return value
