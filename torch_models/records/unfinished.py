"""Runs that were begun and have no record yet."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = ".checkpoint.safetensors"
"""After the name of a run: the file that says where its training stands."""


def unfinished_runs(folder: Path) -> list[Path]:
    """The checkpoints in a folder, and in folders of it, that have no record beside them.

    Those in hidden folders, or with a hidden name, are not looked at.
    """
    return [
        path
        for path in sorted(folder.rglob(f"*{CHECKPOINT}"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.with_name(f"{path.name.removesuffix(CHECKPOINT)}.json").exists()
    ]
