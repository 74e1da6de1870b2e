"""Workloads: real logs, built-in generators, arrival processes."""

from kvolume.workload._workload import Workload

__all__ = ["Workload"]
