"""The claims of the paper, and how the outcomes of tests decide them. No pytest in here."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

JUDGES = ("certified", "identity", "statistical", "trained", "misprint")
"""Strongest first; ``misprint`` stands apart: it needs a refutation and a verification."""

VERDICTS = ("refuted", "open", "skipped", "not run", "verified")
"""In the order in which a reader wants to see them."""

HALVES = ("printed", "meant")
"""A misprint is verified when what is printed is refuted and what is meant is verified."""


class ClaimError(ValueError):
    """A claims file or a claim marker that makes no sense; the message says what to change."""


@dataclass(frozen=True)
class Claim:
    """One statement of the paper; ``judge`` is the strongest one that it admits."""

    id: str
    statement: str
    domain: str
    judge: str


@dataclass(frozen=True)
class Link:
    """The test ``nodeid`` judges the claim ``claim`` (one half of it if it is a misprint)."""

    nodeid: str
    claim: str
    judge: str
    half: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a test: ``passed``, ``failed`` or ``skipped``, and why, or on what grounds."""

    status: str
    reason: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    claim: Claim
    verdict: str
    judge: str
    reason: str
    tests: tuple[tuple[Link, str], ...]


def load_claims(path: Path) -> dict[str, Claim]:
    """Read a claims file; raises ``ClaimError`` on a repeated id or a missing or unknown field."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("claim", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ClaimError(f"cannot read the claims file {path}: {error}") from error
    claims: dict[str, Claim] = {}
    for number, table in enumerate(tables, start=1):
        name = table.get("id", f"number {number}")
        if set(table) != {"id", "statement", "domain", "judge"}:
            raise ClaimError(
                f"{path}: claim {name!r} must have id, statement, domain and judge, "
                f"and has {', '.join(sorted(table)) or 'nothing'}"
            )
        if table["judge"] not in JUDGES:
            raise ClaimError(
                f"{path}: claim {name!r} has the judge {table['judge']!r}; "
                f"allowed are {', '.join(JUDGES)}"
            )
        if name in claims:
            raise ClaimError(f"{path}: two claims have the id {name!r}")
        claims[name] = Claim(**table)
    return claims


def find(claims: Mapping[str, Claim], name: str) -> Claim:
    """The claim with this id, in any case, with its points and spaces or without.

    Raises:
        ClaimError: if there is none; the message names the nearest ids.
    """
    alike = {_plain(known): known for known in claims}
    if _plain(name) not in alike:
        raise ClaimError(_unknown(name, claims))
    return claims[alike[_plain(name)]]


def _plain(name: str) -> str:
    """An id without what a reader may write otherwise: case, points and spaces."""
    return re.sub(r"[.\s]", "", name).casefold()


def link(
    claims: Mapping[str, Claim],
    nodeid: str,
    ids: Iterable[str],
    judge: str | None = None,
    half: str | None = None,
) -> list[Link]:
    """Links of one marker. A test that names no judge is of the kind its claim asks for.

    The one exception: a proof must say that it is one, so a claim that admits ``certified`` is
    judged by ``identity`` unless the marker says ``judge="certified"``.
    """
    ids = tuple(ids)
    if not ids:
        raise ClaimError('name at least one claim: @pytest.mark.claim("Eq. 17")')
    unknown = [name for name in ids if name not in claims]
    if unknown:
        raise ClaimError("\n".join(_unknown(name, claims) for name in unknown))
    if judge is not None and judge not in JUDGES[:-1]:
        raise ClaimError(f"judge={judge!r}; allowed are {', '.join(JUDGES[:-1])}")
    misprints = [name for name in ids if claims[name].judge == "misprint"]
    halves = HALVES if half == "both" else (half,)
    if misprints and not set(halves) <= set(HALVES):
        raise ClaimError(
            f'{misprints[0]!r} is a misprint: say half="printed" (the test refutes what is '
            f'printed), half="meant" (it verifies what is meant) or half="both", not {half!r}'
        )
    if half is not None and not misprints:
        raise ClaimError(f"half={half!r} is for misprints; none of {', '.join(ids)} is one")
    links: list[Link] = []
    for name in ids:
        if name in misprints:
            links += [Link(nodeid, name, "misprint", part) for part in halves]
        else:
            admitted = claims[name].judge
            default = "identity" if admitted == "certified" else admitted
            links.append(Link(nodeid, name, judge or default))
    return links


def _unknown(name: str, claims: Mapping[str, Claim]) -> str:
    near = difflib.get_close_matches(str(name), claims, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "no id is near it"
    return f"no claim has the id {name!r}; {hint}"


def decide(
    claims: Mapping[str, Claim],
    links: Iterable[Link],
    outcomes: Mapping[str, Outcome],
    complete: bool,
) -> list[Entry]:
    """One entry a claim, in the order of the claims file.

    ``complete`` says that the whole suite was collected, and that all of it ran that runs by
    default. Only then is a claim without a test ``open``, and only then is one verified although
    further tests of it were left out; otherwise they may merely not have been looked at.
    """
    by_claim: dict[str, list[Link]] = {name: [] for name in claims}
    for each in links:
        by_claim[each.claim].append(each)
    return [_entry(claim, by_claim[name], outcomes, complete) for name, claim in claims.items()]


def _entry(
    claim: Claim, links: list[Link], outcomes: Mapping[str, Outcome], complete: bool
) -> Entry:
    tests = tuple(
        (each, outcomes[each.nodeid].status if each.nodeid in outcomes else "not run")
        for each in links
    )
    passed = [each for each, status in tests if status == "passed"]
    ran = [each for each in links if each.nodeid in outcomes]

    def entry(verdict: str, reason: str = "") -> Entry:
        strongest_first = sorted((each.judge for each in passed), key=JUDGES.index)
        judge = strongest_first[0] if verdict == "verified" else claim.judge
        return Entry(claim, verdict, judge, reason, tests)

    for each in ran:
        if outcomes[each.nodeid].status == "failed":
            return entry("refuted", f"{each.nodeid}: {outcomes[each.nodeid].reason}")
    if not links:
        return entry("open", "no test") if complete else entry("not run")
    missing = len(links) - len(ran)
    if missing and not (complete and passed):
        return entry("not run", f"{missing} of {len(links)} tests did not run")
    if claim.judge == "misprint":
        tested = {each.half for each in links}
        for half in HALVES:
            if half not in tested:
                reason = f'the half "{half}" has no test'
                return entry("open", reason) if complete else entry("not run", reason)
        passed_halves = {each.half for each in passed}
        if not passed_halves >= set(HALVES):
            return entry("not run" if missing else "skipped", _first_reason(ran, outcomes))
    if not passed:
        return entry("skipped", _first_reason(ran, outcomes))
    notes = dict.fromkeys(outcomes[each.nodeid].reason for each in passed)
    return entry("verified", "; ".join(note for note in notes if note))


def _first_reason(links: list[Link], outcomes: Mapping[str, Outcome]) -> str:
    reasons = (outcomes[each.nodeid].reason for each in links)
    return next((reason for reason in reasons if reason), "no reason given")
