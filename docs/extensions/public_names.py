"""``.. public-names:: sparsity_theory.mean_field``: the public names of a room, file by file.

Every file that defines one gets a heading, its docstring and these names, under which users import
them. Files that are documented whole are shown with all that other files use.
"""

from __future__ import annotations

import inspect
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from documented import files, has_entry, public_names, public_names_of, value


class PublicNames(SphinxDirective):
    """See above; its argument is a package or a file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Sections that autodoc fills."""
        parts = [section(file) for file in files(self.arguments[0])]
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


def section(file: ModuleType) -> str:
    """The reStructuredText of a file; nothing where users need nothing of it."""
    public = public_names_of(file)
    if not public and not has_entry(file):
        return ""
    title = f"``{file.__name__.partition('.')[2]}``"
    lines = [title, "-" * len(title), "", f".. automodule:: {file.__name__}"]
    if has_entry(file):
        lines.append("   :members:")
    for name in public:
        kind = "class" if inspect.isclass(value(name)) else "function"
        lines += ["", f".. auto{kind}:: {name}"]
        if kind == "class":
            lines.append("   :members:")
    return "\n".join([*lines, "", ""])


def report_missing(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that no page has."""
    entries = {name for name, *_ in env.get_domain("py").get_objects()}
    for name in sorted(set(public_names()) - entries):
        logging.getLogger(__name__).warning("no page of the reference has %s", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and the check."""
    app.add_directive("public-names", PublicNames)
    app.connect("env-check-consistency", report_missing)
    return {"parallel_read_safe": True}
