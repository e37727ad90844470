"""Run the benchmarks, and record what they cost on this kind of machine.

    python tools/record_benchmarks.py amd-epyc-1-thread

writes ``results/benchmarks/amd-epyc-1-thread.json``: machine, versions and commit, then a line for
each benchmark with its unit and a row for each of its parameters, the value last (for times, the
median). ``asv machine --yes`` comes first, once on each machine, and ``--bench`` chooses as it does
for ``asv run``.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from asv.results import Results, iter_results
from asv.util import load_json

from torch_models.experiments.provenance import commit, hardware, versions
from torch_models.records.files import ensure_writable, write_record

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results" / "benchmarks"
ASV_RESULTS = ROOT / ".asv" / "results"


def run_benchmarks(chosen: Sequence[str]) -> None:
    """Run them in this environment; asv keeps the results under the commit that is checked out."""
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    options = [f"--bench={each}" for each in chosen]
    where = ["--python=same", "--launch-method=forkserver", f"--set-commit-hash={head}"]
    asv = [sys.executable, "-m", "asv"]
    subprocess.run([*asv, "run", *where, *options], cwd=ROOT, check=True)


def results_since(began: float) -> Iterator[tuple[Results, str]]:
    """Results of benchmarks started since a time in milliseconds, each with its name."""
    for results in iter_results(str(ASV_RESULTS)):
        for name in sorted(results.get_all_result_keys()):
            if results.started_at.get(name, 0) >= began:
                yield results, name


def described(results: Results, name: str, benchmark: dict[str, Any]) -> dict[str, Any]:
    """One benchmark as a record, without parameters that could not run here.

    Raises:
        SystemExit: if it failed.
    """
    parameters = results.get_result_params(name)
    values = results.get_result_value(name, parameters)
    if None in values:
        raise SystemExit(f"error: {name} failed; nothing was recorded")
    rows = [
        [*map(literal_eval, each), float(f"{value:.4g}")]
        for each, value in zip(product(*parameters), values, strict=True)
        if not math.isnan(value)
    ]
    return {
        "name": benchmark["pretty_name"],
        "unit": benchmark["unit"],
        "parameters": benchmark["param_names"],
        "rows": rows,
    }


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", help="of machine: letters, digits and hyphens")
    parser.add_argument("--bench", action="append", default=[], help="regular expression; all")
    chosen = parser.parse_args()
    if not re.fullmatch(r"[a-z0-9-]+", chosen.kind):
        parser.error(f"kind must be lower-case letters, digits and hyphens, got {chosen.kind!r}")
    ensure_writable(RECORDS)
    began = time.time() * 1000
    run_benchmarks(chosen.bench)
    known = load_json(str(ASV_RESULTS / "benchmarks.json"))
    machine = hardware("cuda" if torch.cuda.is_available() else "cpu")
    del machine["threads"]  # every benchmark sets its own
    record: dict[str, Any] = {"machine": machine, "versions": versions(), "commit": commit()}
    for results, name in results_since(began):
        record[name] = described(results, name, known[name])
    path = RECORDS / f"{chosen.kind}.json"
    write_record(path, record)
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
