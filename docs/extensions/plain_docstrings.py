"""Docstrings are plain text with a little markup: here their formulas are kept from being more.

``|x|`` is an absolute value and no substitution, ``x*`` a symbol and no emphasis. And what stands
in single backticks links to the entry of that name, wherever it is, or is shown as code where the
name is private.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

from documented import known_names

CODE = re.compile(r"(``.*?``|`.*?`)")


def escape(app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Escape bars and stars that are not within code, as autodoc asks for a docstring."""
    lines[:] = escaped(lines)
    if kind in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # else napoleon takes the words before a colon for a type


def escaped(lines: list[str]) -> Iterator[str]:
    """The lines; those of indented blocks after ``::`` are code."""
    block: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        if block is None:
            pieces = CODE.split(line)
            pieces[::2] = [re.sub(r"[|*]", r"\\\g<0>", piece) for piece in pieces[::2]]
            yield "".join(pieces)
            block = indent if line.rstrip().endswith("::") else None
        else:
            yield line


def find(
    app: Sphinx, env: BuildEnvironment, link: pending_xref, shown: nodes.Element
) -> nodes.Element | None:
    """The entry whose full name ends in what the link says, or the plain name of what has none."""
    if link.get("refdomain") != "py":
        return None
    objects = env.get_domain("py").objects  # type: ignore[attr-defined]
    ending = f".{link['reftarget'].removeprefix('st.')}"
    package = f"{link.get('py:module', '')}".partition(".")[0]
    near = sorted(
        (name for name in objects if name.endswith(ending)),
        key=lambda name: (not name.startswith(package), len(name)),
    )
    if not near:
        return shown if any(f".{name}".endswith(ending) for name in known_names()) else None
    entry = objects[near[0]]
    assert app.builder is not None
    return make_refnode(app.builder, link["refdoc"], entry.docname, entry.node_id, shown, near[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Both, the first before napoleon reads the docstring."""
    app.connect("autodoc-process-docstring", escape, priority=400)
    app.connect("missing-reference", find)
    return {"parallel_read_safe": True}
