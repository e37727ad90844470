"""Hypothesis profiles, the ledger of claims and the budget of false alarms for this suite."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from property_tests.support import chance
from property_tests.support.browser import opened_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.register_assert_rewrite("property_tests.support.proofs")


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the ledger, if ``-p property_tests.ledger.plugin`` has not done so already.

    Only ``-p``, in the settings, is early enough for ``--ledger FILE`` without an equals sign.
    """
    pluginmanager.import_plugin("property_tests.ledger.plugin")


# A shared machine may stall for a second, so no example is timed.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=30,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    settings.get_profile("default"),
    derandomize=False,
    max_examples=2000,
)
settings.register_profile(  # for tools/mutation.py: whether a test fails matters, not where
    "mutation",
    settings.get_profile("default"),
    phases=[Phase.explicit, Phase.generate],
)
# --hypothesis-profile, applied by Hypothesis's own plugin later on, has the last word.
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu"):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On a GPU the compiler and the drivers warn of themselves, which is no error of ours."""
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note in the test's report, which a worker sends on, how often chance could deceive it."""
    before = chance.checks_made
    try:
        return (yield)
    finally:
        item.user_properties.append(("statistical checks", chance.checks_made - before))


class FalseAlarms:
    """Adds up the statistical checks of all tests, and fails the run that makes too many."""

    def __init__(self) -> None:
        """Begin with none."""
        self.checks = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add those of one test."""
        if report.when == "call":
            properties: dict[str, Any] = dict(report.user_properties)
            self.checks += properties.get("statistical checks", 0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail if the budget is overdrawn."""
        if self.checks > chance.CHECKS:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """State the probability of a false alarm anywhere."""
        if self.checks:
            overdrawn = ", MORE THAN THE BUDGET" if self.checks > chance.CHECKS else ""
            terminalreporter.write_line(
                f"{self.checks} statistical checks (at most {chance.CHECKS}), a false alarm in any "
                f"of them: at most {self.checks * chance.ALARM:.1e}{overdrawn}"
            )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, or the tests are skipped."""
    with opened_browser() as browser:
        yield browser


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks only lose time to a second thread, which commands ask for in this process."""
    if "torch" not in sys.modules:
        yield
        return
    from torch_models.networks.threads import num_threads

    with num_threads(1):
        yield


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run on this many threads: a product of one member may be split among them."""
    pytest.importorskip("torch")
    from torch_models.networks.threads import num_threads

    with num_threads(request.param):
        yield request.param


def pytest_configure(config: pytest.Config) -> None:
    """Count statistical checks."""
    config.pluginmanager.register(FalseAlarms(), "false-alarms")
