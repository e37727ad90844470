"""The ledger as text for a terminal, and as JSON, Markdown and HTML files."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from property_tests.ledger.claims import EVIDENCE, HOLDING, REDUCED, VERDICTS, Claim, Entry, Link
from property_tests.ledger.page import page


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """Number of claims with each verdict, every verdict listed."""
    seen = Counter(entry.verdict for entry in entries)
    return {verdict: seen[verdict] for verdict in VERDICTS}


def totals(entries: Iterable[Entry]) -> str:
    """``151 claims of the paper, 9 of this library``."""
    sources = Counter(entry.claim.source for entry in entries)
    own = f", {sources['library']} of this library" if sources["library"] else ""
    return f"{sources['paper']} claims of the paper{own}"


def headline(entries: Sequence[Entry]) -> str:
    """``151 claims of the paper, 9 of this library: 96 verified (96 identity), 64 open``."""
    kinds = Counter(entry.evidence for entry in entries if entry.verdict == "verified")
    by_kind = ", ".join(f"{kinds[kind]} {kind}" for kind in EVIDENCE if kinds[kind])
    number = counts(entries)
    parts = [f"{number['verified']} verified" + (f" ({by_kind})" if by_kind else "")]
    parts += [f"{number[v]} {v}" for v in VERDICTS if v != "verified" and number[v]]
    return f"{totals(entries)}: " + ", ".join(parts)


def short_list(ids: Iterable[str]) -> str:
    """Ids on one line, those of a kind together: ``Eqs. 7-10, 12; Table 1; Sec. 2 slope``."""
    numbered: dict[tuple[str, str], list[int]] = {}
    named: dict[str, list[str]] = {}
    for name in ids:
        match = re.fullmatch(r"(Misprint )?(Eq|Fig|Table)\.? (\d+)", name)
        if match:
            numbered.setdefault((match[1] or "", match[2]), []).append(int(match[3]))
            continue
        family, colon, rest = name.partition(": ")
        if colon:
            named.setdefault(family + colon, []).append(rest)
        else:
            named.setdefault("", []).append(name)
    groups = [
        f"{prefix}{word}{'s' if len(numbers) > 1 else ''}"
        f"{'' if word == 'Table' else '.'} {_runs(sorted(numbers))}"
        for (prefix, word), numbers in numbered.items()
    ]
    return "; ".join(
        groups
        + [family + ", ".join(names) for family, names in named.items() if family]
        + named.get("", [])
    )


def _runs(numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    pieces = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(pieces)


def terminal_lines(entries: Sequence[Entry], width: int) -> list[tuple[str, str]]:
    """``(verdict, line)`` pairs: what does not hold, or not wholly, claim by claim, then the rest.

    Claims that were not run are only named: they are many in a partial run, and say nothing.
    """
    lines: list[tuple[str, str]] = []
    for verdict in ("refuted", "partly", "open", "skipped"):
        chosen = [entry for entry in entries if entry.verdict == verdict]
        column = max((len(entry.claim.id) for entry in chosen), default=0)
        for entry in chosen:
            start = f"{verdict:<9}{entry.claim.id:<{column}}  "
            room = max(width - len(start) - 1, 20)
            lines.append((verdict, start + textwrap.shorten(entry.claim.statement, room)))
            if verdict != "open" or entry.reason != "no test":
                reason = entry.reason
                if verdict != "partly":  # what ends otherwise is never left out
                    reason = textwrap.shorten(reason, 3 * room, placeholder=" ...")
                lines += [(verdict, line) for line in _wrap(" " * len(start), reason, width)]
    rest = [entry for entry in entries if entry.verdict == "not run"]
    if rest:
        ids = short_list(entry.claim.id for entry in rest)
        lines += [("not run", line) for line in _wrap("not run  ", ids, width)]
    for verdict in ("verified", REDUCED):
        holding = [entry for entry in entries if entry.verdict == verdict]
        for kind in EVIDENCE:
            ids = short_list(entry.claim.id for entry in holding if entry.evidence == kind)
            if ids:
                wrapped = _wrap(f"{verdict:<8} {kind}: ", ids, width, hang=11)
                lines += [(verdict, line) for line in wrapped]
        for entry in holding:
            if entry.reason:
                wrapped = _wrap(f"{'':<9}{entry.claim.id}: ", entry.reason, width)
                lines += [(verdict, line) for line in wrapped]
    return lines


def _wrap(start: str, text: str, width: int, hang: int | None = None) -> list[str]:
    indent = " " * (len(start) if hang is None else hang)
    return textwrap.wrap(
        text,
        max(width - 1, 40),
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_json(entries: Sequence[Entry], run: dict[str, Any]) -> str:
    """Everything the ledger knows, one object a claim."""
    document = {
        "run": run,
        "counts": counts(entries),
        "claims": [
            {
                "id": entry.claim.id,
                "part": entry.claim.part,
                "source": entry.claim.source,
                "statement": entry.claim.statement,
                "domain": entry.claim.domain,
                "admits": entry.claim.evidence,
                "evidence": entry.evidence if entry.verdict in HOLDING else None,
                "verdict": entry.verdict,
                "reason": entry.reason,
                "tests": [
                    {
                        "test": link.nodeid,
                        "evidence": link.evidence,
                        "reading": link.reading,
                        "outcome": status,
                    }
                    for link, status in entry.tests
                ],
            }
            for entry in entries
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class WrittenLedger:
    """A ledger as a run has left it: what it knew of every claim, and what the run was."""

    entries: tuple[Entry, ...]
    run: dict[str, Any]


def read_json(path: Path) -> WrittenLedger:
    """What `as_json` has written.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no ledger.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        entries = tuple(_read(claim) for claim in document["claims"])
        return WrittenLedger(entries, document["run"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no ledger, as pytest --ledger=FILE.json writes it") from error


def _read(claim: dict[str, Any]) -> Entry:
    return Entry(
        claim=Claim(
            claim["id"],
            claim["source"],
            claim["statement"],
            claim["domain"],
            claim["admits"],
            claim["part"],
        ),
        verdict=claim["verdict"],
        evidence=claim["evidence"] or claim["admits"],
        reason=claim["reason"],
        tests=tuple(
            (
                Link(test["test"], claim["id"], test["evidence"], test["reading"]),
                test["outcome"],
            )
            for test in claim["tests"]
        ),
    )


def facts(run: dict[str, Any]) -> dict[str, str]:
    """What a reader should know of the run, in words."""
    tests = "all that run by default" if run["complete"] else "a part of the suite"
    return {"tests": tests} | {name: str(run[name]) for name in run if name != "complete"}


_COLUMNS = ("claim", "source", "statement", "domain", "evidence", "verdict", "tested in")


def _row(entry: Entry) -> tuple[str, ...]:
    evidence = entry.evidence
    if entry.verdict in HOLDING and evidence != entry.claim.evidence:
        evidence += f" (admits {entry.claim.evidence})"
    verdict = entry.verdict + (f": {entry.reason}" if entry.reason else "")
    tests = sorted({re.sub(r"\[.*", "", link.nodeid) for link, _ in entry.tests})
    return (
        entry.claim.id,
        entry.claim.source,
        entry.claim.statement,
        entry.claim.domain,
        evidence,
        verdict,
        ", ".join(tests),
    )


def as_markdown(entries: Sequence[Entry], run: dict[str, Any]) -> str:
    """One table, with the counts above it."""

    def line(cells: Iterable[str]) -> str:
        escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
        return "| " + " | ".join(escaped) + " |"

    note = ", ".join(f"{name}: {value}" for name, value in facts(run).items())
    rows = [line(_COLUMNS), line("---" for _ in _COLUMNS)] + [line(_row(e)) for e in entries]
    return f"# Ledger\n\n{headline(entries)}.\n\n{note}.\n\n" + "\n".join(rows) + "\n"


def as_html(entries: Sequence[Entry], run: dict[str, Any]) -> str:
    """A page of its own, to read and to search."""
    return page(entries, headline(entries), facts(run))


FORMATS: dict[str, Callable[[Sequence[Entry], dict[str, Any]], str]] = {
    ".json": as_json,
    ".md": as_markdown,
    ".html": as_html,
}
"""File suffix to writer."""
