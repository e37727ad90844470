"""The commit that a record names is that of all the code that made it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from torch_models.experiments import provenance

CODE = ("torch_models/experiments/provenance.py", "torch_models/loop.py", "sparsity_theory/maps.py")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with such files, from one of which ``commit`` is called."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in (*CODE, "docs/page.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "all")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / CODE[0]))
    yield tmp_path
    provenance.commit.cache_clear()  # other tests' records have the commit of this repository


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit() -> str | None:
    """`provenance.commit`, asked anew."""
    provenance.commit.cache_clear()
    return provenance.commit()


@pytest.mark.parametrize("name", CODE)
def test_a_commit_is_marked_if_any_code_differs_from_it(name: str, checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert commit() == head
    (checkout / name).write_text("changed\n")
    assert commit() == f"{head}+"


def test_pages_and_new_files_do_not_make_a_commit_another(checkout: Path) -> None:
    (checkout / "docs" / "page.md").write_text("changed\n")
    (checkout / "torch_models" / "notes.txt").write_text("new\n")
    assert commit() == git(checkout, "rev-parse", "HEAD")


def test_code_outside_of_a_repository_has_no_commit(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    assert commit() is None
