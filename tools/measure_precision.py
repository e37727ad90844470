"""What rounding does to random networks of Table 2's rows: q^l and sparsity, layer by layer.

    python tools/measure_precision.py

passes one input of the row's variance through the same random networks (300 wide, 100 deep) in
float64, float32, TF32 and bf16, and writes how far the last three are from the first to
``results/precision.json`` and, as a table, into ``docs/precision.md``. TF32 is imitated: weights
and activations are rounded to 10 bits after the point, multiplied exactly and added in float32,
as a GPU does. Four minutes on one core.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from marks import between
from torch import Tensor

from sparsity_theory.published.rows import Row
from sparsity_theory.published.tables import PublishedRow, published_rows
from torch_models.experiments.provenance import hardware, versions
from torch_models.networks.dense import DenseEnsemble
from torch_models.records.files import write_record

ROOT = Path(__file__).parents[1]
RECORD, PAGE = ROOT / "results" / "precision.json", ROOT / "docs" / "precision.md"
BEGIN, END = "<!-- table: python tools/measure_precision.py -->", "<!-- end of table -->"

WIDTH, DEPTH, FEATURES, NETWORKS = 300, 100, 100, 10
TYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def as_it_is(values: Tensor) -> Tensor:
    """No rounding beyond that of the type."""
    return values


def to_tf32(values: Tensor) -> Tensor:
    """Round float32 to 10 bits after the point, ties to even."""
    bits = values.view(torch.int32)
    rounded = (bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF
    return rounded.view(torch.float32)


def layers(
    ensemble: DenseEnsemble, x: Tensor, rounded: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """q^l and sparsity of every member, in float64, for l = 1, ..., L."""
    x = ensemble.scaled(x)
    for weight, bias in list(zip(ensemble.weights, ensemble.biases, strict=True))[:-1]:
        h = torch.baddbmm(bias, rounded(x), rounded(weight).mT)
        x = ensemble.activation(h)
        yield h.double().square().mean((1, 2)), (x == 0).double().mean((1, 2))


@torch.no_grad()
def errors_of(row: Row) -> dict[str, dict[str, float]]:
    """For each precision, over networks and layers: how far q^l and the sparsity are off.

    ``variance`` is the root mean square of q^l / (q^l in float64) - 1, ``variance_shift`` its mean;
    ``sparsity`` is the root mean square of the difference, ``sparsity_shift`` its mean.
    """
    nets, seeds = [row.net()] * NETWORKS, range(NETWORKS)
    exact = DenseEnsemble(nets, FEATURES, WIDTH, DEPTH, 1, seeds, dtype=torch.float64)
    x = torch.randn(1, FEATURES, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    x *= math.sqrt(row.input_variance()) / x.square().mean().sqrt()
    q, s = map(torch.stack, zip(*layers(exact, x, as_it_is), strict=True))
    found = {}
    for precision, dtype in TYPES.items():
        stack = DenseEnsemble(nets, FEATURES, WIDTH, DEPTH, 1, seeds, dtype=torch.float64).to(dtype)
        rounded = to_tf32 if precision == "tf32" else as_it_is
        seen = layers(stack, x.to(dtype), rounded)
        own_q, own_s = map(torch.stack, zip(*seen, strict=True))
        off, apart = own_q / q - 1, own_s - s
        found[precision] = {
            "variance": _rms(off),
            "variance_shift": float(off.mean()),
            "sparsity": _rms(apart),
            "sparsity_shift": float(apart.mean()),
        }
    return {
        name: {key: float(f"{value:.3g}") for key, value in errors.items()}
        for name, errors in found.items()
    }


def measure() -> dict[str, Any]:
    """The record."""
    return {
        "command": "python tools/measure_precision.py",
        "width": WIDTH,
        "depth": DEPTH,
        "networks": NETWORKS,
        "versions": versions(),
        "hardware": hardware("cpu"),
        "rows": {row.row.slug: errors_of(row.row) for row in published_rows(2)},
    }


def table(record: dict[str, Any]) -> list[str]:
    """The record as Markdown: the median and the largest row of those that train, and of others."""
    lines = ["| rows | precision | q^l off by | shifted by | sparsity off by | shifted by |"]
    lines.append("| :--- | :--- | ---: | ---: | ---: | ---: |")
    for title, failed in (("that train", False), ("that fail", True)):
        rows = [row for row in published_rows(2) if row.failed == failed]
        for precision in TYPES:
            cells = [_cell(record, rows, precision, key) for key in KEYS]
            lines.append(f"| {len(rows)} {title} | {precision} | {' | '.join(cells)} |")
    return lines


KEYS = ("variance", "variance_shift", "sparsity", "sparsity_shift")


def _cell(record: dict[str, Any], rows: list[PublishedRow], precision: str, key: str) -> str:
    values = [record["rows"][row.row.slug][precision][key] for row in rows]
    values.sort(key=abs)
    return f"{values[len(values) // 2]:.1e} (at most {values[-1]:.1e})"


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def main() -> None:
    """Measure, write the record, and put its table into the page."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    record = measure()
    write_record(RECORD, record)
    text = "\n".join(table(record))
    page = between(PAGE.read_text(encoding="utf-8"), BEGIN, END, text)
    PAGE.write_text(page, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
