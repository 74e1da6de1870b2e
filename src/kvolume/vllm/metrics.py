"""What the plug-in did, on vLLM's own /metrics, with the prefix `kvolume:`.

The scheduler lives in the engine's process and /metrics in the API server's. Where PROMETHEUS_MULTIPROC_DIR is set
(vLLM does so itself for several API servers), both use that folder. Otherwise the API server's process makes a folder
(`share`, called by the plug-in's entry point before the engine starts), shows on its /metrics what is counted there,
and removes it when it ends. Counting is plain arithmetic; it is handed over once a second.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from kvolume.vllm.guard import log

THEIRS, OURS = "PROMETHEUS_MULTIPROC_DIR", "KVOLUME_METRICS_DIR"  # the folder of every metric, and that of ours alone
LENGTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
ERRORS = (-4096, -1024, -256, -64, -16, -4, 0, 4, 16, 64, 256, 1024, 4096)
EVERY_S = 1.0


_made: set[str] = set()  # folders that this process made: what it counts itself is in its own registry


def share() -> None:
    """In the API server's process, before the engine's starts: a folder for the engine's counts, shown on /metrics."""
    if THEIRS in os.environ or OURS in os.environ:
        return
    from prometheus_client import REGISTRY
    from prometheus_client.multiprocess import MultiProcessCollector

    folder = os.environ[OURS] = tempfile.mkdtemp(prefix="kvolume-metrics-")
    _made.add(folder)
    atexit.register(_remove, folder, os.getpid())
    MultiProcessCollector(REGISTRY, path=folder)


def _remove(folder: str, maker: int) -> None:
    if os.getpid() == maker:  # not in a fork of it
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(OURS, None)


@cache
def _shared_value() -> Any:
    """prometheus_client's class of values that live in files."""
    from prometheus_client.values import MultiProcessValue

    return MultiProcessValue()


@contextmanager
def _where() -> Iterator[None]:
    """Metrics that are made inside live in the folder that the API server's process made, if it made one.

    prometheus_client reads both when it makes a metric; everybody else's metrics stay where they are.
    """
    folder = os.environ.get(OURS)
    if folder is None or folder in _made or THEIRS in os.environ or not os.path.isdir(folder):
        yield
        return
    from prometheus_client import values

    before, values.ValueClass = values.ValueClass, _shared_value()
    os.environ[THEIRS] = folder
    try:
        yield
    finally:
        values.ValueClass = before
        del os.environ[THEIRS]


@cache
def _families() -> dict[str, Any] | None:
    """The metrics of this process, made once; None without prometheus_client."""
    try:
        from prometheus_client import Counter as Total
        from prometheus_client import Gauge, Histogram
    except ImportError:
        return None
    name = "kvolume:{}".format
    gauge = {"multiprocess_mode": "livesum"}
    return {
        "admitted": Total(name("admitted"), "Admissions, resumed requests included"),
        "held_back": Total(name("held_back"), "Steps in which the policy let nobody start though somebody waited"),
        "out_of_turn": Total(name("out_of_turn"), "Admissions of another request than the one that arrived first"),
        "differed": Total(name("would_reorder"), "Dry run: admissions where the policy would have taken another"),
        "lane": Total(name("arrival_lane"), "Admissions through the arrival share"),
        "evictions": Total(name("evictions"), "Preemptions of running requests", ["reason"]),
        "faults": Total(name("policy_faults"), "Faults that were caught, by place", ["where"]),
        "sources": Total(name("predictions"), "Requests by where their predicted length came from", ["source"]),
        "decisions": Total(name("decisions"), "Scheduler steps"),
        "seconds": Total(name("decision_seconds"), "Time that the plug-in took in scheduler steps"),
        "predicted": Histogram(name("predicted_output_tokens"), "Predicted output length", buckets=LENGTHS),
        "output": Histogram(name("output_tokens"), "True output length", buckets=LENGTHS),
        "error": Histogram(name("prediction_error_tokens"), "True minus predicted output length", buckets=ERRORS),
        "waiting": Gauge(name("waiting"), "Requests that wait in the policy's queue", **gauge),
        "oldest": Gauge(name("oldest_waiting_seconds"), "How long the oldest of them has waited", **gauge),
    }


class Metrics:
    """Counts in plain Python; hands over to prometheus_client now and then."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.evictions: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.seconds = 0.0
        self.decisions = 0
        self.finished: list[tuple[float, int]] = []  # predicted, true
        self._given: Counter[tuple[str, str]] = Counter()
        self.next_s = 0.0  # when to hand over again, by time.monotonic()
        if multiprocessing.parent_process() is not None and not {THEIRS, OURS} & set(os.environ):
            log.info("kvolume: for its metrics on /metrics, set %s to an empty folder for the server", THEIRS)

    def publish(self, faults: Counter[str], waiting: int, oldest_s: float) -> None:
        """Hand over what has been counted since the last time."""
        with _where():
            self._publish(faults, waiting, oldest_s)

    def _publish(self, faults: Counter[str], waiting: int, oldest_s: float) -> None:
        families = _families()
        if families is None:
            self.finished.clear()
            return
        for name in ("admitted", "held_back", "out_of_turn", "differed", "lane"):
            self._rise(families[name], name, "", self.counts[name])
        self._rise(families["decisions"], "decisions", "", self.decisions)
        self._rise(families["seconds"], "seconds", "", self.seconds)
        for family, counted in (("evictions", self.evictions), ("faults", faults), ("sources", self.sources)):
            for label, value in counted.items():
                self._rise(families[family].labels(label), family, label, value)
        families["waiting"].set(waiting)
        families["oldest"].set(oldest_s)
        for predicted, output in self.finished:
            families["predicted"].observe(predicted)
            families["output"].observe(output)
            families["error"].observe(output - predicted)
        self.finished.clear()

    def _rise(self, metric: Any, name: str, label: str, value: float) -> None:
        grown = value - self._given[name, label]
        if grown > 0:
            metric.inc(grown)
            self._given[name, label] = value  # type: ignore[assignment]
