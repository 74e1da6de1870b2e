"""`dominant`: smallest machine time first is svf, sjf or the shortest prompt, whichever resource runs out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from tests.strategies import Small, instances

from kvolume import Workload, simulate
from kvolume.clock import UNIT, Caps, Clock, parse_clock
from kvolume.policy import Columns, MachineTime, Scale, parse
from kvolume.testing import check_policy

PROMPT = np.array([3, 900, 40, 700, 10, 450])
OUTPUT = np.array([300, 2, 90, 30, 250, 60])
COLUMNS = Columns(np.arange(6), np.zeros(6, np.int64), PROMPT, OUTPUT)


def order_of(caps: Caps, clock: Clock = UNIT) -> npt.NDArray[np.int64]:
    """The requests in the order of their machine time."""
    return np.argsort(MachineTime().fit(Scale(1000, 1.0, 1.0, 1.0, caps, clock)).keys(COLUMNS), kind="stable")


def order_by(name: str) -> npt.NDArray[np.int64]:
    """The requests in the order of another policy."""
    return np.argsort(parse(name).order.keys(COLUMNS), kind="stable")  # type: ignore[attr-defined]


@given(instances(clocks=False))
def test_in_the_papers_model_it_schedules_as_svf_does(small: Small) -> None:
    runs = [simulate(small.workload, name, kv_tokens=small.kv_tokens) for name in ("svf", "dominant")]
    assert runs[0].start.tolist() == runs[1].start.tolist()


def test_where_memory_is_scarce_it_is_smallest_volume_first() -> None:
    assert order_of(Caps(1000, 10**9, 10**9)).tolist() == order_by("svf").tolist()


def test_where_slots_are_scarce_it_is_shortest_output_first() -> None:
    assert order_of(Caps(10**9, 2, 10**9)).tolist() == order_by("sjf").tolist()


def test_where_prefills_take_the_time_it_is_shortest_prompt_first() -> None:
    clock = parse_clock("linear:base=1e-9,prefill_token=1")
    assert order_of(Caps(10**9, 10**9, 10**9), clock).tolist() == np.argsort(PROMPT, kind="stable").tolist()


def test_it_is_within_five_percent_of_the_best_specialist_where_slots_and_memory_both_bind() -> None:
    workload = Workload.synthetic("sharegpt8k_lengths", 2000, seed=3).burst()
    options = {"kv_tokens": 65_536, "clock": "linear", "engine": "serving", "serving": "max_num_seqs=64"}
    mean = {
        name: float(simulate(workload, f"{name}:admission=greedy", **options).latency.mean())  # type: ignore[arg-type]
        for name in ("sjf", "svf", "dominant")
    }
    assert mean["dominant"] <= 1.05 * min(mean["sjf"], mean["svf"])


def test_it_keeps_the_contract() -> None:
    check_policy("dominant", instances=10)
    check_policy("dominant:share=0.3,admission=greedy", instances=10)
