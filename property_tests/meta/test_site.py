"""The documentation without a network: in a browser, as wide as a phone and a desktop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from property_tests.support.browser import WIDTHS, opened_page, too_wide, window

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TYPESET = "window.MathJax ? MathJax.startup.promise.then(() => true) : true"
"""Formulas are set after a page has loaded."""


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "docs", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page as wide as that device, which must not ask for anything from the network."""
    with opened_page(browser, **window(request.param)) as page:
        yield page


def test_no_page_scrolls_sideways_or_has_a_formula_that_is_wrong(page: Page, site: Path) -> None:
    wide, wrong = set(), set()
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        page.evaluate(TYPESET)
        name = str(path.relative_to(site))
        if too_wide(page) > 0:
            wide.add(name)
        if page.locator("[data-mjx-error]").count():
            wrong.add(name)
    assert (wide, wrong) == (set(), set())


def test_every_formula_is_set(page: Page, site: Path) -> None:
    page.goto((site / "mathematics.html").as_uri())
    page.evaluate(TYPESET)
    assert page.locator("mjx-container").count() >= 63


def test_the_ledger_shows_every_claim_and_filters_them(page: Page, site: Path) -> None:
    page.goto((site / "ledger.html").as_uri())
    claims = page.locator(".items article:visible")
    every = claims.count()
    assert every >= 180
    page.select_option(".items select[name=evidence]", "misprint")
    assert 0 < claims.count() < every
