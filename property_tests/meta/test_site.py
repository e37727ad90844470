"""The documentation without a network: in a browser, as wide as a phone and a desktop."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (390, 1280)
PROBE = """
<!doctype html><body><script>
const seen = {};
async function look(page, width) {
  const frame = document.createElement("iframe");
  Object.assign(frame.style, {width: `${width}px`, height: "800px"});
  frame.src = page;
  document.body.append(frame);
  await new Promise(done => frame.onload = done);
  const inside = frame.contentWindow;
  if (inside.MathJax) await inside.MathJax.startup.promise;
  const root = inside.document.documentElement;
  seen[`${page} ${width}`] = {
    wider: root.scrollWidth - root.clientWidth,
    formulas: inside.document.querySelectorAll("mjx-container").length,
    wrong: inside.document.querySelectorAll("[data-mjx-error]").length,
    claims: inside.document.querySelectorAll(".items article:not([hidden])").length,
    fetched: inside.performance.getEntriesByType("resource").map(each => each.name),
  };
  if (page === "ledger.html") {
    const form = inside.document.querySelector(".items form");
    form.evidence.value = "misprint";
    form.dispatchEvent(new Event("input"));
    seen[`misprints ${width}`] =
      inside.document.querySelectorAll(".items article:not([hidden])").length;
  }
  frame.remove();
}
(async () => {
  for (const page of PAGES) for (const width of WIDTHS) await look(page, width);
  document.body.textContent = JSON.stringify(seen);
})();
</script></body>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "docs", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def seen(site: Path) -> dict[str, Any]:
    """What the browser says of every page at every width."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    pages = sorted(str(page.relative_to(site)) for page in site.rglob("*.html"))
    text = PROBE.replace("PAGES", json.dumps(pages)).replace("WIDTHS", json.dumps(WIDTHS))
    probe = site / "probe.html"
    probe.write_text(text, encoding="utf-8")
    offline = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"]
    options += ["--allow-file-access-from-files", f"--user-data-dir={site / 'profile'}"]
    command = [CHROMIUM, *options, *offline, "--virtual-time-budget=600000", "--dump-dom"]
    done = subprocess.run(
        [*command, probe.as_uri()], capture_output=True, text=True, check=True, timeout=600
    )
    found: dict[str, Any] = json.loads(re.sub("<[^>]+>", "", done.stdout).strip())
    return found


def pages(seen: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was seen of pages, without the misprints."""
    return {name: each for name, each in seen.items() if isinstance(each, dict)}


def test_no_page_scrolls_sideways(seen: dict[str, Any]) -> None:
    assert {name for name, each in pages(seen).items() if each["wider"] > 0} == set()


def test_no_page_asks_for_anything_from_the_network(seen: dict[str, Any]) -> None:
    fetched = {name for each in pages(seen).values() for name in each["fetched"]}
    assert {name for name in fetched if not name.startswith("file:")} == set()


def test_every_formula_is_set(seen: dict[str, Any]) -> None:
    for width in WIDTHS:
        assert seen[f"mathematics.html {width}"]["formulas"] >= 63
    assert {name for name, each in pages(seen).items() if each["wrong"]} == set()


def test_the_ledger_shows_every_claim_and_filters_them(seen: dict[str, Any]) -> None:
    for width in WIDTHS:
        assert seen[f"ledger.html {width}"]["claims"] >= 180
        assert 0 < seen[f"misprints {width}"] < seen[f"ledger.html {width}"]["claims"]
