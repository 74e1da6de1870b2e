"""kvolume decides which LLM request starts next, so that people wait least and the KV cache is never overcommitted.

>>> import kvolume
>>> w = kvolume.Workload(arrival=[0, 0, 0], prompt_tokens=[1, 5, 2], output_tokens=[3, 1, 4])
>>> kvolume.simulate(w, "svf", kv_tokens=8).finish.tolist()
[3, 1, 5]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvolume.bound import Bound, Optimum, lower_bound, optimum
    from kvolume.clock import Clock
    from kvolume.engine import Result, ServingConfig, simulate
    from kvolume.errors import (
        InputError,
        KvolumeError,
        MissingExtraError,
        ParameterError,
        PolicyError,
        SolverError,
        UnknownNameError,
    )  # fmt: skip
    from kvolume.policy import Policy
    from kvolume.study import Comparison, compare
    from kvolume.workload import Workload

__version__ = "0.1.0"

_WHERE = {
    "Bound": "bound", "Clock": "clock", "Comparison": "study.comparison", "InputError": "errors",
    "KvolumeError": "errors", "MissingExtraError": "errors", "Optimum": "bound", "ParameterError": "errors",
    "Policy": "policy", "PolicyError": "errors", "Result": "engine", "ServingConfig": "engine", "SolverError": "errors",
    "UnknownNameError": "errors", "Workload": "workload", "compare": "study.comparison", "lower_bound": "bound",
    "optimum": "bound", "simulate": "engine",
}  # fmt: skip

__all__ = [
    "Bound", "Clock", "Comparison", "InputError", "KvolumeError", "MissingExtraError", "Optimum", "ParameterError",
    "Policy", "PolicyError", "Result", "ServingConfig", "SolverError", "UnknownNameError", "Workload", "__version__",
    "compare", "lower_bound", "optimum", "simulate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import lazily: `import kvolume` costs nothing, a simulation brings the compiler."""
    if name in _WHERE:
        value = getattr(import_module(f"kvolume.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'kvolume' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
