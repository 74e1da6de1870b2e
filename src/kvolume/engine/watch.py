"""What the user hears while a kernel runs: that it is being compiled, and how far it has come."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Progress = Callable[[int, int], None]


@contextmanager
def announced() -> Iterator[None]:
    """Say it on stderr, once, when a kernel inside is really compiled rather than loaded from its cache."""
    from numba.core import event

    class Announcer(event.Listener):  # type: ignore[misc]  # numba has no types
        def on_start(self, event: Any) -> None:
            _announce()

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Announcer()):
        yield


@cache
def _announce() -> None:
    print("Compiling the kernels: once, under ten seconds in all; they are cached.", file=sys.stderr, flush=True)


def watched(kernel: Callable[[npt.NDArray[np.int64]], T], total: int, progress: Progress | None) -> T:
    """Call `kernel(counter)` and report counter[0] four times a second while it runs.

    The kernel runs in a thread of its own, without the interpreter lock, so that the caller's thread can report and
    can be interrupted. Without `progress` it is simply called.
    """
    counter = np.zeros(1, np.int64)
    if progress is None:
        return kernel(counter)
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(kernel(counter))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        try:
            result = outcome.result(timeout=0.25)
        except TimeoutError:
            progress(int(counter[0]), total)
        else:
            progress(total, total)
            return result


def timed(function: Callable[..., T], *args: Any) -> tuple[T, float]:
    """The result and the wall-clock seconds it took."""
    begin = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - begin
