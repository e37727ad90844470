"""``.. ledger::``, the claims with their filters, and pages with the source of the tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from equation_table import LAST
from paper_equations import address_of_equation
from property_tests.ledger.claims import load_claims
from property_tests.ledger.formats import facts, headline
from property_tests.ledger.page import claims
from property_tests.ledger.plugin import CLAIMS
from torch_models.reports.page import anchors
from verdicts import PAGE, ROOT, written


class place(nodes.General, nodes.Element):  # noqa: N801, as docutils names nodes
    """Where the ledger goes once the addresses of all pages are known."""


class Ledger(SphinxDirective):
    """See above."""

    def run(self) -> list[nodes.Node]:
        """A place that is filled in later; claims may be linked as ``ledger.md#eq-13``."""
        labels = self.env.get_domain("std").anonlabels  # type: ignore[attr-defined]
        for anchor in anchors(load_claims(CLAIMS)).values():
            labels[f"claim-{anchor}"] = (self.env.docname, anchor)
        return [place()]


def fill(app: Sphinx, page: nodes.document, name: str) -> None:
    """Put the claims where the directive was."""
    for empty in list(page.findall(place)):
        ledger = written(app)
        told = " · ".join(f"{name}: {value}" for name, value in facts(ledger.run).items())
        empty.replace_self(
            [
                nodes.paragraph("", f"{headline(ledger.entries)}."),
                nodes.paragraph("", told, classes=["facts"]),
                nodes.raw("", claims(ledger.entries, addresses(app)), format="html"),
            ]
        )


def addresses(app: Sphinx) -> dict[str, str]:
    """Of formulas by claim, and of tests by name, seen from the page of the ledger."""
    found = {f"Eq. {n}": address_of_equation(app, PAGE, n) for n in range(1, LAST + 1)}
    for test in tests(app):
        file, _, function = test.partition("::")
        page = app.builder.get_relative_uri(PAGE, source_page(file))
        found[test] = f"{page}#line-{lines_of(file)[function.rpartition('::')[2]]}"
    return found


def tests(app: Sphinx) -> set[str]:
    """The names of all tests that judge a claim, without their parameters."""
    links = (link for entry in written(app).entries for link, _ in entry.tests)
    return {re.sub(r"\[.*", "", link.nodeid) for link in links}


@cache
def lines_of(file: str) -> dict[str, int]:
    """The line in which each function of a file begins, its decorators included."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {
        node.name: min([node.lineno, *(each.lineno for each in node.decorator_list)])
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }


def source_page(file: str) -> str:
    """The page with the source of a file."""
    return f"source/{file.removesuffix('.py')}"


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for every file with a test that judges a claim."""
    for file in sorted({test.partition("::")[0] for test in tests(app)}):
        text = (ROOT / file).read_text(encoding="utf-8")
        shown = app.builder.highlighter.highlight_block(text, "python", lineanchors="line")  # type: ignore[attr-defined]
        body = f"<h1>{file}</h1>\n{shown}"
        yield source_page(file), {"title": file, "body": body, "parents": []}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and the pages."""
    app.setup_extension("verdicts")
    app.add_directive("ledger", Ledger)
    app.connect("doctree-resolved", fill)
    app.connect("html-collect-pages", source_pages)
    return {"parallel_read_safe": True}
