"""Settings that every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("deep", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("KVOLUME_HYPOTHESIS", "default"))

TRACES = Path(__file__).parents[2] / "shared" / "traces"


@pytest.fixture
def traces() -> Path:
    """The folder of real traces beside the project; tests that read them skip where it is absent."""
    if not TRACES.is_dir():
        pytest.skip("the folder of real traces is not beside the project")
    return TRACES
