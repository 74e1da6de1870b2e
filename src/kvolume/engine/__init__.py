"""Engines: `rounds` is the specification, `leap` the compiled twin; `serving` does what vLLM does; `simulate`."""

from kvolume.engine.result import Episodes, Result, Segments
from kvolume.engine.served import Gaps, Served
from kvolume.engine.serving_config import ServingConfig
from kvolume.engine.simulate import simulate

__all__ = ["Episodes", "Gaps", "Result", "Segments", "Served", "ServingConfig", "simulate"]
