"""What needs vLLM is skipped without it; `scripts/vllm-env.sh DIR` makes an environment that has it.

KVOLUME_NO_VLLM=1 says that leaving these tests out is meant; KVOLUME_VLLM_VERSIONS names the folder with the unpacked
Python parts of other versions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

REASON = "needs vLLM: run scripts/vllm-env.sh DIR and use its Python (KVOLUME_NO_VLLM=1 leaves these tests out)"
VERSIONS = "KVOLUME_VLLM_VERSIONS"
NOT_OURS = ("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning",
            "ignore::pytest.PytestUnraisableExceptionWarning")  # fmt: skip


@pytest.fixture
def plugin_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the plug-in logs; vLLM's logger does not propagate."""
    from kvolume.vllm.guard import log

    log.addHandler(caplog.handler)
    caplog.set_level("WARNING", log.name)  # whatever VLLM_LOGGING_LEVEL says
    caplog.clear()
    yield caplog
    log.removeHandler(caplog.handler)


def require_vllm() -> None:
    """Skip, with the reason, where there is no vLLM or it is left out on purpose."""
    if os.environ.get("KVOLUME_NO_VLLM") == "1":
        pytest.skip("KVOLUME_NO_VLLM=1")
    if find_spec("vllm") is None:
        pytest.skip(REASON)


@pytest.fixture(scope="session")
def harness() -> Any:
    """vLLM's real scheduler with a simulated GPU."""
    require_vllm()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_PLUGINS", "")
    pytest.importorskip("vllm", reason=REASON)
    from kvolume.vllm import harness

    return harness


@pytest.fixture(scope="session")
def own_process() -> dict[str, str]:
    """Environment of a process that runs vLLM by itself: CPU, no network, no statistics."""
    require_vllm()
    root = Path(__file__).parents[2]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    quiet = {
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONPATH": os.pathsep.join(p for p in paths if p),
    }  # fmt: skip
    return {k: v for k, v in os.environ.items() if k not in ("VLLM_PLUGINS", "VLLM_LOGGING_LEVEL")} | quiet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """vLLM and its libraries warn; that is not ours to fix."""
    for item in items:
        if {"harness", "own_process"} & set(getattr(item, "fixturenames", ())):
            for what in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(what))
