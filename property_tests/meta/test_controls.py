"""Negative controls: every claim's own test, run on a formula that is wrong on purpose, rejects it.

A test says by which formula it may be fooled, in a marker that names claims which it judges::

    @pytest.mark.control("Eq. 7", replace="sparsity_theory.ShiftedReLU.__call__", by=shifted)

Here every such test is found, in all files of the suite, and runs as it stands, on its own points,
with the wrong formula in place of the right one; if it passed it would judge nothing. Statistical
tests need no marker, since they reject a named wrong theory on the same sample, nor do misprints,
since what is printed is the wrong formula.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import property_tests
from property_tests.ledger.claims import load_claims
from property_tests.support.controls import Formula, Wrong

CLAIMS = Path(__file__).parents[1] / "claims.toml"
PACKAGES = ("sparsity_theory", "torch_models", "property_tests")


@dataclass(frozen=True)
class Control:
    """A case of a test, the formula that is replaced, by what, and the claims that it judges."""

    test: Any
    arguments: dict[str, Any]
    formula: str
    wrong: Wrong
    claims: tuple[str, ...]


def every_test() -> Iterator[Any]:
    """Every test function, whichever files were asked for; this file is left out."""
    for module in pkgutil.walk_packages(property_tests.__path__, f"{property_tests.__name__}."):
        if module.name.rpartition(".")[2].startswith("test_") and module.name != __name__:
            names = vars(importlib.import_module(module.name))
            yield from (names[name] for name in names if name.startswith("test_"))


def marks_of(test: Any) -> list[pytest.Mark]:
    """The marks of a test function and of its file."""
    of_file = getattr(sys.modules[test.__module__], "pytestmark", [])
    marks = [
        *getattr(test, "pytestmark", []),
        *(of_file if isinstance(of_file, list) else [of_file]),
    ]
    return [getattr(mark, "mark", mark) for mark in marks]


def claimed(marks: Iterable[pytest.Mark]) -> set[str]:
    """The claims that marks name."""
    return {claim for mark in marks if mark.name == "claim" for claim in mark.args}


def case_of(test: Any, claim: str) -> dict[str, Any]:
    """The arguments of the first case of a test that judges this claim.

    Raises:
        ValueError: if there is none.
    """
    marks = marks_of(test)
    judged, arguments = claim in claimed(marks), dict[str, Any]()
    for mark in marks:
        if mark.name == "parametrize":
            names, cases = mark.args
            names = (names,) if isinstance(names, str) else names
            cases = [
                case
                if hasattr(case, "marks")
                else pytest.param(*(case if len(names) > 1 else (case,)))
                for case in cases
            ]
            own = [case for case in cases if claim in claimed(each.mark for each in case.marks)]
            judged = judged or bool(own)
            arguments |= dict(zip(names, (own or cases)[0].values, strict=True))
    if not judged:
        raise ValueError(f"{test.__name__} has a control for {claim!r}, which it does not judge")
    return arguments


def controls_of(test: Any) -> Iterator[Control]:
    """One control for each of its markers, or more if claims belong to different cases."""
    for mark in marks_of(test):
        if mark.name == "control":
            formula, wrong = mark.kwargs["replace"], mark.kwargs["by"]
            by_case: dict[tuple[int, ...], list[str]] = {}
            for claim in mark.args:
                case = tuple(id(value) for value in case_of(test, claim).values())
                by_case.setdefault(case, []).append(claim)
            for claims in by_case.values():
                yield Control(test, case_of(test, claims[0]), formula, wrong, tuple(claims))


CONTROLS = [control for test in every_test() for control in controls_of(test)]


def owner_and_name(control: Control) -> tuple[Any, str]:
    """Where the formula is looked up."""
    place, _, name = control.formula.rpartition(".")
    if control.formula.partition(".")[0] not in PACKAGES:
        place = f"{control.test.__module__}.{place}".rstrip(".")
    return pkgutil.resolve_name(place), name


class Rejected(BaseException):
    """A test failed; no ``Exception``, so that Hypothesis looks for no smaller example."""


def stopping(test: Formula) -> Formula:
    """The same test, which ends at its first failure."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            test(*args, **kwargs)
        except (AssertionError, ValueError, pytest.fail.Exception) as error:
            raise Rejected from error

    return run


@pytest.mark.parametrize(
    "control",
    [
        pytest.param(control, id=f"{', '.join(control.claims)} by {control.wrong.__name__}")
        for control in CONTROLS
    ],
)
def test_the_judge_of_a_claim_rejects_a_wrong_formula(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = owner_and_name(control)
    monkeypatch.setattr(owner, name, control.wrong(getattr(owner, name)))
    judge = control.test
    if hasattr(judge, "hypothesis"):
        monkeypatch.setattr(judge.hypothesis, "inner_test", stopping(judge.hypothesis.inner_test))
    else:
        judge = stopping(judge)
    with pytest.raises(Rejected):
        judge(**control.arguments)


def test_a_control_for_a_claim_that_its_test_does_not_judge_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has a control for 'Eq\. 1', which it does not judge"):
        case_of(test_every_identity_and_every_proof_has_a_control, "Eq. 1")


def test_every_identity_and_every_proof_has_a_control() -> None:
    controlled = {claim for control in CONTROLS for claim in control.claims}
    wanted = {c.id for c in load_claims(CLAIMS).values() if c.evidence in ("identity", "certified")}
    assert wanted - controlled == set()
