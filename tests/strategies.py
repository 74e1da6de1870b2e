"""Small random instances and policies for property tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from kvolume import Workload

POLICIES = (
    "fcfs", "sjf", "svf", "longest-first", "random:seed=3", "mc-sf", "mc-benchmark", "peak", "vllm",
    "svf:share=0.1", "svf:share=0.5", "fair-svf", "svf:share=1", "sjf:admission=greedy", "svf:admission=peak",
    "svf:aging=log,kappa=3", "svf:aging=linear,phi=0.1", "svf:aging=log,share=0.2",
    "one-bit", "one-bit:theta=4", "one-bit:rule=worst-case", "one-bit:rule=geometric", "one-bit:share=0.2,keep=0",
    "svf:backfill=2", "svf:backfill=3,share=0.2", "vllm:backfill=2", "fcfs:backfill=8,admission=peak",
    "vllm:keep=0", "vllm:evict=largest", "vllm:evict=largest,keep=0", "vllm:evict=all",
    "svf:share=0.3,admission=greedy",
    "svf:admission=greedy,evict=random,beta=0.3", "svf:admission=protected,alpha=0.1", "sjf:evict=all,keep=0",
    "dominant", "dominant:share=0.2,admission=greedy", "a-max",
    "alpha-protection", "alpha-protection:alpha=0.2,beta=0.2", "alpha-protection:alpha=0.25",
)  # fmt: skip

PLANNERS = (
    "gsa", "gsa:alpha=1.5,tau0=3", "gsa-spec", "gsa-spec:alpha=1.3", "gba", "gba:alpha=2,beta=3", "gba-d",
    "gba-d:alpha=2,beta=3", "wait", "wait:types=2,rates=estimated,block=3", "wait:waits=0", "wait:block=5,types=3",
    "nested-wait", "nested-wait:segments=3", "nested-wait:segments=2,rates=estimated,block=4,prompt=mean",
    "nested-wait:waits=0", "nested-wait:segments=3,cap=9", "a-min", "sorted-f", "sorted-f:exact=0",
    "route", "route:part=0.5",
)  # fmt: skip

CLOCKS = (
    "linear:base=8e-3",
    "linear:base=8e-3,request=1e-3,prefill_token=1e-4",
    "linear:base=8e-3,request=1e-3,kv_token=3e-4,prefill_token=1e-4",
    "linear:base=8e-3,request=1e-3,prefill_pair=1.237e-9",
    "linear:base=1e-9,kv_token=1e-9",
)


@dataclass(frozen=True)
class Small:
    """A small instance: what a failing property prints."""

    workload: Workload
    kv_tokens: int
    clock: str = "unit"

    def __repr__(self) -> str:
        w = self.workload
        times = f"arrival={w.arrival.tolist()}" if w.arrival is not None else f"arrival_s={w.arrival_s.tolist()}"
        predicted = "" if w.predicted is None else f", predicted={w.predicted.tolist()}"
        return (
            f"Workload({times}, prompt_tokens={w.prompt_tokens.tolist()}, output_tokens={w.output_tokens.tolist()}"
            f"{predicted}), kv_tokens={self.kv_tokens}, clock={self.clock!r}"
        )


@st.composite
def instances(
    draw: st.DrawFn, most: int = 14, longest: int = 12, predictions: bool = True, clocks: bool = True, spread: int = 40
) -> Small:
    """Requests that fit, with arrivals at once or over time, exact or wrong predictions, unit or linear clock."""
    lengths = draw(st.lists(st.tuples(st.integers(0, longest), st.integers(1, longest)), min_size=1, max_size=most))
    s, o = np.array(lengths).T
    kv_tokens = draw(st.integers(int((s + o).max()), int((s + o).max()) * 3))
    n = len(lengths)
    arrivals = st.integers(0, draw(st.sampled_from(sorted({0, min(3, spread), spread}))))
    arrival = np.array(draw(st.lists(arrivals, min_size=n, max_size=n)))
    predicted = None
    if predictions and draw(st.booleans()):
        predicted = np.array(draw(st.lists(st.integers(1, 2 * longest), min_size=n, max_size=n)))
    if clocks and draw(st.booleans()):
        clock = draw(st.sampled_from(CLOCKS))
        jitter = np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)))
        times = arrival * 0.01 + jitter * 1e-3
        return Small(Workload(None, s, o, arrival_s=times, predicted=predicted), kv_tokens, clock)
    return Small(Workload(arrival, s, o, predicted=predicted), kv_tokens)


policies = st.sampled_from(POLICIES)
