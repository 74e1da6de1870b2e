"""How every kernel is compiled: cached on disk, without the interpreter lock, integers that wrap like C's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile on first use."""
    compiled: F = njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled


def rule(function: F) -> F:
    """Compile a scalar rule that plain Python uses as well, to be inlined into kernels."""
    compiled: F = njit(cache=True, nogil=True, inline="always")(function)
    return compiled
