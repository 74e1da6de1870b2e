"""The serving engine against other versions of vLLM, in a process of their own (KVOLUME_VLLM_VERSIONS holds them)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.vllm.conftest import VERSIONS
from tests.vllm.test_versions import FOLDER, FOUND, ROOT

COMPARED = [v for v in FOUND if tuple(map(int, v.split(".")[:2])) >= (0, 24)]


@pytest.mark.skipif(not COMPARED, reason=f"{VERSIONS} names no folder with vLLM 0.24 or later")
@pytest.mark.parametrize("version", COMPARED or ["none"])
def test_every_step_is_that_versions(version: str, tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="runs in an environment that has vLLM's dependencies")
    paths = [str(Path(FOLDER) / version), str(ROOT / "src"), str(ROOT)]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths), "VLLM_CACHE_ROOT": str(tmp_path), "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_LOGGING_LEVEL": "ERROR", "KVOLUME_VLLM_VERSION": version, "KVOLUME_VLLM_INSTANCES": "30",
    }  # fmt: skip
    options = ["-o", "addopts=", "-x", "-p", "no:cacheprovider", "-k", "every_step and not real_trace"]
    command = [sys.executable, "-m", "pytest", *options, "tests/engine/test_serving_vllm.py"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
