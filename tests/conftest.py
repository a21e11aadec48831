"""What every test runs under."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError:  # tests/gpu runs on machines that have pytest and not the other test tools
    pass
else:
    # Equal examples on every run and no clocks: a busy machine turns no test red.
    settings.register_profile(
        "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("repeatable")


SLOW_SECONDS = 1800
"""After which a slow test hangs."""

COLLECTED = pytest.StashKey[dict[str, bool]]()
"""Of each test that is collected, by node id, whether `make test` runs it; whatever this run has chosen."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = ("slow", "gpu")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))
    config.stash[COLLECTED] = {
        item.nodeid: not any(item.get_closest_marker(name) for name in left_out) for item in items
    }


@pytest.fixture(autouse=True)
def forget_plugins() -> Iterator[None]:
    """Take the names of plugin files that a test has loaded out of this process again."""
    yield
    forget_plugin_files()


def forget_plugin_files() -> None:
    """Take the names of all plugin files out of this process, as a fresh process would have none."""
    registry = sys.modules.get("trainables.registry")
    for one in registry.REGISTRIES if registry else ():
        entries = one.registrations().items()
        one.restore({k: v for k, v in entries if not v.config_class.__module__.startswith("phasesweep_plugin_")})
