"""What needs vLLM is skipped without it; `scripts/vllm-env.sh DIR` makes an environment that has it.

KVOLUME_NO_VLLM=1 says that leaving these tests out is meant; KVOLUME_VLLM_VERSIONS names the folder with the unpacked
Python parts of other versions.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

REASON = "needs vLLM: run scripts/vllm-env.sh DIR and use its Python (KVOLUME_NO_VLLM=1 leaves these tests out)"
VERSIONS = "KVOLUME_VLLM_VERSIONS"
NOT_OURS = ("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning",
            "ignore::pytest.PytestUnraisableExceptionWarning")  # fmt: skip


@pytest.fixture(scope="session")
def harness() -> Any:
    """vLLM's real scheduler with a simulated GPU."""
    if os.environ.get("KVOLUME_NO_VLLM") == "1":
        pytest.skip("KVOLUME_NO_VLLM=1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_PLUGINS", "")
    pytest.importorskip("vllm", reason=REASON)
    from kvolume.vllm import harness

    return harness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """vLLM and its libraries warn; that is not ours to fix."""
    for item in items:
        if "needs_vllm" in item.name or "harness" in getattr(item, "fixturenames", ()):
            for what in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(what))
