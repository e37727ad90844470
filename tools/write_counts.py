"""Write the counts of the ledger into README.md, or check those that stand there.

Run: ``pytest --ledger=ledger.json``, then ``python tools/write_counts.py ledger.json`` (``--check``
to compare only).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from marks import between

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- counts: python tools/write_counts.py ledger.json -->", "<!-- end of counts -->"
EVIDENCE = ("certified", "identity", "statistical", "trained", "misprint")


def counts(ledger: dict[str, Any]) -> str:
    """A table of verified claims by evidence, and what is not verified.

    Raises:
        SystemExit: for the ledger of a partial run, whose counts say nothing.
    """
    if not ledger["run"]["complete"]:
        raise SystemExit("error: a partial run's ledger; run pytest without -k, -m or files")
    claims = ledger["claims"]
    sources = Counter(claim["source"] for claim in claims)
    verified = Counter(claim["evidence"] for claim in claims if claim["verdict"] == "verified")
    others = Counter(claim["verdict"] for claim in claims if claim["verdict"] != "verified")
    rows = [f"| {kind} | {verified[kind]} |" for kind in EVIDENCE if verified[kind]]
    rest = "".join(f", {number} {verdict}" for verdict, number in sorted(others.items()))
    total = (
        f"{sources['paper']} claims of the paper, {sources['library']} of this library: "
        f"{sum(verified.values())} verified{rest}."
    )
    return "\n".join([total, "", "| evidence | verified |", "| --- | ---: |", *rows])


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ledger", type=Path, help="written by pytest --ledger=FILE.json")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    chosen = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    ledger = json.loads(chosen.ledger.read_text(encoding="utf-8"))
    wanted = between(text, BEGIN, END, counts(ledger))
    if chosen.check:
        if text != wanted:
            print(f"error: the counts in README.md should be:\n{counts(ledger)}", file=sys.stderr)
        return int(text != wanted)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
