"""The paper's equations: below each one its code and its verdict, and links to it from everywhere.

An equation is a formula of ``mathematics.md`` with the tag 13. Its code is what the table in
``sparsity_theory/__init__.py`` and the docstrings say, its verdict that of the ledger. Wherever
else a page or a docstring says "Eq. 13", the number is a link to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from documented import entries_of_equations
from equation_table import LAST, MENTION, files_of_equations
from verdicts import address_of_claim, written

PAGE = "mathematics"
TAG = re.compile(r"\\tag\{(\d+)\}")
UNLINKED = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.math_block)
"""What text is left as it is in."""


def address_of_equation(app: Sphinx, page: str, number: str | int) -> str:
    """Where an equation is, seen from a page."""
    return f"{app.builder.get_relative_uri(page, PAGE)}#eq-{number}"


def number_equations(app: Sphinx, page: nodes.document) -> None:
    """Give every formula with a tag an anchor; each equation must be there, in order."""
    if app.env.docname != PAGE:
        return
    found = []
    for formula in page.findall(nodes.math_block):
        tag = TAG.search(formula.astext())
        if tag:
            found.append(int(tag[1]))
            formula["ids"].append(f"eq-{tag[1]}")
            formula["no-wrap"] = True  # Sphinx would wrap it in what allows no tag
            formula[:] = [nodes.Text(rf"\[{formula.astext()}\]")]
    if found != list(range(1, LAST + 1)):
        logging.getLogger(__name__).warning("equations are missing or out of order: %s", found)


def say_code_and_verdict(app: Sphinx, page: nodes.document, name: str) -> None:
    """Below every equation, say where it is computed and how it is judged."""
    if name != PAGE:
        return
    for formula in list(page.findall(nodes.math_block)):
        if formula["ids"]:
            number = int(formula["ids"][0].removeprefix("eq-"))
            formula.parent.insert(formula.parent.index(formula) + 1, judged(app, number))


def judged(app: Sphinx, number: int) -> nodes.paragraph:
    """``MeanField.variance_slope · mean_field.maps · verified (identity)``, each part a link."""
    line = nodes.paragraph(classes=["judged"])
    for each in separated([*code(app, number), *verdicts(app, number)]):
        line += each
    return line


def code(app: Sphinx, number: int) -> list[nodes.Node]:
    """Links to the entries and files of an equation."""
    domain = app.env.get_domain("py")
    found: list[nodes.Node] = []
    for name in entries_of_equations()[number]:
        entry = domain.objects[name]  # type: ignore[attr-defined]
        shown = name.removeprefix("sparsity_theory.")
        found.append(link(app, entry.docname, entry.node_id, nodes.literal("", shown)))
    for name in files_of_equations()[number]:
        file = domain.modules[name]  # type: ignore[attr-defined]
        shown = name.partition(".")[2].replace(".", "/")
        found.append(link(app, file.docname, file.node_id, nodes.inline("", shown)))
    return found


def link(app: Sphinx, page: str, anchor: str, shown: nodes.Node) -> nodes.reference:
    """A link from the page of equations."""
    address = f"{app.builder.get_relative_uri(PAGE, page)}#{anchor}"
    return nodes.reference("", "", shown, internal=True, refuri=address)


def verdicts(app: Sphinx, number: int) -> list[nodes.Node]:
    """Links to the ledger: of the equation, and of its misprints."""
    found = []
    for entry in written(app).entries:
        name = entry.claim.id
        if name == f"Eq. {number}":
            shown = f"{entry.verdict} ({entry.evidence})"
        elif re.fullmatch(rf"Misprint Eq\. {number}( .*)?", name):
            shown = "misprinted"
        else:
            continue
        address = address_of_claim(app, PAGE, name)
        found.append(nodes.reference("", shown, internal=True, refuri=address))
    return found


def separated(parts: Iterable[nodes.Node]) -> Iterable[nodes.Node]:
    """The parts with a point between each two."""
    for place, part in enumerate(parts):
        if place:
            yield nodes.Text(" · ")
        yield part


def link_mentions(app: Sphinx, page: nodes.document, name: str) -> None:
    """Make the numbers of equations links."""
    for text in list(page.findall(nodes.Text)):
        if MENTION.search(text) and not is_within(text, UNLINKED):
            text.parent.replace(text, list(linked(app, text, name)))


def is_within(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    """Whether the node, or what it is part of, is of one of the kinds."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def linked(app: Sphinx, text: str, page: str) -> Iterable[nodes.Node]:
    """The pieces of a text, numbers of equations as links."""
    end = 0
    for mention in MENTION.finditer(text):
        for number in re.finditer(r"\d+", mention[0]):
            start = mention.start() + number.start()
            yield nodes.Text(text[end:start])
            address = address_of_equation(app, page, number[0])
            yield nodes.reference("", number[0], internal=True, refuri=address)
            end = start + len(number[0])
    yield nodes.Text(text[end:])


def setup(app: Sphinx) -> dict[str, bool]:
    """Links need the addresses of all pages."""
    app.setup_extension("verdicts")
    app.connect("doctree-read", number_equations)
    app.connect("doctree-resolved", say_code_and_verdict)
    app.connect("doctree-resolved", link_mentions)
    return {"parallel_read_safe": True}
