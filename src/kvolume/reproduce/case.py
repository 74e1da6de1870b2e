"""A small instance that an adversary can change, shrink and keep: requests, a budget, perhaps known intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kvolume.workload import Workload

Row = tuple[int, int, int]  # arrival, prompt, output


@dataclass(frozen=True)
class Case:
    """Requests as (arrival, prompt, output) in rounds and tokens, and the budget.

    With `spread` > 1 each output o is known to lie in [ceil(o / spread), o * spread] (A-max, A-min).
    """

    rows: tuple[Row, ...]
    kv_tokens: int
    spread: int = 1

    def workload(self) -> Workload:
        """The requests; with intervals where only these are known."""
        a, s, o = np.array(self.rows, np.int64).T
        if self.spread == 1:
            return Workload(a, s, o)
        lower, upper = -(-o // self.spread), np.minimum(o * self.spread, self.kv_tokens - s)
        return Workload(a, s, o, lower=lower, upper=upper, predicted=upper)

    @property
    def alpha(self) -> float:
        """The largest peak over the budget."""
        return max(s + o for _, s, o in self.rows) / self.kv_tokens

    def to_dict(self) -> dict[str, Any]:
        """For JSON: columns of numbers."""
        a, s, o = (list(x) for x in zip(*self.rows, strict=True))
        more = {"spread": self.spread} if self.spread > 1 else {}
        return {"kv_tokens": self.kv_tokens, "arrival": a, "prompt": s, "output": o} | more

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Case:
        """The case that `to_dict` wrote."""
        rows = tuple(zip(values["arrival"], values["prompt"], values["output"], strict=True))
        return cls(rows, values["kv_tokens"], values.get("spread", 1))


@dataclass(frozen=True)
class Setting:
    """What an adversary may choose from. `alpha` is the largest peak allowed, as a part of the budget."""

    name: str
    alpha: float = 1.0
    burst: bool = True
    equal_prompts: bool = False
    spread: int = 1
    most: int = 8  # requests
    longest: int = 10  # tokens of an output

    def allows(self, case: Case) -> bool:
        """Does the case keep to the rules?"""
        rows = case.rows
        return (
            0 < len(rows) <= self.most
            and case.kv_tokens > 0
            and all(a >= 0 and s >= 0 and o >= 1 for a, s, o in rows)
            and case.alpha <= self.alpha
            and not (self.burst and any(a for a, _, _ in rows))
            and not (self.equal_prompts and len({s for _, s, _ in rows}) > 1)
        )

    def draw(self, rng: np.random.Generator) -> Case:
        """A random case."""
        n = int(rng.integers(2, self.most + 1))
        longest, widest = int(rng.integers(1, self.longest + 1)), int(rng.integers(0, self.longest + 1))
        s = rng.integers(0, widest + 1, n)
        if self.equal_prompts:
            s[:] = s[0]
        o = rng.integers(1, longest + 1, n)
        a = np.zeros(n, np.int64) if self.burst else rng.integers(0, rng.integers(1, 2 * self.longest), n)
        peak = int((s + o).max())
        m = int(np.ceil(peak / self.alpha)) + int(rng.integers(0, peak + 1))
        return Case(tuple(sorted(zip(a.tolist(), s.tolist(), o.tolist(), strict=True))), m, self.spread)

    def changed(self, case: Case, rng: np.random.Generator) -> Case:
        """A neighbour: one number, one request or the budget is different. It may break the rules."""
        rows = [list(r) for r in case.rows]
        i, what = int(rng.integers(len(rows))), int(rng.integers(7))
        step = int(rng.choice([-3, -2, -1, 1, 2, 3]))
        if what == 0 and len(rows) < self.most:
            rows.append(list(rows[i]))
        elif what == 1 and len(rows) > 1:
            del rows[i]
        elif what == 2:
            return replace(case, kv_tokens=max(1, case.kv_tokens + step))
        elif what == 3 and not self.burst:
            rows[i][0] += step
        elif what in (4, 5):
            rows[i][2] += step
        else:
            for row in rows if self.equal_prompts else [rows[i]]:
                row[1] += step
        order = sorted(range(len(rows)), key=rows.__getitem__)
        if what == 6 and self.burst:
            order = rng.permutation(len(rows)).tolist()
        return replace(case, rows=tuple((rows[k][0], rows[k][1], rows[k][2]) for k in order))


def shrunk(case: Case, keeps: Callable[[Case], bool]) -> Case:
    """The case with requests left out and numbers lowered, for as long as `keeps` says that it may."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(case):
            if keeps(candidate):
                case, smaller = candidate, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    rows = case.rows
    for i in range(len(rows)):
        if len(rows) > 1:
            yield replace(case, rows=rows[:i] + rows[i + 1 :])
    yield replace(case, kv_tokens=case.kv_tokens - 1)
    earliest = min(a for a, _, _ in rows)
    if earliest:
        yield replace(case, rows=tuple((a - earliest, s, o) for a, s, o in rows))
    if any(s for _, s, _ in rows):
        yield replace(case, rows=tuple((a, max(0, s - 1), o) for a, s, o in rows), kv_tokens=case.kv_tokens - 1)
        yield replace(case, rows=tuple((a, max(0, s - 1), o) for a, s, o in rows))
    for i, (a, s, o) in enumerate(rows):
        for row in ((a, s, o - 1), (a, s - 1, o), (a - 1, s, o)):
            if min(row) >= 0 and row[2] >= 1:
                yield replace(case, rows=(*rows[:i], row, *rows[i + 1 :]))
