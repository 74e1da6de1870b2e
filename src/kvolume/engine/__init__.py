"""Engines: `rounds` is the specification, `leap` the compiled twin; `simulate` drives either."""

from kvolume.engine.result import Episodes, Result, Segments
from kvolume.engine.simulate import simulate

__all__ = ["Episodes", "Result", "Segments", "simulate"]
