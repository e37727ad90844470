"""The explorer's page in a browser: controls, keys, addresses, and what they change."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sparsity_theory as st
from property_tests.support.browser import opened_page, too_wide, window

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCRIPTS = Path(__file__).parents[2] / "docs" / "_static" / "explorer"
DRAWN = "document.getElementById('explorer').dataset.networks === '1000'"
CHARTS = "svg[role=img]"
DEFAULT = "#kind=crelu&s=0.85&slope=0.7&q_star=1&width=300&depth=100&time=10.8&start=2.5"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened_page(browser) as page:
        yield page


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The explorer without the theme around it, as a file."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SCRIPTS, folder / "_static" / "explorer")
    controls = (SCRIPTS / "page.html").read_text(encoding="utf-8")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    path = folder / "page.html"
    path.write_text(f"<!doctype html>{head}<body>{controls}</body>", encoding="utf-8")
    return path.as_uri()


def text(page: Page, part: str) -> str:
    """What a part of the page shows."""
    return page.text_content(f"[data-part='{part}']") or ""


def row(page: Page, label: str) -> str:
    """The number beside a label."""
    return page.locator("tr", has_text=re.compile(f"^{label}")).locator("td").inner_text()


def test_the_page_opens_with_the_first_settings_and_forecasts(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_function(DRAWN)
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
    phi: Any = net.activation
    assert row(page, "threshold") == f"{phi.tau:.5g}"
    assert row(page, "clip") == f"{phi.m:.5g}"
    assert row(page, "weight variance") == f"{net.sigma_w2:.5g}"
    assert text(page, "outcome-word") == "trains"


def test_an_arrow_key_moves_a_slider_and_all_that_follows_from_it(page: Page, address: str) -> None:
    page.goto(address)
    before = page.eval_on_selector_all(CHARTS, "all => all.map(each => each.innerHTML)")
    page.press("#x-s", "ArrowRight")
    assert page.evaluate("document.querySelector('output[for=x-s]').value") == "0.86"
    assert page.evaluate("location.hash") == DEFAULT.replace("0.85", "0.86")
    assert "for_sparsity(0.86, slope=0.7)" in text(page, "python")
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.86, slope=0.7))
    assert row(page, "weight variance") == f"{net.sigma_w2:.5g}"
    after = page.eval_on_selector_all(CHARTS, "all => all.map(each => each.innerHTML)")
    assert len(after) == 4
    assert not any(old == new for old, new in zip(before, after, strict=True))


def test_an_address_that_was_sent_opens_with_its_settings(page: Page, address: str) -> None:
    page.goto(f"{address}#kind=cst&s=0.85&slope=0.9&width=100&depth=50")
    page.wait_for_function(DRAWN)
    assert text(page, "outcome-word") == "explodes"
    points = page.locator("[data-part=point-rows] tr").all_inner_texts()
    net = st.edge_of_chaos(st.ClippedSoftThreshold.for_sparsity(0.85, slope=0.9))
    assert len(points) == 3
    for shown, true in zip(points, st.fixed_points(net), strict=True):
        assert shown.startswith(f"{true.q:.5g}")
        assert ("not stable" in shown) is not true.stable


@pytest.mark.parametrize(
    "settings",
    [
        "#kind=relu&s=0.5&width=10&depth=200",
        "#kind=st&s=0.98&q_star=10&start=10",
        "#kind=crelu&s=0.98&slope=0.05&q_star=0.1&depth=2",
        "#kind=cst&s=0.98&slope=0.99&width=1000&depth=2&start=0.1&time=50",
    ],
)
def test_the_corners_of_the_controls_show_numbers(page: Page, address: str, settings: str) -> None:
    page.goto(address + settings)
    page.wait_for_function(DRAWN)
    shown = page.locator("#explorer").inner_html()
    assert "NaN" not in shown
    assert "undefined" not in shown


def test_the_page_fits_a_phone(browser: Browser, address: str) -> None:
    with opened_page(browser, **window("phone")) as page:
        page.goto(address)
        assert too_wide(page) == 0


def test_every_control_has_a_name_that_a_screen_reader_says(page: Page, address: str) -> None:
    page.goto(address)
    nameless = "all => all.filter(each => !each.labels.length).length"
    assert page.eval_on_selector_all("input", nameless) == 0
    told = "all => all.every(each => each.getAttribute('aria-valuetext'))"
    assert page.eval_on_selector_all("input[type=range]", told)
    assert page.locator(CHARTS).count() == 4
