"""Links to Markdown files of the repository outside of the documentation.

Pages are read as files too, so they link ``../results/table-2.md``. On the site that is the page of
``elsewhere/`` that includes the file.
"""

from __future__ import annotations

from pathlib import PurePath

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx


def point_elsewhere(app: Sphinx, page: nodes.document) -> None:
    """Change the targets of such links, which are full paths without their suffix."""
    for link in page.findall(pending_xref):
        path = PurePath(link["reftarget"])
        if link.get("refdomain") == "doc" and path.is_absolute():
            link["reftarget"] = f"elsewhere/{path.name.lower()}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Do so before links are resolved."""
    app.connect("doctree-read", point_elsewhere)
    return {"parallel_read_safe": True}
