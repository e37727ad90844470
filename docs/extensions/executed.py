"""Python blocks of a page run in order when it is built, and what they print is shown below them.

A block whose page says before it, in a comment, ``<!-- not executed: REASON -->`` does not run. An
exception is a warning, which fails the build.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import traceback
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

MARK = "<!-- not executed: "


def run_blocks(app: Sphinx, page: nodes.document) -> None:
    """Run the blocks of a page, but for docstrings and what only includes another file."""
    if app.env.docname.startswith(("api/", "elsewhere/")):
        return
    names: dict[str, Any] = {}
    for block in list(page.findall(nodes.literal_block)):
        if block.get("language") == "python" and not is_marked(block):
            printed = run(block, names)
            if printed:
                shown = nodes.literal_block(printed, printed, language="none", classes=["output"])
                block.parent.insert(block.parent.index(block) + 1, shown)


def is_marked(block: nodes.literal_block) -> bool:
    """Whether the comment before it says that it does not run."""
    before = block.parent.children[: block.parent.index(block)]
    return bool(before) and before[-1].astext().startswith(MARK)


def run(block: nodes.literal_block, names: dict[str, Any]) -> str:
    """What a block prints; ``names`` are those of the page."""
    with (
        tempfile.TemporaryDirectory() as folder,  # for the files that it writes
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        try:
            exec(compile(block.astext(), "<block>", "exec"), names)
        except Exception:
            logging.getLogger(__name__).warning(traceback.format_exc(), location=block)
    return printed.getvalue().rstrip()


def setup(app: Sphinx) -> dict[str, bool]:
    """Run them once a page is read."""
    app.connect("doctree-read", run_blocks)
    return {"parallel_read_safe": True}
