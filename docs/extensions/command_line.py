"""``{commands}``: every command of ``sparsity-theory`` with its options, as ``--help`` has them."""

from __future__ import annotations

import re

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.cli import get_docs_for_click

from torch_models.commands.app import COMMANDS
from torch_models.commands.lazy import load

OPTION = re.compile(r"(?<![`\w-])--[a-z][a-z-]*")
"""The name of an option within a sentence."""


class Commands(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        """Its help, which is Markdown."""
        parts = [
            get_docs_for_click(
                obj=command, ctx=typer.Context(command), name=name, call_prefix="sparsity-theory"
            )
            for name, command in zip(COMMANDS, map(load, COMMANDS), strict=True)
        ]
        text = OPTION.sub(r"`\g<0>`", "\n\n".join(parts))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
