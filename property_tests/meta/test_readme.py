"""What the README and the page about practice show runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run_python_of(page: Path) -> dict[str, Any]:
    """The names that its blocks of Python leave, run one after the other."""
    pytest.importorskip("torch")
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    return names


def test_the_python_of_the_readme_runs_in_order_as_it_stands() -> None:
    names = run_python_of(ROOT / "README.md")
    assert round(float(names["phi"].tau), 4) == 1.0364


def test_the_python_of_the_page_about_practice_runs_in_order_as_it_stands() -> None:
    names = run_python_of(ROOT / "docs" / "practice.md")
    x = names["torch"].randn(8, 32, 128)
    shares = names["measured_sparsity"](names["model"], x)
    assert len(shares) == names["depth"] == 6
    assert all(abs(share - 0.9) < 0.02 for share in shares.values())
