"""The ledger's page in a browser: its filters and its links, on a phone and a desktop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from property_tests.ledger.claims import decide, load_claims
from property_tests.ledger.formats import as_html
from property_tests.ledger.plugin import CLAIMS
from property_tests.support.browser import WIDTHS, opened_page, too_wide, window

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The ledger of a run that ran no test."""
    path: Path = tmp_path_factory.mktemp("ledger") / "ledger.html"
    entries = decide(load_claims(CLAIMS), [], {}, complete=True)
    path.write_text(as_html(entries, {"complete": True}), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_claims_are_filtered_and_nothing_is_wider_than_the_window(
    device: str, scheme: str, browser: Browser, address: str
) -> None:
    claims = load_claims(CLAIMS).values()
    misprints = sum(claim.evidence == "misprint" for claim in claims)
    with opened_page(browser, color_scheme=scheme, **window(device)) as page:
        page.goto(address)
        assert too_wide(page) == 0
        assert page.locator("article:visible").count() == len(claims)
        page.select_option("select[name=evidence]", "misprint")
        assert page.locator("article:visible").count() == misprints
        assert page.locator("form output").inner_text() == f"{misprints} of {len(claims)} claims"


def test_an_address_with_the_name_of_a_claim_shows_it_though_a_filter_hides_it(
    browser: Browser, address: str
) -> None:
    with opened_page(browser) as page:
        page.goto(address)
        page.select_option("select[name=evidence]", "misprint")
        page.evaluate("location.hash = 'eq-13'")
        page.locator("#eq-13").wait_for(state="visible")
        assert page.locator("article:visible").count() == len(load_claims(CLAIMS))
