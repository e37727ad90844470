"""The explorer's page in a browser: controls, keys, addresses, and what they change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sparsity_theory as st
from property_tests.support.browser import CHROMIUM, Page, file_address, opened_browser

SCRIPTS = Path(__file__).parents[2] / "docs" / "_static" / "explorer"
ARROW_RIGHT = 39
DRAWN = "document.getElementById('explorer').dataset.networks === '1000'"
DEFAULT = "#kind=crelu&s=0.85&slope=0.7&q_star=1&width=300&depth=100&time=10.8&start=2.5"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the explorer's page needs chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """A browser that keeps the errors of every page in ``window.failures``."""
    with opened_browser() as page:
        kept = "window.failures = []; addEventListener('error', e => failures.push(e.message));"
        page.call("Page.addScriptToEvaluateOnNewDocument", source=kept)
        yield page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer without the theme around it, opened as a file."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SCRIPTS, folder / "_static" / "explorer")
    controls = (SCRIPTS / "page.html").read_text(encoding="utf-8")
    page = folder / "page.html"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    page.write_text(f"<!doctype html>{head}<body>{controls}</body>", encoding="utf-8")
    return page


def text(browser: Page, part: str) -> str:
    """What a part of the page shows."""
    found = browser.value(f"document.querySelector('[data-part=\"{part}\"]').textContent")
    return str(found)


def row(browser: Page, label: str) -> str:
    """The number beside a label."""
    find = (
        f"[...document.querySelectorAll('tr')].find(row => row.textContent.startsWith('{label}'))"
    )
    return str(browser.value(f"{find}.querySelector('td').textContent"))


def test_the_page_opens_with_the_first_settings_and_forecasts(browser: Page, site: Path) -> None:
    browser.open(file_address(site))
    browser.wait_for(DRAWN)
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
    phi: Any = net.activation
    assert row(browser, "threshold") == f"{phi.tau:.5g}"
    assert row(browser, "clip") == f"{phi.m:.5g}"
    assert row(browser, "weight variance") == f"{net.sigma_w2:.5g}"
    assert text(browser, "outcome-word") == "trains"
    assert browser.value("failures") == []


def test_an_arrow_key_moves_a_slider_and_all_that_follows_from_it(
    browser: Page, site: Path
) -> None:
    browser.open(file_address(site))
    before = [browser.value(f"document.querySelectorAll('svg')[{i}].innerHTML") for i in range(4)]
    browser.value("document.getElementById('x-s').focus()")
    browser.press("ArrowRight", ARROW_RIGHT)
    assert browser.value("document.querySelector('output[for=x-s]').value") == "0.86"
    assert browser.value("location.hash") == DEFAULT.replace("0.85", "0.86")
    assert "for_sparsity(0.86, slope=0.7)" in text(browser, "python")
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.86, slope=0.7))
    assert row(browser, "weight variance") == f"{net.sigma_w2:.5g}"
    for i in range(4):
        assert browser.value(f"document.querySelectorAll('svg')[{i}].innerHTML") != before[i]


def test_an_address_that_was_sent_opens_with_its_settings(browser: Page, site: Path) -> None:
    browser.open(file_address(site, "#kind=cst&s=0.85&slope=0.9&width=100&depth=50"))
    browser.wait_for(DRAWN)
    assert text(browser, "outcome-word") == "explodes"
    points = browser.value(
        "[...document.querySelectorAll('[data-part=point-rows] tr')].map(row => row.innerText)"
    )
    net = st.edge_of_chaos(st.ClippedSoftThreshold.for_sparsity(0.85, slope=0.9))
    assert len(points) == 3
    for shown, true in zip(points, st.fixed_points(net), strict=True):
        assert shown.startswith(f"{true.q:.5g}")
        assert ("not stable" in shown) is not true.stable
    assert browser.value("failures") == []


@pytest.mark.parametrize(
    "address",
    [
        "#kind=relu&s=0.5&width=10&depth=200",
        "#kind=st&s=0.98&q_star=10&start=10",
        "#kind=crelu&s=0.98&slope=0.05&q_star=0.1&depth=2",
        "#kind=cst&s=0.98&slope=0.99&width=1000&depth=2&start=0.1&time=50",
    ],
)
def test_the_corners_of_the_controls_show_numbers(browser: Page, site: Path, address: str) -> None:
    browser.open(file_address(site, address))
    browser.wait_for(DRAWN)
    shown = browser.value("document.getElementById('explorer').outerHTML")
    assert "NaN" not in shown
    assert "undefined" not in shown
    assert browser.value("failures") == []


def test_the_page_fits_a_phone(browser: Page, site: Path) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    browser.open(file_address(site))
    assert browser.value("document.documentElement.scrollWidth") <= 390
    browser.call("Emulation.clearDeviceMetricsOverride")


def test_every_control_has_a_name_that_a_screen_reader_says(browser: Page, site: Path) -> None:
    browser.open(file_address(site))
    nameless = "[...document.querySelectorAll('input')].filter(each => !each.labels.length).length"
    assert browser.value(nameless) == 0
    sliders = "[...document.querySelectorAll('input[type=range]')]"
    assert browser.value(f"{sliders}.every(each => each.getAttribute('aria-valuetext'))")
    assert browser.value("[...document.querySelectorAll('svg[role=img]')].length") == 4
