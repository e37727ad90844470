"""Settings of the documentation; CONTRIBUTING.md says how it is built.

Nothing is fetched when it is built or read: formulas are set by the MathJax that a package brings.
"""

import os
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "extensions")]

os.environ.setdefault("MPLBACKEND", "agg")  # pages that draw need no screen

mathjax_package = find_spec("sphinx-mathjax-offline")
if mathjax_package is None or mathjax_package.origin is None:
    raise SystemExit("error: sphinx-mathjax-offline is missing: pip install '.[docs]'")

project = "sparsity-theory"
author = "The sparsity-theory contributors"
project_copyright = author
pyproject = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
release = pyproject["project"]["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "command_line",
    "executed",
    "ledger_page",
    "outside_links",
    "paper_equations",
    "plain_docstrings",
    "public_names",
]
exclude_patterns = ["extensions"]
default_role = "py:obj"
highlight_language = "none"
smartquotes_action = "D"  # dashes alone: V' stays what it is

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {
    name: name for name in ("Array", "ArrayLike", "FloatLike", "Kinks", "Parameter", "Positions")
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 80
nitpick_ignore_regex = [  # other projects, whose inventories would have to be fetched
    (r"py:.*", r"(collections|pathlib|numpy|np|torch|nn|hypothesis|flint)\..*"),
    (r"py:class", r"TypeAliasForwardRef"),  # what Sphinx itself writes for autodoc_type_aliases
]
suppress_warnings = ["toc.not_readable"]  # a page of the contents may be missing

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = [
    "_static",
    str(Path(mathjax_package.origin).parent / "static" / "mathjax" / "tex-svg.js"),
]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
mathjax_path = "tex-svg.js"
