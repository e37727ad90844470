"""What the README and the pages that show the library show runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[2] / "README.md"


def test_the_python_of_the_readme_runs_in_order_as_it_stands() -> None:
    pytest.importorskip("torch")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert round(float(names["phi"].tau), 4) == 1.0364


PAGES = ["beyond-the-paper.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs_in_order_as_it_stands(page: str) -> None:
    text = (README.parent / "docs" / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, page, "exec"), names)
    assert "net" in names
