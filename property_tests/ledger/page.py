"""The ledger as one HTML page that needs no network: claims by part, with filters and a search."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from property_tests.ledger.claims import EVIDENCE, HOLDING, VERDICTS, Entry

SHELL_STYLE = """
:root { color-scheme: light dark; --ink: #1d1f21; --paper: #fff; --quiet: #5b6168; --line: #d9dde1;
  --field: #f4f6f8; --verified: #176117; --refuted: #b00020; --open: #8a5a00; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e8; --paper: #16181a; --quiet: #a2a9b0;
  --line: #363b40; --field: #22262a; --verified: #7bd67b; --refuted: #ff8a95; --open: #f0b955;
  --link: #8ab8ff; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { margin: 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
.facts { color: var(--quiet); font-size: .875rem; margin: .25rem 0; }
"""

STYLE = """
.claims { overflow-wrap: anywhere; }
.claims .domain, .claims .reason, .claims .tests { color: var(--quiet); font-size: .875rem;
  margin: .25rem 0; }
.claims form { position: sticky; top: var(--top, 0); display: flex; flex-wrap: wrap; gap: .5rem;
  padding: .5rem 0; background: var(--paper); border-bottom: 1px solid var(--line); }
.claims form[hidden] { display: none; }
.claims select, .claims input { font: inherit; color: inherit; background: var(--field);
  padding: .25rem .5rem; border: 1px solid var(--line); border-radius: 4px; flex: 1 1 9rem;
  min-width: 0; }
.claims output { flex: 1 1 100%; color: var(--quiet); font-size: .875rem; }
.claims article { border-bottom: 1px solid var(--line); padding: .6rem 0; scroll-margin-top: 9rem; }
.claims article:target { background: var(--field); outline: .5rem solid var(--field); }
.claims header { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; }
.claims h3 { font-size: 1rem; margin: 0; flex: 1 1 auto; } .claims article p { margin: .25rem 0; }
.claims [class^=verified] b { color: var(--verified); }
.claims .refuted b { color: var(--refuted); }
.claims .open b, .claims .partly b, .claims .skipped b { color: var(--open); }
.claims .reason { white-space: pre-wrap; }
.claims ul { margin: .25rem 0; padding-left: 1.25rem; }
"""
"""Of the claims themselves, in colours that the page around them defines."""

SCRIPT = """
const form = document.querySelector(".claims form");
const claims = [...document.querySelectorAll(".claims article")];
function show() {
  const words = form.search.value.toLowerCase().split(/\\s+/);
  const chosen = ["part", "evidence", "verdict"].filter(name => form[name].value !== "");
  for (const claim of claims) {
    const text = claim.textContent.toLowerCase();
    claim.hidden = chosen.some(name => claim.dataset[name] !== form[name].value)
      || words.some(word => !text.includes(word));
  }
  for (const section of document.querySelectorAll(".claims section"))
    section.hidden = !section.querySelector("article:not([hidden])");
  const shown = claims.filter(claim => !claim.hidden).length;
  form.querySelector("output").textContent = `${shown} of ${claims.length} claims`;
}
form.hidden = false;
form.addEventListener("input", show);
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.hidden) { form.reset(); show(); target.scrollIntoView(); }
});
show();
"""


def page(entries: Sequence[Entry], headline: str, facts: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        entries: every claim, those of a part together.
        headline: the counts in one sentence.
        facts: what the run was, by name.
    """
    told = " · ".join(f"{_text(name)}: {_text(value)}" for name, value in facts.items())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Ledger of claims</title>\n<style>{SHELL_STYLE}</style>\n</head>\n<body>\n"
        f'<h1>Ledger of claims</h1>\n<p>{_text(headline)}.</p>\n<p class="facts">{told}</p>\n'
        f"{claims(entries)}\n</body>\n</html>\n"
    )


def claims(entries: Sequence[Entry], addresses: Mapping[str, str] | None = None) -> str:
    """The claims by part, with their filters: a part of a page.

    Args:
        entries: every claim, those of a part together.
        addresses: where to read more, by the id of a claim or the name of a test.
    """
    addresses = addresses or {}
    own_anchors = anchors(entry.claim.id for entry in entries)
    sections = "\n".join(
        _section(part, [_claim(entry, own_anchors[entry.claim.id], addresses) for entry in own])
        for part, own in groupby(entries, lambda entry: entry.claim.part)
    )
    return (
        f'<style>{STYLE}</style>\n<div class="claims">\n{_filters(entries)}\n{sections}\n</div>\n'
        f"<script>{SCRIPT}</script>"
    )


