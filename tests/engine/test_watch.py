"""A run that is watched reports how far it is, can be interrupted, and passes on what goes wrong."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from kvolume.engine.watch import watched


def test_it_reports_while_the_kernel_runs_and_at_the_end() -> None:
    enough, seen = threading.Event(), []

    def kernel(counter: np.ndarray) -> str:
        counter[0] = 7
        assert enough.wait(30)
        return "done"

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        enough.set()

    assert watched(kernel, 10, progress) == "done"
    assert seen[0] == (7, 10)
    assert seen[-1] == (10, 10)


def test_an_interrupt_does_not_wait_for_the_kernel() -> None:
    never = threading.Event()

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watched(lambda counter: never.wait(60), 10, interrupt)
    assert not never.is_set()
    never.set()


def test_an_error_of_the_kernel_reaches_the_caller() -> None:
    def kernel(counter: np.ndarray) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        watched(kernel, 10, lambda done, total: None)
