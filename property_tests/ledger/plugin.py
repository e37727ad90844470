"""A pytest plugin that turns test outcomes into verdicts on the claims.

A test names what it judges::

    @pytest.mark.claim("Eq. 17", "Eq. 52")                    # the evidence that they ask for
    @pytest.mark.claim("Sec. 2 slope", evidence="certified")  # a proof says that it is one
    @pytest.mark.claim("Misprint Eq. 5", reading="printed")   # or "corrected", or "both"

and ``pytest`` ends with every claim by verdict:

verified   all of its tests that ran passed (for a misprint: of both readings)
verified at reduced size
           they did, on smaller networks than those that the claim speaks of
partly     they did, and saw some of what is claimed end otherwise, as listed
refuted    one of its tests failed, or is expected to fail
skipped    its tests were skipped, for the reason shown
open       no test judges it
not run    its tests were deselected, or the run left out a part of the suite (listed with -v)

A test may say on what its verdict rests, whether that is smaller than what the claim speaks of, and
what was seen otherwise; the ledger shows it beside the verdict::

    record_property("note", "99 runs of 33 rows")
    record_property("reduced", "width 100, depth 40")
    record_property("otherwise", "2 of 33 rows: st-0.5, st-0.6")

A partial run (some files, ``-k``, another ``-m`` than the one in the settings, a stop at the first
failure) calls nothing open, and nothing verified of which it left out a test.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Generator, Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from property_tests.ledger.claims import (
    REDUCED,
    ClaimError,
    Entry,
    Link,
    Outcome,
    decide,
    link,
    load_claims,
)
from property_tests.ledger.formats import FORMATS, headline, terminal_lines

MARKER = "claim(*ids, evidence=None, reading=None): the claims (of claims.toml) that it judges"
CLAIMS = Path(__file__).parents[1] / "claims.toml"

NOTE, REDUCED_TO, OTHERWISE = "note", "reduced", "otherwise"
"""What a test may record with ``record_property``; see `Outcome`."""

COLOURS = {
    "verified": "green",
    REDUCED: "green",
    "refuted": "red",
    "partly": "yellow",
    "open": "yellow",
    "skipped": "yellow",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--ledger`` and the ini setting ``claims``."""
    parser.getgroup("ledger").addoption(
        "--ledger",
        action="append",
        default=[],
        metavar="FILE",
        help=f"write the ledger of claims to FILE ({', '.join(FORMATS)}); may be repeated",
    )
    parser.addini("claims", "the claims file", default=str(CLAIMS))


def pytest_configure(config: pytest.Config) -> None:
    """Read the claims and check where the ledger goes before any test runs."""
    config.addinivalue_line("markers", MARKER)
    for name in config.getoption("--ledger"):
        file = Path(name)
        if file.suffix not in FORMATS:
            raise pytest.UsageError(f"--ledger {name}: the name must end in {', '.join(FORMATS)}")
        if not file.absolute().parent.is_dir():
            raise pytest.UsageError(f"--ledger {name}: there is no folder {file.parent}")
    try:
        config.pluginmanager.register(Ledger(config), "ledger-of-claims")
    except ClaimError as error:
        raise pytest.UsageError(str(error)) from error


