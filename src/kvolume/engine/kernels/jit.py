"""How every kernel is compiled: cached on disk, without the interpreter lock, integers that wrap like C's.

Numba notices that a function's own file has changed, but not that one it calls has, in another file. So the cache
lives in a folder named after all the sources together: after any change or upgrade it is a new one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

ZERO = np.int64(0)  # for what grows: a plain 0 is a type of its own, and everything called with it is compiled twice

SOURCES = ("engine/kernels/*.py", "*/*kernels.py", "policy/rules.py", "geometry.py", "clock.py")


def kernel(function: F) -> F:
    """Compile on first use."""
    return _cached(function, no_cfunc_wrapper=True)


def inner(function: F) -> F:
    """Compile for other kernels only, without the wrappers that Python would need: quicker to compile.

    It may not allocate. Then Numba need not count references to its arrays, which otherwise costs a kernel of many
    small functions more than all of its arithmetic (1.4 to 1.9 times the time).
    """
    return _cached(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)


def allocating(function: F) -> F:
    """As `inner`, for one that makes arrays."""
    return _cached(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def rule(function: F) -> F:
    """Compile a scalar rule that plain Python uses as well, to be inlined into kernels."""
    return _cached(function, inline="always")


def _cached(function: F, **options: Any) -> F:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())  # read while the function is being decorated, and only then
    try:
        compiled: F = njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR if set, else the user's cache, else a temporary folder."""
    home = Path(__file__).parents[2]
    digest = hashlib.sha256(numba.__version__.encode())
    for pattern in SOURCES:
        for path in sorted(home.glob(pattern)):
            digest.update(path.read_bytes())
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    wanted = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(user) / "kvolume") / digest.hexdigest()[:16]
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        return Path(tempfile.mkdtemp(prefix="kvolume-kernels-"))
