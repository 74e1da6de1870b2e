"""Studies: a spec goes in, results come out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvolume.study.comparison import Comparison, compare, run
    from kvolume.study.spec import CompareSpec

__all__ = ["CompareSpec", "Comparison", "compare", "run"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `kvolume --help` can read the defaults without NumPy.
    if name not in __all__:
        raise AttributeError(f"module 'kvolume.study' has no attribute '{name}'")
    value = getattr(import_module(f"kvolume.study.{'spec' if name == 'CompareSpec' else 'comparison'}"), name)
    globals()[name] = value
    return value
