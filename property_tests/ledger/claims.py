"""The claims, and how the outcomes of tests decide them. No pytest in here."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

EVIDENCE = ("certified", "identity", "statistical", "trained", "misprint")
"""Strongest first; ``misprint`` stands apart: it needs a refutation and a verification."""

REDUCED = "verified at reduced size"
"""The verdict on a claim whose tests passed on smaller networks than those that it speaks of."""

VERDICTS = ("refuted", "partly", "open", "skipped", "not run", REDUCED, "verified")
"""In the order in which a reader wants to see them."""

HOLDING = ("verified", REDUCED, "partly")
"""Verdicts on claims whose tests passed."""

READINGS = ("printed", "corrected")
"""A misprint is verified when what is printed is refuted and the corrected reading is verified."""

SOURCES = ("paper", "library")
"""Who claims it: the paper, or this library beyond it."""


class ClaimError(ValueError):
    """A claims file or a claim marker that makes no sense; the message says what to change."""


@dataclass(frozen=True)
class Claim:
    """One statement; ``evidence`` is the strongest kind that it admits, ``part`` its group."""

    id: str
    source: str
    statement: str
    domain: str
    evidence: str
    part: str = ""


@dataclass(frozen=True)
class Link:
    """The test ``nodeid`` judges the claim ``claim`` (one reading of it if it is a misprint)."""

    nodeid: str
    claim: str
    evidence: str
    reading: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a test: ``passed``, ``failed`` or ``skipped``, and why, or on what grounds.

    A passed test may name the ``reduced`` size of the networks that it saw, and what it saw
    ``otherwise`` than claimed.
    """

    status: str
    reason: str = ""
    reduced: str = ""
    otherwise: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    claim: Claim
    verdict: str
    evidence: str
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
        if {*table, "part"} != {field.name for field in fields(Claim)}:
            raise ClaimError(
                f"{path}: claim {name!r} must have id, source, statement, domain and evidence, "
                f"may have part, and has {', '.join(sorted(table)) or 'nothing'}"
            )
        for field, allowed in (("source", SOURCES), ("evidence", EVIDENCE)):
            if table[field] not in allowed:
                raise ClaimError(
                    f"{path}: claim {name!r} has the {field} {table[field]!r}; "
                    f"allowed are {', '.join(allowed)}"
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
    evidence: str | None = None,
    reading: str | None = None,
) -> list[Link]:
    """Links of one marker. A test that names no evidence gives the kind that its claim asks for.

    The one exception: a proof must say that it is one, so for a claim that admits ``certified`` a
    test is an ``identity`` unless the marker says ``evidence="certified"``.
    """
    ids = tuple(ids)
    if not ids:
        raise ClaimError('name at least one claim: @pytest.mark.claim("Eq. 17")')
    unknown = [name for name in ids if name not in claims]
    if unknown:
        raise ClaimError("\n".join(_unknown(name, claims) for name in unknown))
    if evidence is not None and evidence not in EVIDENCE[:-1]:
        raise ClaimError(f"evidence={evidence!r}; allowed are {', '.join(EVIDENCE[:-1])}")
    misprints = [name for name in ids if claims[name].evidence == "misprint"]
    readings = READINGS if reading == "both" else (reading,)
    if misprints and not set(readings) <= set(READINGS):
        raise ClaimError(
            f'{misprints[0]!r} is a misprint: say reading="printed" (the test refutes what is '
            f'printed), reading="corrected" (it verifies what must be meant) or reading="both", '
            f"not {reading!r}"
        )
    if reading is not None and not misprints:
        raise ClaimError(f"reading={reading!r} is for misprints; none of {', '.join(ids)} is one")
    links: list[Link] = []
    for name in ids:
        if name in misprints:
            links += [Link(nodeid, name, "misprint", each) for each in readings]
        else:
            admitted = claims[name].evidence
            default = "identity" if admitted == "certified" else admitted
            links.append(Link(nodeid, name, evidence or default))
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
        strongest_first = sorted((each.evidence for each in passed), key=EVIDENCE.index)
        evidence = strongest_first[0] if verdict in HOLDING else claim.evidence
        return Entry(claim, verdict, evidence, reason, tests)

    for each in ran:
        if outcomes[each.nodeid].status == "failed":
            return entry("refuted", f"{each.nodeid}: {outcomes[each.nodeid].reason}")
    if not links:
        return entry("open", "no test") if complete else entry("not run")
    missing = len(links) - len(ran)
    if missing and not (complete and passed):
        return entry("not run", f"{missing} of {len(links)} tests did not run")
    if claim.evidence == "misprint":
        tested = {each.reading for each in links}
        for reading in READINGS:
            if reading not in tested:
                reason = f'the reading "{reading}" has no test'
                return entry("open", reason) if complete else entry("not run", reason)
        if not {each.reading for each in passed} >= set(READINGS):
            return entry("not run" if missing else "skipped", _first_reason(ran, outcomes))
    if not passed:
        return entry("skipped", _first_reason(ran, outcomes))
    grounds = [outcomes[each.nodeid] for each in passed]
    reduced = _joined(each.reduced for each in grounds)
    otherwise = _joined(each.otherwise for each in grounds)
    verdict = "partly" if otherwise else REDUCED if reduced else "verified"
    return entry(
        verdict,
        _joined(
            [
                *(each.reason for each in grounds),
                reduced and f"at {reduced}",
                otherwise and f"otherwise: {otherwise}",
            ]
        ),
    )


def _joined(notes: Iterable[str]) -> str:
    """The notes that say something, each once."""
    return "; ".join(dict.fromkeys(note for note in notes if note))


def _first_reason(links: list[Link], outcomes: Mapping[str, Outcome]) -> str:
    reasons = (outcomes[each.nodeid].reason for each in links)
    return next((reason for reason in reasons if reason), "no reason given")
