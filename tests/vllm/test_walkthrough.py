"""The walk-through of docs/vllm.md, as it stands there: the order of a real server's answers changes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def agreements(text: str) -> tuple[float, float]:
    """Of the order of answers with that of arrival, and with that of volumes."""
    found = re.search(r"order of answers against arrival +([-\d.]+), against volume +([-\d.]+)", text)
    assert found, text
    return float(found[1]), float(found[2])


def test_the_walk_through_of_the_docs_shows_the_reordering(own_process: dict[str, str], tmp_path: Path):
    page = (ROOT / "docs" / "vllm.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- walk-through:.*?-->\n```sh\n(.*?)```", page, re.DOTALL)
    assert block
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        commands = block[1].replace("8000", str(probe.getsockname()[1]))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = tmp_path / "bin" / "kvolume"  # as `pip install .` makes it
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kvolume "$@"\n')
    program.chmod(0o755)
    path = [str(program.parent), str(Path(sys.executable).parent), own_process["PATH"]]
    done = subprocess.run(["bash", "-c", commands], cwd=tmp_path, env=own_process | {"PATH": os.pathsep.join(path)},
                          capture_output=True, text=True, timeout=550, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "server-on.log").read_text()[-3000:]
    on, off = (agreements((tmp_path / f"burst-{mode}.txt").read_text()) for mode in ("on", "off"))
    assert on[1] > off[1] + 0.2
    assert on[1] > on[0]
    assert re.search(r"^kvolume:out_of_turn_total [1-9]", done.stdout, re.MULTILINE)
