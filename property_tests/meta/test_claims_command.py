"""The command that lists the claims and their tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from property_tests import __main__ as command
from property_tests.ledger.claims import Link

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m property_tests`` in a process of its own: it collects the suite."""
    command = [sys.executable, "-m", "property_tests", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def listed() -> dict[str, dict[str, Any]]:
    """Every claim by id, as the command has them."""
    done = run("--json")
    assert done.returncode == 0, done.stderr
    return {claim["id"]: claim for claim in json.loads(done.stdout)}


def test_every_claim_is_listed_with_its_tests_and_every_test_is_there(
    listed: dict[str, dict[str, Any]],
) -> None:
    assert {"Eq. 1", "Eq. 63", "Table 5 DNN", "Fig. 14", "Misprint Eq. 5"} <= set(listed)
    gap = listed["Eq. 17"]
    assert gap["evidence"] == "certified"
    assert gap["source"] == "paper"
    assert listed["Oracle: input"]["source"] == "library"
    kinds = {kind for test in gap["tests"] for kind in test["evidence"]}
    assert kinds == {"certified", "identity"}
    for claim in listed.values():
        for test in claim["tests"]:
            file, _, function = test["test"].partition("::")
            assert f"def {function.split('::')[-1]}(" in (ROOT / file).read_text(encoding="utf-8")


def test_no_claim_that_can_be_decided_without_training_is_left_open(
    listed: dict[str, dict[str, Any]],
) -> None:
    untested = [name for name, claim in listed.items() if not claim["tests"]]
    assert [name for name in untested if listed[name]["evidence"] != "trained"] == []


def test_an_unknown_claim_is_an_error_that_names_the_nearest() -> None:
    done = run("Eq. 170")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: no claim has the id 'Eq. 170'; did you mean 'Eq. 17'")


def test_a_claim_is_found_whatever_its_case_and_punctuation_and_printed_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets in its statement are not taken for markup; tests are collected above."""
    link = Link("property_tests/a.py::test_b[1]", "Eq. 3", "identity")
    monkeypatch.setattr(command, "collected_links", lambda: [link])
    command.claims("eq 3")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Eq. 3: ")
    assert "[" in printed[0]
    assert printed[-1] == "  property_tests/a.py::test_b  (identity)"
