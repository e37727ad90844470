"""A record of trained networks that is written after each of them, and resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch_models.experiments.provenance import commit, versions
from torch_models.records.files import read_record, write_record


def complete(
    path: Path,
    head: dict[str, Any],
    settings: Sequence[Any],
    train: Callable[[Any], dict[str, Any]],
) -> dict[str, Any]:
    """Train what the record at ``path`` lacks, and write it after every network.

    Args:
        path: of the record, which need not be there yet.
        head: what all its networks have in common, as JSON has it.
        settings: what the networks differ in; data classes of numbers and strings.
        train: a setting to what came out.

    Returns:
        The record: ``head``, and ``networks``, each with its setting.

    Raises:
        ValueError: if the record is there and has another head.
    """
    record = {**head, "networks": []}
    if path.exists():
        record = read_record(path)
        for name, value in head.items():
            if record[name] != value:
                raise ValueError(f"{path} was made with {name} {record[name]}, not {value}")
    for setting in settings:
        told = asdict(setting)
        if any(told.items() <= network.items() for network in map(scalars, record["networks"])):
            continue
        record["networks"].append({**told, **train(setting)})
        record["provenance"] = {"versions": versions(), "commit": commit()}
        write_record(path, record)
    return record


def scalars(network: dict[str, Any]) -> dict[str, Any]:
    """What a network's setting can be compared with: all but lists."""
    return {name: value for name, value in network.items() if not isinstance(value, list)}
