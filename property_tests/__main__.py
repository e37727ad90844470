"""``python -m property_tests [CLAIM]``: what is claimed, and where each claim is tested."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from property_tests.ledger.claims import Claim, ClaimError, Link, find, load_claims
from torch_models.commands.errors import FAILED, fail

SUITE = Path(__file__).parent


def claims(
    name: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One claim, such as 'Eq. 17'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """List the claims with their evidence, or one of them with the tests that judge it.

    Nothing is run: ``pytest`` gives the verdicts.
    """
    every = load_claims(SUITE / "claims.toml")
    try:
        chosen = list(every.values()) if name is None else [find(every, name)]
    except ClaimError as error:
        fail(str(error))
    links = collected_links()
    tests = {claim.id: [link for link in links if link.claim == claim.id] for claim in chosen}
    if as_json:
        typer.echo(json.dumps([_record(c, tests[c.id]) for c in chosen], indent=1))
    elif name is None:
        _print_all(chosen, tests, Console(highlight=False))
    else:
        _print_one(chosen[0], tests[chosen[0].id], Console(highlight=False))


def collected_links() -> list[Link]:
    """Every test of the suite with the claim it judges, found by collecting without running."""
    import pytest

    found = _Collected()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        options = ["--collect-only", "-q", "-p", "no:cacheprovider", "-m", "", "--assert=plain"]
        place = ["--rootdir", str(SUITE.parent), "-c", str(SUITE.parent / "pyproject.toml")]
        code = pytest.main([*options, *place, str(SUITE)], plugins=[found])
    if code != pytest.ExitCode.OK:
        fail(f"the tests could not be collected: {printed.getvalue()}", FAILED)
    return found.links


class _Collected:
    """A plugin that takes over what the ledger has learnt from the markers."""

    def __init__(self) -> None:
        self.links: list[Link] = []

    def pytest_collection_finish(self, session: Any) -> None:
        """Called once, when every test is known."""
        ledger = session.config.pluginmanager.get_plugin("ledger-of-claims")
        self.links = [link for links in ledger.links.values() for link in links]


def _functions(links: Sequence[Link]) -> dict[str, list[Link]]:
    """The links of every test function, its parameters left out."""
    functions: dict[str, list[Link]] = {}
    for link in links:
        functions.setdefault(re.sub(r"\[.*", "", link.nodeid), []).append(link)
    return functions


def _record(claim: Claim, links: Sequence[Link]) -> dict[str, Any]:
    return {
        "id": claim.id,
        "source": claim.source,
        "statement": claim.statement,
        "domain": claim.domain,
        "evidence": claim.evidence,
        "tests": [
            {"test": test, "evidence": sorted({link.evidence for link in own}), "cases": len(own)}
            for test, own in _functions(links).items()
        ],
    }


def _print_all(
    chosen: Sequence[Claim], tests: Mapping[str, Sequence[Link]], console: Console
) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("claim", "source", "evidence", "tests", "statement"):
        table.add_column(column, justify="right" if column == "tests" else "left")
    for claim in chosen:
        number = len(_functions(tests[claim.id]))
        row = (claim.id, claim.source, claim.evidence, str(number), escape(claim.statement))
        table.add_row(*row)
    console.print(table)
    kinds = Counter(claim.evidence for claim in chosen)
    untested = sum(not tests[claim.id] for claim in chosen)
    by_kind = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    console.print(f"\n{len(chosen)} claims admit: {by_kind}. {untested} have no test.")


def _print_one(claim: Claim, links: Sequence[Link], console: Console) -> None:
    console.print(f"{claim.id}: {claim.statement}", soft_wrap=True, markup=False)
    console.print(f"domain: {claim.domain}", soft_wrap=True, markup=False)
    console.print(f"source: {claim.source}")
    console.print(f"strongest evidence that it admits: {claim.evidence}")
    if not links:
        console.print("no test judges it yet")
    for test, own in _functions(links).items():
        kinds = sorted({f"{each.evidence} {each.reading or ''}".strip() for each in own})
        cases = f", {len(own)} cases" if len(own) > 1 else ""
        console.print(f"  {test}  ({', '.join(kinds)}{cases})", soft_wrap=True, markup=False)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(claims)
    app(prog_name="python -m property_tests")
