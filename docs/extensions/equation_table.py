"""Which files the docstring of ``sparsity_theory`` names for each equation of the paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import sparsity_theory

LAST = 63
"""The paper's last equation."""

MENTION = re.compile(r"(?<=\bEq\. )\d+|(?<=\bEqs\. )\d+(?:(?:, | and |-)\d+)*")
"""The numbers in ``Eq. 13`` and in ``Eqs. 3, 6, 13-19 and 24``."""


@cache
def files_of_equations() -> dict[int, tuple[str, ...]]:
    """The full names of files by equation."""
    found: dict[int, tuple[str, ...]] = dict.fromkeys(range(1, LAST + 1), ())
    for first, second in rows():
        files = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", second)
        for number in numbers(first):
            found[number] += tuple(f"sparsity_theory.{file}" for file in files)
    return found


def rows() -> Iterator[tuple[str, str]]:
    """The two cells of each row."""
    pieces = re.split(r"^(=+  =+)$", sparsity_theory.__doc__ or "", flags=re.MULTILINE)
    _, ruler, body, *_ = pieces
    width = ruler.index(" ")
    for row in re.split(r"\n(?=\S)", body.strip("\n")):
        lines = row.split("\n")
        yield " ".join(line[:width] for line in lines), " ".join(line[width:] for line in lines)


def numbers(text: str) -> list[int]:
    """The equations that a text names."""
    found: list[int] = []
    for mention in MENTION.findall(text):
        for piece in re.split(", | and ", mention):
            low, _, high = piece.partition("-")
            found += range(int(low), int(high or low) + 1)
    return found
