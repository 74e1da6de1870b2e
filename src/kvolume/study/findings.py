"""What a sweep says: latency against rate for each policy, the knee, and up to which rate the policy keeps up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kvolume.study.interval import Interval, interval
from kvolume.study.seeds import METHOD
from kvolume.study.spec import version
from kvolume.study.sweep import Records, SweepSpec

MOST_PILED_UP = 0.05  # of the offered volume: above it the backlog grows
LEAST_GOOD = 0.9  # of the requests, to call a rate good
HEAD = ("unit", "policy", "request_rate", "load", "kv_tokens", "seed", "status", "label")


@dataclass(frozen=True)
class Curve:
    """One policy with one budget. `points[i]` has an Interval over the seeds for each number at `axis[i]`, or None.

    `sustainable`: the largest place on the axis up to which no more than 5 % of the offered volume piles up (see
    `backlog.pile_up`; mean over the seeds). `good`: the largest up to which at least 90 % of the requests meet the
    limits of goodput. `knee`: where throughput over mean latency, Kleinrock's power, is largest. None: at none.
    """

    policy: str
    label: str
    kv_tokens: int
    axis: tuple[float, ...]
    points: tuple[dict[str, Interval | None], ...]

    @property
    def sustainable(self) -> float | None:
        """Up to where the backlog does not grow."""
        return self._up_to("pile_up", lambda share: share <= MOST_PILED_UP)

    @property
    def good(self) -> float | None:
        """Up to where the limits of goodput are met."""
        return self._up_to("good_share", lambda share: share >= LEAST_GOOD)

    @property
    def knee(self) -> float | None:
        """Where power is largest (Kleinrock, Power and deterministic rules of thumb, 1979)."""
        power = {at: at / p.mean for at, point in zip(self.axis, self.points, strict=True)
                 if (p := point["mean_latency"]) is not None and p.mean > 0}  # fmt: skip
        return max(power, key=power.__getitem__) if power else None

    def _up_to(self, key: str, holds: Any) -> float | None:
        best = None
        for at, point in zip(self.axis, self.points, strict=True):
            value = point.get(key)
            if value is None or not holds(value.mean):
                break
            best = at
        return best


@dataclass(frozen=True)
class Findings:
    """All records of a sweep, in its order, and the curves that they make."""

    spec: SweepSpec
    records: Records

    @property
    def unit(self) -> str:
        """The unit of latencies: `rounds` or `s`."""
        return str(self.records[0]["unit"])

    @cached_property
    def curves(self) -> list[Curve]:
        """By budget, then policy, in the spec's order."""
        spec, name = self.spec, self.spec.axis_name
        found: dict[tuple[int, str, float], Records] = {}
        for record in self.records:
            found.setdefault((record["kv_tokens"], record["policy"], record[name]), []).append(record)
        out = []
        for m in spec.kv_tokens:
            for policy in spec.base.policies:
                runs = [found[m, policy, at] for at in spec.axis]
                out.append(Curve(policy, runs[0][0]["label"], m, spec.axis, tuple(map(_point, runs))))
        return out

    def to_json(self) -> str:
        """The curves and what follows from them, as one JSON object."""
        body = {
            "version": version(), "interval": METHOD, "axis": self.spec.axis_name, "unit": self.unit,
            "sustainable": f"no more than {MOST_PILED_UP:g} of the offered KV volume piles up",
            "good": f"at least {LEAST_GOOD:g} of the requests meet the limits of goodput",
            "knee": "largest throughput over mean latency",
            "curves": [self._plain(curve) for curve in self.curves],
        }  # fmt: skip
        return json.dumps(body, indent=2, allow_nan=False) + "\n"

    def _plain(self, curve: Curve) -> dict[str, Any]:
        points = [
            {self.spec.axis_name: at}
            | {k: None if v is None else {"mean": v.mean, "half_width": v.half} for k, v in point.items()}
            for at, point in zip(curve.axis, curve.points, strict=True)
        ]
        return {
            "policy": curve.policy, "label": curve.label, "kv_tokens": curve.kv_tokens,
            "sustainable": curve.sustainable, "knee": curve.knee, "good": curve.good, "points": points,
        }  # fmt: skip


def _point(runs: Sequence[dict[str, Any]]) -> dict[str, Interval | None]:
    """The numbers of the seeds of one place on a curve, as intervals."""
    out: dict[str, Interval | None] = {}
    for key in runs[0]:
        if key not in HEAD:
            values = [run[key] for run in runs]
            out[key] = None if None in values else interval(values)
    return out
