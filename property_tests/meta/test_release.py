"""The version, which `pyproject.toml` states, and what repeats it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def first(pattern: str, file: str) -> tuple[str, ...]:
    """The groups of the first match in a file at the root."""
    match = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert match, f"{file} has nothing like {pattern}"
    return match.groups()


def test_changelog_and_citation_are_of_this_version_and_one_date() -> None:
    version, date = first(r"^## (\d\S*) \((\S+)\)$", "CHANGELOG.md")
    assert version == VERSION
    assert first(r"^version: (.+)$", "CITATION.cff") == (version,)
    assert first(r"^date-released: (.+)$", "CITATION.cff") == (date,)


def test_a_tag_of_this_commit_is_this_version() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a checkout with git")
    command = [git, "tag", "--points-at", "HEAD", "--list", "v[0-9]*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {f"v{VERSION}"}
