"""Write results/table-*.md, and a part of Table 2 into README.md, from the records in results.

Run: ``python tools/write_tables.py`` (``--check`` to compare only).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torch_models.results import find_records, summarize
from torch_models.table_formats import FORMATS

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results" / "records"
TABLES = (2, 4, 5)
BEGIN, END = "<!-- table: python tools/write_tables.py -->", "<!-- end of table -->"

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
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    files[readme] = "\n".join([before + BEGIN, "", *dense[head : head + 2], *rows, "", END + after])
    return files


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
