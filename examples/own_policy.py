"""A policy of one's own: the smallest peak first, with long waits counted in a request's favour.

Run: python examples/own_policy.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import kvolume
from kvolume.policy import Entry, Order, Parameter, Policy, register
from kvolume.testing import check_policy
from kvolume.text import number


@dataclass(frozen=True)
class SmallestPeak(Order):
    """Sort by prompt + predicted output: the most KV tokens that a request will hold.

    `patience` is how many tokens a request is forgiven for each tick that it came earlier.
    """

    patience: float = 0.0

    def key(self, request: Any) -> Any:  # one request, or columns of all of them: use arithmetic only
        return request.prompt + request.predicted + self.patience * request.arrival


def make(values: Mapping[str, str]) -> Policy:
    """From the parameters in `smallest-peak:patience=2` to the policy."""
    patience = number(values.get("patience", 0), "patience", "policy smallest-peak", low=0)
    return Policy(SmallestPeak(patience))


ENTRY = Entry(
    "smallest-peak",
    "Smallest peak of KV tokens first.",
    make,
    parameters={"patience": Parameter("0", "tokens forgiven per tick of earlier arrival")},
)

if __name__ == "__main__":
    register(ENTRY)  # an installed package does it by entry point instead
    check_policy("smallest-peak:patience=2")
    comparison = kvolume.compare(
        "sharegpt8k_lengths", ["fcfs", "sjf", "smallest-peak", "svf"], num_prompts=5000, load=0.97
    )
    for row in comparison.rows:
        print(f"{row['policy']:14} {row['mean_latency']:6.2f} s, {row['ratio_to_bound']:.2f} times the bound")
