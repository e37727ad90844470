"""The ledger that the site shows: of the run that the setting ``ledger`` names, or of none.

``-D ledger=FILE`` names what ``pytest --ledger=FILE`` has written. Without it the tests are only
collected: the ledger then says which tests judge a claim, and of every verdict *not run*.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ConfigError

from property_tests.ledger.formats import WrittenLedger, read_json
from torch_models.reports.page import anchors

ROOT = Path(__file__).parents[2]
PAGE = "ledger"


def written(app: Sphinx) -> WrittenLedger:
    """The ledger of this build."""
    return read(app.config.ledger) if app.config.ledger else collected()


@cache
def read(name: str) -> WrittenLedger:
    """That of the run which has written the file."""
    try:
        return read_json(Path(name))
    except (OSError, ValueError) as error:
        raise ConfigError(f"ledger={name}: {error}") from error


@cache
def collected() -> WrittenLedger:
    """That of a run in which no test runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.json"
        options = ["--collect-only", "-q", "-p", "no:cacheprovider", f"--ledger={path}"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options], cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode:
            raise ConfigError(f"the tests could not be collected: {done.stdout}{done.stderr}")
        return read_json(path)


def address_of_claim(app: Sphinx, page: str, claim: str) -> str:
    """Where the ledger has a claim, seen from a page."""
    anchor = anchors(entry.claim.id for entry in written(app).entries)[claim]
    return f"{app.builder.get_relative_uri(page, PAGE)}#{anchor}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the setting."""
    app.add_config_value("ledger", "", "html", str)
    return {"parallel_read_safe": True}
