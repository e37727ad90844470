"""Rows of the paper's tables, as printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sparsity_theory.published.tables import read_tables

TABLES = read_tables()


def rows(table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table, in order."""
    yield from TABLES[table]["rows"]


def row_name(row: dict[str, Any]) -> str:
    """A row as the paper names it: CReLU s=0.85 V'=0.7."""
    label = {"relu": "ReLU", "st": "ST", "crelu": "CReLU", "cst": "CST"}[row["kind"]]
    return f"{label} s={row['s']}" + (f" V'={row['slope']}" if "m" in row else "")