def _text(text: str) -> str:
    return html.escape(text)


def anchors(ids: Iterable[str]) -> dict[str, str]:
    """For each id a different name for links: ``eq-17`` for ``Eq. 17``."""
    found: dict[str, str] = {}
    for name in ids:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        taken = sum(other == plain or other.startswith(f"{plain}--") for other in found.values())
        found[name] = f"{plain}--{taken + 1}" if taken else plain
    return found


def _filters(entries: Sequence[Entry]) -> str:
    """A choice of part, evidence and verdict, and a field for words; shown if scripts run."""
    numbers = {
        "part": Counter(entry.claim.part for entry in entries),
        "evidence": Counter(entry.evidence for entry in entries),
        "verdict": Counter(entry.verdict for entry in entries),
    }
    orders = {"part": list(numbers["part"]), "evidence": EVIDENCE, "verdict": VERDICTS}
    choices = "".join(
        f'<select name="{name}" aria-label="{name}"><option value="">any {name}</option>'
        + "".join(
            f'<option value="{_text(value)}">{_text(value)} ({number[value]})</option>'
            for value in orders[name]
            if value and number[value]
        )
        + "</select>"
        for name, number in numbers.items()
    )
    search = '<input name="search" type="search" placeholder="search" aria-label="search">'
    return f'<form hidden autocomplete="off">{choices}{search}<output></output></form>'


def _section(part: str, claims: Sequence[str]) -> str:
    title = f"<h2>{_text(part)}</h2>\n" if part else ""
    return f"<section>\n{title}" + "\n".join(claims) + "\n</section>"


def _claim(entry: Entry, anchor: str, addresses: Mapping[str, str]) -> str:
    claim, evidence = entry.claim, entry.evidence
    data = {"part": claim.part, "evidence": evidence, "verdict": entry.verdict}
    chosen = " ".join(f'data-{name}="{_text(value)}"' for name, value in data.items())
    if entry.verdict in HOLDING and evidence != claim.evidence:
        evidence += f" (admits {claim.evidence})"
    by = "" if claim.source == "paper" else f" · claimed by this {claim.source}"
    if claim.id in addresses:
        by += f' · <a href="{_text(addresses[claim.id])}">formula and code</a>'
    reason = f'<p class="reason">{_text(entry.reason)}</p>\n' if entry.reason else ""
    return (
        f'<article id="{anchor}" class="{entry.verdict.replace(" ", "-")}" {chosen}>\n'
        f'<header><h3><a href="#{anchor}">{_text(claim.id)}</a></h3>'
        f"<span><b>{_text(entry.verdict)}</b> · {_text(evidence)}</span></header>\n"
        f'<p>{_text(claim.statement)}</p>\n<p class="domain">{_text(claim.domain)}{by}</p>\n'
        f"{reason}{_tests(entry, addresses)}</article>"
    )


def _tests(entry: Entry, addresses: Mapping[str, str]) -> str:
    """The tests of a claim, cases of one function together."""
    outcomes: dict[str, list[str]] = {}
    for link, status in entry.tests:
        outcomes.setdefault(re.sub(r"\[.*", "", link.nodeid), []).append(status)
    if not outcomes:
        return ""
    lines = "".join(
        f"<li>{_linked(test, addresses)}: "
        f"{', '.join(f'{n} {s}' for s, n in Counter(own).items())}</li>"
        for test, own in outcomes.items()
    )
    number = f"{len(outcomes)} test{'s' if len(outcomes) > 1 else ''}"
    return f'<details class="tests"><summary>{number}</summary><ul>{lines}</ul></details>\n'


def _linked(test: str, addresses: Mapping[str, str]) -> str:
    """The name of a test, a link where its address is known."""
    if test not in addresses:
        return _text(test)
    return f'<a href="{_text(addresses[test])}">{_text(test)}</a>'
