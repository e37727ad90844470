"""What README and the documentation show runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sparsity_theory.published.rows import Design
from torch_models.records.prediction import predict
from torch_models.records.runs import three_rows_budget

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(<!-- not executed: [^>]+ -->\n\n)?```python\n(.*?)```", re.DOTALL)
"""A block of Python, and the comment which says that it does not run."""


def executed(page: Path) -> list[str]:
    """The blocks of a page that run, in order."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [code for not_executed, code in found if not not_executed]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if executed(page)], ids=lambda page: page.stem
)
def test_the_python_of_a_page_runs_in_order_as_it_stands(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)  # where it may write files
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    for block in executed(page):
        exec(compile(block, str(page), "exec"), names)


def test_readme_and_tutorials_have_python_to_run() -> None:
    with_code = {page.stem for page in PAGES if executed(page)}
    assert {"README", "oracle", "own-activation", "own-network", "forecast"} <= with_code


def test_the_forecast_that_the_start_page_shows_is_the_one_that_is_made() -> None:
    experiment = three_rows_budget("digits", width=100, depth=20).experiment
    found = predict(Design("cst", 0.85, 0.9), experiment, images=1293)
    shares, *_ = found.forecast_verdict.partition(" are expected")
    assert f"  forecast       {shares}" in (ROOT / "docs/start.md").read_text(encoding="utf-8")