class Ledger:
    """Collects which test judges which claim and what became of it, on one or many workers."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the claims file that the ini setting ``claims`` names."""
        self.config = config
        self.path = config.rootpath / str(config.getini("claims"))
        self.claims = load_claims(self.path)
        self.links: dict[str, list[Link]] = {}  # every collected test, linked or not
        self.files: set[str] = set()
        self.deselected: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}

    # -- collection

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Check the markers here, where an error is reported as an error of that test file."""
        made = yield
        for item in made if isinstance(made, list) else ():
            if isinstance(item, pytest.Function):
                try:
                    self._links_of(item)
                except (ClaimError, TypeError) as error:
                    raise collector.CollectError(f"{item.nodeid}: {error}") from error
        return made

    @pytest.hookimpl(tryfirst=True)  # before -k and -m deselect
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note every collected test."""
        for item in items:
            self.links[item.nodeid] = self._links_of(item)
            self.files.add(str(item.path))

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note what the options leave out."""
        self.deselected.update(item.nodeid for item in items)

    def _links_of(self, item: pytest.Item) -> list[Link]:
        return [
            each
            for mark in item.iter_markers("claim")
            for each in link(self.claims, item.nodeid, mark.args, **mark.kwargs)
        ]

    # -- outcomes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst outcome over set-up, call and tear-down."""
        outcome = _outcome(report)
        before = self.outcomes.get(report.nodeid)
        if outcome and (before is None or before.status == "passed" or outcome.status == "failed"):
            self.outcomes[report.nodeid] = outcome

    # -- pytest-xdist: workers collect, the controller sees the reports

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker collected."""
        sent = getattr(node, "workeroutput", {}).get("ledger", None)
        if sent is None:  # the worker crashed; another one has collected the same
            return
        for nodeid, links in sent["links"].items():
            self.links[nodeid] = [Link(**each) for each in links]
        self.files.update(sent["files"])
        self.deselected.update(sent["deselected"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the files (or, on a worker, send what was collected)."""
        worker_output = getattr(self.config, "workeroutput", None)
        if worker_output is not None:
            worker_output["ledger"] = {
                "links": {n: [asdict(each) for each in ls] for n, ls in self.links.items()},
                "files": sorted(self.files),
                "deselected": sorted(self.deselected),
            }
            return
        for name in self.config.getoption("--ledger"):
            file = Path(name)
            text = FORMATS[file.suffix](self.entries(), self.run_facts())
            file.write_text(text, encoding="utf-8")

    # -- the ledger

    def complete(self) -> bool:
        """Whether all of the suite was collected, and all of it ran that runs by default."""
        option = self.config.getoption
        by_default = option("markexpr") in ("", *self.config.getini("addopts"))
        chosen = option("keyword") or option("deselect") or option("lf", False) or not by_default
        chosen = chosen or any("::" in argument for argument in self.config.args)
        suite = {str(file) for file in self.path.parent.rglob("test_*.py")}
        left_out = set(self.links) - set(self.outcomes) - self.deselected
        return not chosen and suite <= self.files and not left_out

    def entries(self) -> list[Entry]:
        """One entry a claim."""
        links = (each for links in self.links.values() for each in links)
        return decide(self.claims, links, self.outcomes, self.complete())

    def run_facts(self) -> dict[str, Any]:
        """Where a written ledger comes from."""
        return {
            "complete": self.complete(),
            "hypothesis profile": _hypothesis_profile(),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
        } | _versions(("numpy", "scipy", "mpmath", "hypothesis", "torch"))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the ledger."""
        if self.config.getoption("collectonly") or not any(self.links.values()):
            return
        entries = self.entries()
        verbose = self.config.get_verbosity() > 0
        shown = [e for e in entries if verbose or e.tests or e.verdict != "not run"]
        terminalreporter.section("claims", sep="=")
        for verdict, line in terminal_lines(shown, terminalreporter._tw.fullwidth):
            markup = {COLOURS[verdict]: True} if verdict in COLOURS else {}
            terminalreporter.write_line(line, **markup)
        terminalreporter.write_line(headline(entries), bold=True)


def _outcome(report: pytest.TestReport) -> Outcome | None:
    """The outcome that one report of one phase stands for, if any."""
    if hasattr(report, "wasxfail") and report.skipped:
        return Outcome("failed", f"expected to fail: {report.wasxfail}")
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        return Outcome("failed", crash.message if crash else str(report.longrepr))
    if report.skipped:
        longrepr = report.longrepr
        reason = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
        return Outcome("skipped", reason.removeprefix("Skipped: "))
    if report.when != "call":
        return None
    said = dict(report.user_properties)
    return Outcome("passed", *(str(said.get(name, "")) for name in (NOTE, REDUCED_TO, OTHERWISE)))


def _hypothesis_profile() -> str:
    hypothesis = sys.modules.get("hypothesis")  # not imported if no test uses it
    return str(hypothesis.settings.get_current_profile_name()) if hypothesis else "none"


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
