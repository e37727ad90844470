"""Write the tables that are made from the records in results.

They are results/table-*.md, and in README.md a part of Table 2 and the ratios to peers.

Run: ``python tools/write_tables.py`` (``--check`` to compare only).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from marks import between

from torch_models.records.results import find_records, summarize
from torch_models.reports.tables import FORMATS

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results" / "records"
TABLES = (2, 4, 5)
BENCHMARKS = ROOT / "results" / "benchmarks"
THREADS = ("amd-epyc-1-thread", "amd-epyc-2-threads")
BEGIN, END = "<!-- table: python tools/write_tables.py -->", "<!-- end of table -->"
PEERS_BEGIN, PEERS_END = (
    "<!-- peers: python tools/write_tables.py -->",
    "<!-- end of peers -->",
)

SHOWN = (
    "ReLU s=0.5",
    "ReLU s=0.7",
    "ST s=0.6",
    "CReLU s=0.7 V'=0.7",
    "CReLU s=0.8 V'=0.9",
    "CReLU s=0.85 V'=0.7",
    "CReLU s=0.85 V'=0.9",
    "CST s=0.7 V'=0.7",
    "CST s=0.8 V'=0.9",
    "CST s=0.85 V'=0.9",
)
"""Rows of Table 2 that the README shows."""

PRODUCTS = "bench_training.TrainingStep.track_step_over_its_products"
LOOPS = "bench_peers.Peers.track_ratio"
LOWER = "bench_training.Precision.track_step_over_float32"
ZEROS = "bench_inference.SparseInputs.track_sparse_over_dense"
PEERS = (
    ("a step's matrix products alone", "a step of one network", PRODUCTS, ("1 x 300 x 100", "cpu")),
    ("a step's matrix products alone", "a step of 4 at once", PRODUCTS, ("4 x 300 x 100", "cpu")),
    ("plain PyTorch, a network a time", "one network", LOOPS, ("eager", 1)),
    ("plain PyTorch, a network a time", "4 at once, each", LOOPS, ("eager", 4)),
    ("PyTorch Lightning, a network a time", "one network", LOOPS, ("lightning", 1)),
    ("PyTorch Lightning, a network a time", "4 at once, each", LOOPS, ("lightning", 4)),
    ("a step in float32", "a step in bf16", LOWER, ("bf16", "cpu")),
    ("`torch.nn.Linear`, 300 wide, one input", "using 85% zeros", ZEROS, (300, 1)),
    ("`torch.nn.Linear`, 2048 wide, one input", "using 85% zeros", ZEROS, (2048, 1)),
)
"""Peer, ours, benchmark and its parameters: rows of the README's table of ratios."""


def wanted_files() -> dict[Path, str]:
    """What each file should hold."""
    found = find_records([RECORDS])
    if found.left_out:
        raise SystemExit(f"error: {found.left_out[0]}")
    files = {
        ROOT / "results" / f"table-{number}.md": FORMATS["markdown"](
            summarize(found.records, number)
        )
        for number in TABLES
    }
    dense = FORMATS["markdown"](summarize(found.records, 2, "dnn")).splitlines()
    head = next(place for place, line in enumerate(dense) if line.startswith("| row"))
    rows = [line for line in dense[head + 2 :] if line.startswith(tuple(f"| {r} |" for r in SHOWN))]
    readme = ROOT / "README.md"
    part = "\n".join([*dense[head : head + 2], *rows])
    text = between(readme.read_text(encoding="utf-8"), BEGIN, END, part)
    files[readme] = between(text, PEERS_BEGIN, PEERS_END, "\n".join(peers()))
    return files


def peers() -> list[str]:
    """Our time over a peer's, as Markdown."""
    records = [json.loads((BENCHMARKS / f"{kind}.json").read_text()) for kind in THREADS]
    lines = ["| peer | ours | 1 thread | 2 threads | `asv run --python=same --bench ...` |"]
    lines.append("| :--- | :--- | ---: | ---: | :--- |")
    for peer, ours, benchmark, parameters in PEERS:
        ratios = [ratio(record, benchmark, parameters) for record in records]
        command = benchmark.split(".", 1)[1]
        lines.append(f"| {peer} | {ours} | {' | '.join(ratios)} | `{command}` |")
    return lines


def ratio(record: dict[str, Any], benchmark: str, parameters: tuple[Any, ...]) -> str:
    """The ratio with two decimals; nothing where it was not measured."""
    rows = record.get(benchmark, {"rows": []})["rows"]
    return "".join(f"{value:.2f}" for *place, value in rows if tuple(place) == parameters)


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    stale = 0
    for path, text in wanted_files().items():
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            stale += 1
            print(f"error: {path.relative_to(ROOT)} is not what the records say", file=sys.stderr)
        elif not check:
            path.write_text(text, encoding="utf-8")
    return int(stale > 0)


if __name__ == "__main__":
    sys.exit(main())
