"""The scheduler tests once more, in a process of their own, for each version that KVOLUME_VLLM_VERSIONS holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vllm.conftest import VERSIONS

FOLDER = os.environ.get(VERSIONS, "")
FOUND = sorted(p.name for p in Path(FOLDER).iterdir() if (p / "vllm").is_dir()) if FOLDER else []
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not FOUND, reason=f"{VERSIONS} names no folder with other versions (scripts/vllm-env.sh makes one)")
@pytest.mark.parametrize("version", FOUND or ["none"])
def test_the_scheduler_tests_pass_on(version: str, own_process: dict[str, str], tmp_path: Path):
    env = own_process | {
        "PYTHONPATH": os.pathsep.join([str(Path(FOLDER) / version), own_process["PYTHONPATH"]]),
        "VLLM_CACHE_ROOT": str(tmp_path), "VLLM_TARGET_DEVICE": "cpu", "VLLM_LOGGING_LEVEL": "ERROR", VERSIONS: "",
        "KVOLUME_VLLM_FIRE": "700",
    }  # fmt: skip
    which = subprocess.run([sys.executable, "-c", "import vllm; print(vllm.__file__)"], env=env, capture_output=True,
                           text=True, check=True)  # fmt: skip
    assert f"{version}{os.sep}vllm" in which.stdout
    options = ["-o", "addopts=", "-x", "-p", "no:cacheprovider"]
    names = ("harness", "fire", "fallbacks", "features", "sessions")
    command = [sys.executable, "-m", "pytest", *options, *(f"tests/vllm/test_{name}.py" for name in names)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
