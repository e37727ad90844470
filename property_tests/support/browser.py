"""Chromium without a window and without a network, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
"""Where it is installed, if it is: none is downloaded."""

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-component-update")
"""Beside those of Playwright, which gives every browser a profile of its own."""

PATIENCE = 60_000
"""Milliseconds until what is waited for must be there."""

WIDTHS = {"phone": 390, "desktop": 1280}
"""Of the window, in pixels."""


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """A browser that ends with the context; what needs it is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """An empty page that must neither throw an error nor ask for anything but files.

    ``options`` are those of Playwright's ``new_context``, such as the size of the window and the
    colour scheme.
    """
    errors: list[str] = []
    fetched: list[str] = []
    context = browser.new_context(offline=True, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    try:
        yield page
    finally:
        context.close()
    assert errors == []
    assert [address for address in fetched if not address.startswith(("file:", "data:"))] == []


def window(device: str) -> dict[str, Any]:
    """The size of the window of a phone or a desktop, for `opened_page`."""
    return {"viewport": {"width": WIDTHS[device], "height": 844}, "is_mobile": device == "phone"}


def too_wide(page: Page) -> int:
    """Pixels by which a page would have to be scrolled sideways to be seen whole."""
    root = "document.documentElement"
    return int(page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))
