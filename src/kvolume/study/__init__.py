"""Studies: a spec goes in, results come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvolume.study.compare import Comparison, compare, run
    from kvolume.study.spec import CompareSpec

__all__ = ["CompareSpec", "Comparison", "compare", "run"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `kvolume --help` can read the defaults without NumPy.
    if name == "CompareSpec":
        from kvolume.study import spec as module
    elif name in __all__:
        from kvolume.study import compare as module  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module 'kvolume.study' has no attribute '{name}'")
    return getattr(module, name)
