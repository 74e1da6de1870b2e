"""A workload made ready for an engine: in arrival order, in ticks, with the keys of one policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.clock import Caps, Clock
from kvolume.errors import InputError, ParameterError, PolicyError
from kvolume.geometry import Holding, peak, volume
from kvolume.policy import Columns, Order, Planner, Policy, Request, Scale, Setting
from kvolume.predict import Exact
from kvolume.workload import PrefixBlocks, Workload

Ints = npt.NDArray[np.int64]
MOST_KV_TOKENS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Instance:
    """Requests in order of arrival (ties: workload order). Only engines see `output`, the true lengths."""

    rows: Ints  # row of the workload
    rejected: npt.NDArray[np.bool_]  # by row of the workload: can never fit
    arrival: Ints  # ticks
    prompt: Ints
    output: Ints
    predicted: npt.NDArray[Any]  # what keys and charges are made from
    guess: Ints  # what admission reckons with
    most: Ints  # cap on raised guesses: the upper bound where known, else what fits
    keys: npt.NDArray[Any]
    kv_tokens: int
    clock: Clock
    policy: Planner
    holding: Holding = "unit"
    fitted: Order | None = None  # the policy's order, its parameters in tokens and ticks
    prefix: PrefixBlocks | None = None  # in order of arrival; equal ids, equal beginnings

    def __len__(self) -> int:
        return int(self.rows.size)

    def request(self, j: int, shared: int = 0) -> Request:
        """The j-th to arrive, as a policy knows it; prompt tokens that others hold for it already are left out."""
        told = self.predicted[j].item(), int(self.guess[j]), self.keys[j].item()
        request = Request(j, int(self.arrival[j]), int(self.prompt[j]) - (self.holding == "engine"), *told)
        if not shared or self.fitted is None:
            return request
        request = replace(request, prompt=max(0, request.prompt - shared))
        key = self.fitted.key(request)
        return replace(request, key=key.item() if isinstance(key, np.generic) else key)

    @property
    def seen(self) -> Ints:
        """Prompt tokens as policies see them.

        The papers' request holds s + u tokens while it makes its u-th; in an engine it is s + u - 1, since the last
        sampled token gets no slot. So an engine's request of prompt s is, to every policy, the papers' of s - 1.
        """
        return seen_prompt(self.prompt, self.holding)

    @property
    def charges(self) -> npt.NDArray[np.float64]:
        """Predicted volumes, as charged to lanes."""
        return np.asarray(volume(self.seen, self.predicted), np.float64)

    @property
    def exact(self) -> bool:
        """Are all guesses the true lengths?"""
        return self.guess is self.output or bool(np.array_equal(self.guess, self.output))


def prepare(
    workload: Workload, policy: Planner, kv_tokens: int, clock: Clock, *, skip_oversized: bool = False,
    holding: Holding = "unit", caps: Caps | None = None,
) -> Instance:  # fmt: skip
    """Sort, reject, predict and key; `caps` where more than KV tokens can run out.

    Raises InputError for a request that can never fit, unless skipped.
    """
    check_kv_tokens(kv_tokens)
    s, o = workload.prompt_tokens, workload.output_tokens
    rejected = peak(s, o, holding) > kv_tokens
    if rejected.any() and not skip_oversized:
        raise _oversized(workload, rejected, kv_tokens)
    if rejected.all():
        raise InputError(f"Every request of '{workload.name}' is larger than the budget of {kv_tokens} KV tokens.")
    arrival = workload.arrival_ticks(clock)
    rows = workload.arrival_order() if (np.diff(arrival) < 0).any() else np.arange(len(workload))
    rows = rows[~rejected[rows]] if rejected.any() else rows
    arrival, s, o = arrival[rows], s[rows], o[rows]
    knowledge = getattr(policy, "knowledge", Exact())
    column = getattr(workload, knowledge.column)
    column = workload.predicted if column is None else column
    told = o if column is None else column[rows]
    predicted = knowledge.reveal(told, o)
    seen = seen_prompt(s, holding)
    most = kv_tokens - seen
    if workload.upper is not None:
        most = np.minimum(most, workload.upper[rows])
    guess = o if predicted is o else np.clip(np.ceil(predicted).astype(np.int64), 1, most)
    keys: npt.NDArray[Any] = arrival
    columns = Columns(np.arange(rows.size), arrival, seen, predicted)
    if hasattr(policy, "fit"):
        policy = policy.fit(Setting(columns, kv_tokens, clock))
    fitted = None
    if isinstance(policy, Policy):
        fitted = policy.order.fit(_scale(columns, caps or Caps(kv_tokens), clock))
        keys = fitted.keys(columns)
        if keys.shape != rows.shape or keys.dtype.kind not in "iuf" or np.isnan(keys).any():
            raise PolicyError(
                f"The keys of policy '{policy.name}' must be numbers, one for each request, and never nan."
            )
    prefix = None
    if holding == "engine" and workload.prefix is not None:
        prefix = replace(workload.prefix, ids=workload.prefix.chained()).take(rows)
    return Instance(rows, rejected, arrival, s, o, predicted, guess, most, keys, kv_tokens, clock, policy, holding,
                    fitted, prefix)  # fmt: skip


def seen_prompt(prompt: Ints, holding: Holding) -> Ints:
    """Prompt tokens as policies see them (Instance.seen)."""
    return prompt - 1 if holding == "engine" else prompt


def check_kv_tokens(kv_tokens: int) -> None:
    """Raise ParameterError unless the budget is a whole number in 1..10^9."""
    if isinstance(kv_tokens, bool) or int(kv_tokens) != kv_tokens or not 1 <= kv_tokens <= MOST_KV_TOKENS:
        raise ParameterError(
            f"The budget kv_tokens must be a whole number of tokens in [1, 10^9]. Got {kv_tokens!r} instead."
        )


def _scale(columns: Columns, caps: Caps, clock: Clock) -> Scale:
    volumes = volume(columns.prompt, columns.predicted)
    mean_output = float(np.mean(columns.predicted))
    running = caps.kv_tokens * mean_output / float(np.mean(volumes))  # of a full cache
    round_ticks = clock.base + clock.request * running + clock.kv_token * caps.kv_tokens
    return Scale(int(caps.kv_tokens), float(round_ticks), float(np.median(volumes)), mean_output, caps, clock)


def _oversized(workload: Workload, rejected: npt.NDArray[np.bool_], kv_tokens: int) -> InputError:
    row = int(np.argmax(rejected))
    s, o = int(workload.prompt_tokens[row]), int(workload.output_tokens[row])
    return InputError(
        f"{int(rejected.sum())} of {len(workload)} requests of '{workload.name}' can never fit into {kv_tokens} "
        f"KV tokens; the first is number {row + 1}, with {s} prompt and {o} output tokens. "
        "Raise --kv-tokens, or use --skip-oversized to count them as rejected."
    )
