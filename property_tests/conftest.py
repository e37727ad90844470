"""Hypothesis profiles and the ledger of claims for this suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the ledger, if ``-p property_tests.ledger`` has not done so already.

    Only ``-p``, in the settings, is early enough for ``--ledger FILE`` without an equals sign.
    """
    pluginmanager.import_plugin("property_tests.ledger")


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
