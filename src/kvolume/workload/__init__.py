"""Workloads: real logs, built-in generators, arrival processes."""

from kvolume.workload._workload import Predictor, Workload
from kvolume.workload.arrivals import gaps
from kvolume.workload.draw import draw
from kvolume.workload.fetch import TRACES, fetch
from kvolume.workload.prefix import PrefixBlocks
from kvolume.workload.read import read
from kvolume.workload.synthetic import facts, names, synthetic
from kvolume.workload.write import write

__all__ = [
    "TRACES", "Predictor", "PrefixBlocks", "Workload", "draw", "facts", "fetch", "gaps", "names", "read", "synthetic",
    "write",
]  # fmt: skip
