"""The page of runs in a browser: its filters, its links, what opens and what is copied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from property_tests.support.browser import WIDTHS, opened_page, too_wide, window
from property_tests.support.runs import write_run
from sparsity_theory.published.rows import Design
from torch_models.commands.report import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CRELU, CST, ST = Design("crelu", 0.85, 0.7), Design("cst", 0.85, 0.9), Design("st", 0.7)
SHOWN = "article:visible"


READABLE = 4.5
"""The least contrast of small letters, by the Web Content Accessibility Guidelines."""


def lightness(colour: str) -> float:
    """The relative luminance, 0 to 1, of a colour as a browser writes it: ``rgb(29, 31, 33)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with seven rows in two settings, so that it opens with its rows closed."""
    runs = tmp_path_factory.mktemp("runs")
    sizes = {"budget": "custom", "width": 30, "depth": 4}
    for row in (CRELU, CST, ST, Design("relu", 0.5), Design("st", 0.5), Design("cst", 0.7, 0.5)):
        write_run(runs, row, 0.9, **sizes)
    write_run(runs, CST, 0.1, **{**sizes, "depth": 5}, divergence="gradient above 1e6", losses=())
    report(runs)
    return (runs / "report.html").as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened_page(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(address)
        yield page


def test_filters_leave_the_rows_that_were_chosen_and_a_search_those_that_say_it(page: Page) -> None:
    assert page.locator(SHOWN).count() == 7
    page.select_option("select[name=outcome]", "diverged")
    assert page.locator(SHOWN).count() == 1
    assert page.locator("form output").inner_text() == "1 of 7 rows"
    assert page.locator("section:visible").count() == 1
    page.select_option("select[name=outcome]", "")
    page.fill("input[name=search]", "cst 0.85")
    assert page.locator(SHOWN).count() == 2
    assert all("CST" in each for each in page.locator(f"{SHOWN} h3").all_inner_texts())


def test_a_link_to_what_a_filter_hides_shows_it(page: Page) -> None:
    page.select_option("select[name=outcome]", "diverged")
    first = page.locator("table a").first
    target = page.locator(str(first.get_attribute("href")))
    assert not target.is_visible()
    first.click()
    target.wait_for(state="visible")
    assert page.locator(SHOWN).count() == 7


def test_every_link_leads_to_a_part_of_the_page(page: Page) -> None:
    lost = "all => all.filter(each => !document.getElementById(each.hash.slice(1))).length"
    assert page.locator("a").count() > 7
    assert page.eval_on_selector_all("a", lost) == 0


def test_a_row_opens_with_its_pictures_and_its_command_is_copied(page: Page) -> None:
    row = page.locator("article", has_text="CReLU s=0.85")
    assert row.locator("svg:visible").count() == 0
    row.locator("summary").click()
    assert row.locator("svg:visible").count() == 3
    row.get_by_role("button", name="copy").click()
    row.get_by_role("button", name="copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == row.locator("pre code").inner_text()
    assert copied.startswith("sparsity-theory train-table 2 --row crelu-0.85-0.7 ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_nothing_is_wider_than_the_window_and_letters_are_seen_on_their_ground(
    device: str, scheme: str, browser: Browser, address: str
) -> None:
    with opened_page(browser, color_scheme=scheme, **window(device)) as page:
        page.goto(address)
        page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
        assert too_wide(page) == 0
        ground = lightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert ground < 0.1 if scheme == "dark" else ground > 0.9
        fills = "all => all.map(each => getComputedStyle(each).fill)"
        seen = set(page.eval_on_selector_all("svg text:not([style*=fill])", fills))
        assert seen
        for letters in seen:
            darker, lighter = sorted((ground, lightness(letters)))
            assert (lighter + 0.05) / (darker + 0.05) > READABLE


def test_a_page_of_few_rows_opens_with_all_that_it_has(browser: Browser, tmp_path: Path) -> None:
    write_run(tmp_path, CRELU, 0.9, budget="custom", width=30, depth=4)
    report(tmp_path)
    with opened_page(browser) as page:
        page.goto((tmp_path / "report.html").as_uri())
        assert page.locator("article svg:visible").count() == 3
