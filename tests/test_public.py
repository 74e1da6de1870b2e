"""The public surface, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import kvolume

PUBLIC = [
    "Bound", "Clock", "Comparison", "InputError", "KvolumeError", "MissingExtraError", "Optimum", "ParameterError",
    "Policy", "PolicyError", "Result", "ServingConfig", "SolverError", "UnknownNameError", "Workload", "__version__",
    "compare", "lower_bound", "optimum", "simulate",
]  # fmt: skip


def test_the_public_surface_is_this() -> None:
    assert kvolume.__all__ == PUBLIC == dir(kvolume)
    assert all(getattr(kvolume, name) is not None for name in PUBLIC)


def test_every_error_is_a_kvolume_error_and_a_builtin() -> None:
    for name in PUBLIC:
        thing = getattr(kvolume, name)
        if isinstance(thing, type) and issubclass(thing, Exception) and thing is not kvolume.KvolumeError:
            assert issubclass(thing, kvolume.KvolumeError)
            assert issubclass(thing, (ValueError, ImportError, RuntimeError))


def test_importing_brings_nothing_heavy() -> None:
    heavy = ("numpy", "numba", "scipy", "matplotlib", "pyarrow", "rich")
    code = f"import sys, kvolume; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_simulating_needs_no_extra() -> None:
    code = (
        "import sys, kvolume; w = kvolume.Workload([0], [1], [1]); kvolume.simulate(w, kv_tokens=9); "
        "kvolume.lower_bound(w, 9); print([m for m in ('matplotlib', 'pyarrow', 'ortools') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_compare_is_the_function_also_after_its_module_was_imported() -> None:
    code = "import kvolume.study.comparison, kvolume; print(kvolume.compare.__name__, kvolume.Comparison.__name__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["compare", "Comparison"]
