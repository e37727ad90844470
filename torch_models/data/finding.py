"""Finding a data set by its checksums, on machines that keep it in different folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from torch_models.data.dataset import DataError, Dataset, dataset_of
from torch_models.data.files import content_name
from torch_models.data.loading import LOADERS, check_name

FOLDERS_VARIABLE = "SPARSITY_THEORY_DATA"
"""Environment variable that lists data folders, separated as in PATH."""


def find_dataset(
    name: str,
    checksums: Mapping[str, str],
    folders: Iterable[Path] = (),
    seed: int = 0,
) -> Dataset:
    """Load the data set of that name whose content has these checksums.

    Searches ``folders``, then those in the environment variable ``SPARSITY_THEORY_DATA``. Only
    checksums of content are compared: the files may be compressed in one folder and plain in
    another. Images that came without a folder (the digits, and those from OpenML) are loaded
    without one again.

    Args:
        name: of the data set.
        checksums: those of a `Dataset`.
        folders: data folders to search first.
        seed: of the split into training and validation.

    Raises:
        DataError: saying, of every folder, why the data was not found there.
        ValueError: as `load_dataset` does.
    """
    check_name(name)
    wanted = contents_of(checksums)
    of_arrays = wanted.keys() == {"pixels", "labels"}
    searched: list[Path | None] = [None] if of_arrays else [*folders, *listed_folders()]
    failures: list[str] = []
    for folder in searched:
        try:
            raw = LOADERS[name](folder)
        except DataError as error:
            failures.append(str(error))
            continue
        found = contents_of(raw.checksums)
        if found == wanted:
            return dataset_of(name, raw, seed)
        failures.append(f"{folder or raw.source} holds {difference(found, wanted)}")
    reasons = "; ".join(failures) or f"no folder was named, nor does {FOLDERS_VARIABLE} list any"
    raise DataError(f"{name} with the checksums asked for was not found: {reasons}")


def listed_folders() -> Iterator[Path]:
    """The folders in the environment variable ``SPARSITY_THEORY_DATA``, none if it is unset."""
    listed = os.environ.get(FOLDERS_VARIABLE, "")
    return (Path(folder) for folder in listed.split(os.pathsep) if folder)


def contents_of(checksums: Mapping[str, str]) -> dict[str, str]:
    """The checksums of contents, without those of compressed files as stored."""
    return {name: value for name, value in checksums.items() if content_name(name) == name}


def difference(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Describe the first file that differs."""
    name = next(n for n in [*wanted, *found] if found.get(n) != wanted.get(n))
    if name not in found:
        return f"no {name}"
    return f"{name} of {found[name]} instead of {wanted.get(name, 'none')}"
