"""Write the tables of docs/does-sparsity-pay.md, and its picture, from the committed record.

Run: ``python tools/write_sparse_inference.py`` after ``python tools/measure_sparse_inference.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from marks import between

from torch_models.records.files import read_record
from torch_models.reports.sparse_inference import save_figure, tables

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "results" / "sparse-inference" / "amd-epyc-1-thread.json"
PAGE = ROOT / "docs" / "does-sparsity-pay.md"
BEGIN, END = "<!-- tables: python tools/write_sparse_inference.py -->", "<!-- end of tables -->"


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", type=Path, default=RECORD, help="what was measured")
    record = read_record(parser.parse_args().record)
    page = between(PAGE.read_text(encoding="utf-8"), BEGIN, END, tables(record))
    PAGE.write_text(page, encoding="utf-8")
    save_figure(record, PAGE.with_suffix(".png"))


if __name__ == "__main__":
    main()
