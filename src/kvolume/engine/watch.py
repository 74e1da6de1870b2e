"""What the user hears while a kernel runs: that it is being compiled, and how far it has come."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Progress = Callable[[int, int], None]

QUIET_S = 1.0  # loading from the cache is faster than this, compiling is slower
_compiled: set[str] = set()


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say `what` on stderr if the first use of the kernels takes long enough to make people wonder."""
    if what in _compiled:
        yield
        return
    done = threading.Event()

    def say() -> None:
        if not done.wait(QUIET_S) and _compiling():
            print(f"{what} ...", file=sys.stderr, flush=True)

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    _compiled.add(what)


def _compiling() -> bool:
    """Is the compiler at work right now (rather than a compiled kernel)?"""
    lock = sys.modules.get("numba.core.compiler_lock")
    return lock is not None and bool(lock.global_compiler_lock.is_locked())


def watched(kernel: Callable[[npt.NDArray[np.int64]], T], total: int, progress: Progress | None) -> T:
    """Call `kernel(counter)`; while it runs, without the interpreter lock, report counter[0] four times a second."""
    counter = np.zeros(1, np.int64)
    if progress is None:
        return kernel(counter)
    done = threading.Event()

    def report() -> None:
        while not done.wait(0.25):
            progress(int(counter[0]), total)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        result = kernel(counter)
    finally:
        done.set()
        thread.join()
    progress(total, total)
    return result


def timed(function: Callable[..., T], *args: Any) -> tuple[T, float]:
    """The result and the wall-clock seconds it took."""
    begin = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - begin
