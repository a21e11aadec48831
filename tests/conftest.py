"""What every test runs under."""

from __future__ import annotations

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
