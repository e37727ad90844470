"""The ledger as one HTML page that needs no network: claims by part, with filters and a search."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from property_tests.ledger.claims import EVIDENCE, HOLDING, REDUCED, VERDICTS, Entry
from torch_models.reports.page import anchors, choices, rendered

TONES = dict.fromkeys(VERDICTS, "unsure") | {
    "verified": "good",
    REDUCED: "good",
    "refuted": "bad",
    "not run": "",
}
"""How a verdict is coloured."""


def page(entries: Sequence[Entry], headline: str, facts: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        entries: every claim, those of a part together.
        headline: the counts in one sentence.
        facts: what the run was, by name.
    """
    content = _content(entries, {})
    return rendered("ledger.html", __package__, headline=headline, facts=facts, **content)


def claims(entries: Sequence[Entry], addresses: Mapping[str, str]) -> str:
    """The claims by part, with their filters: a part of a page.

    Args:
        entries: every claim, those of a part together.
        addresses: where to read more, by the id of a claim or the name of a test.
    """
    return rendered("claims.html", __package__, **_content(entries, addresses))


def _content(entries: Sequence[Entry], addresses: Mapping[str, str]) -> dict[str, Any]:
    """What the template of the claims needs."""
    parts = [entry.claim.part for entry in entries]
    return {
        "parts": [(part, list(own)) for part, own in groupby(entries, lambda e: e.claim.part)],
        "filters": {
            "part": choices(parts, parts),
            "evidence": choices((entry.evidence for entry in entries), EVIDENCE),
            "verdict": choices((entry.verdict for entry in entries), VERDICTS),
        },
        "anchors": anchors(entry.claim.id for entry in entries),
        "addresses": addresses,
        "holding": HOLDING,
        "tones": TONES,
        "outcomes": _outcomes,
    }


def _outcomes(entry: Entry) -> dict[str, Counter[str]]:
    """How the tests of a claim ended, cases of one function together."""
    found: dict[str, Counter[str]] = {}
    for link, status in entry.tests:
        found.setdefault(re.sub(r"\[.*", "", link.nodeid), Counter())[status] += 1
    return found
