"""How exact the theory is: its largest errors, against a table of reference values.

The tests judge the accuracy; this shows what a commit did to it. The table was written by
``python tools/precompute/reference_values.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import sparsity_theory as st
from asv_bench.labels import labelled
from sparsity_theory.published.rows import Design

TABLES = json.loads(Path(__file__).with_name("reference_values.json").read_text(encoding="utf-8"))

FLOOR = Decimal("1e-290")
"""Errors of smaller values are relative to this: products of two densities underflow below it."""

Row = dict[str, Any]


def activation(row: Row) -> Any:
    parameters = [row[name] for name in ("tau", "m") if row[name] is not None]
    return st.ACTIVATIONS[row["kind"]](*parameters)


def solved(row: Row) -> Any:
    return Design(row["kind"], row["s"], row["slope"]).activation(row["q"])


def fixed_point(row: Row) -> float:
    net = st.MeanField(activation(row), row["sigma_w2"], row["sigma_b2"])
    return st.fixed_points(net)[row["number"]].q


QUANTITIES: dict[str, tuple[str, Callable[[Row], Any]]] = {
    "V": ("expectations", lambda row: activation(row).mean_square(row["q"])),
    "V'": ("expectations", lambda row: activation(row).mean_square_slope(row["q"])),
    "V''": ("expectations", lambda row: activation(row).mean_square_curvature(row["q"])),
    "chi": ("expectations", lambda row: activation(row).mean_derivative_power(row["q"], 2)),
    "sigma_b^2": ("expectations", lambda row: st.edge_of_chaos(activation(row), row["q"]).sigma_b2),
    "tau": ("designs", lambda row: solved(row).tau),
    "m": ("designs", lambda row: solved(row).m),
    "fixed point": ("fixed_points", fixed_point),
    "R": ("correlations", lambda row: activation(row).mean_product(row["rho"], 1.0)),
    "R'": (
        "correlations",
        lambda row: activation(row).mean_product_of_derivatives(row["rho"], 1.0),
    ),
    "1 - R": ("correlations", lambda row: activation(row).mean_product_gap(row["gap"], 1.0)),
}
"""The table of each quantity, and what the theory gives for a row of it."""


class Accuracy:
    """The largest relative error of a quantity over the rows that have it."""

    params = tuple(QUANTITIES)
    param_names = ("quantity",)

    @labelled("worst error of the theory", unit="relative error")
    def track_worst_error(self, quantity: str) -> float:
        table, theory = QUANTITIES[quantity]
        rows = [row for row in TABLES[table] if quantity in row]
        return max(relative_error(theory(row), row[quantity]) for row in rows)


def relative_error(found: Any, exact: str) -> float:
    """In decimal arithmetic; huge where the exact value is zero and the one found is not."""
    reference = Decimal(exact)
    return float(abs(Decimal(float(found)) - reference) / max(abs(reference), FLOOR))
