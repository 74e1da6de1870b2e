"""Bounds: how far from optimal a schedule can be at most."""

from typing import TYPE_CHECKING, Any

from kvolume.bound.lower import certify_log, lower_bound, tightest, uninterrupted
from kvolume.bound.result import Bound, LogCertificate, Optimum

if TYPE_CHECKING:
    from kvolume.bound.guarantees import Guarantee, guarantee
    from kvolume.bound.program import optimum

__all__ = [
    "Bound", "Guarantee", "LogCertificate", "Optimum", "certify_log", "guarantee", "lower_bound", "optimum",
    "tightest", "uninterrupted",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("Guarantee", "guarantee"):
        from kvolume.bound import guarantees

        return getattr(guarantees, name)
    if name == "optimum":  # solvers are heavy
        from kvolume.bound.program import optimum

        return optimum
    raise AttributeError(f"module 'kvolume.bound' has no attribute '{name}'")
