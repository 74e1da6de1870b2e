"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from kvolume.cli import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def kvolume(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run `kvolume ...` in an empty folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log that queues at 100 KV tokens."""
    rows = [f"{i * 0.05:.2f},{10 + 7 * i % 30},{5 + 11 * i % 20}" for i in range(80)]
    (tmp_path / "log.csv").write_text("arrival_s,input_length,output_length\n" + "\n".join(rows) + "\n")
    return "log.csv"
