"""Data sets by what they hold, for workers on machines that keep them elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from torch_models.data.dataset import DataError, Dataset, dataset_of
from torch_models.data.files import content_name
from torch_models.data.loading import LOADERS, check_name

FOLDERS_VARIABLE = "SPARSITY_THEORY_DATA"
"""Environment variable that lists folders of data, separated as in PATH."""


def find_dataset(
    name: str,
    checksums: Mapping[str, str],
    folders: Iterable[Path] = (),
    seed: int = 0,
) -> Dataset:
    """Load the data set of that name whose content has the ``checksums`` of a ``Dataset``.

    Looks in ``folders``, then in those that the environment variable ``SPARSITY_THEORY_DATA``
    lists. What counts is the content: the files may be compressed in one place and plain in
    another. Images that came without a folder, the digits and what OpenML holds, are loaded the
    same way again.

    Raises ``DataError`` that says, of every folder, why the data was not found there, and
    ``ValueError`` as ``load_dataset`` does.
    """
    check_name(name)
    wanted = contents_of(checksums)
    of_arrays = wanted.keys() == {"pixels", "labels"}
    places: list[Path | None] = [None] if of_arrays else [*folders, *listed_folders()]
    failures: list[str] = []
    for place in places:
        try:
            raw = LOADERS[name](place)
        except DataError as error:
            failures.append(str(error))
            continue
        found = contents_of(raw.checksums)
        if found == wanted:
            return dataset_of(name, raw, seed)
        failures.append(f"{place or raw.source} holds {difference(found, wanted)}")
    looked = "; ".join(failures) or f"no folder was named, nor does {FOLDERS_VARIABLE} list any"
    raise DataError(f"{name} with the checksums asked for was not found: {looked}")


def listed_folders() -> Iterator[Path]:
    """Folders that the environment variable ``SPARSITY_THEORY_DATA`` lists, none if it is unset."""
    listed = os.environ.get(FOLDERS_VARIABLE, "")
    return (Path(folder) for folder in listed.split(os.pathsep) if folder)


def contents_of(checksums: Mapping[str, str]) -> dict[str, str]:
    """Checksums of contents alone, without those of files as they lie compressed."""
    return {name: value for name, value in checksums.items() if content_name(name) == name}


def difference(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Say in what the first file differs."""
    name = next(n for n in [*wanted, *found] if found.get(n) != wanted.get(n))
    if name not in found:
        return f"no {name}"
    return f"{name} of {found[name]} instead of {wanted.get(name, 'none')}"
