"""A sweep: policies over arrival rates (or loads), KV budgets and seeds, a run each, on all cores.

Everything in it follows from the spec: results are put in the spec's order, whichever core made them and whenever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from kvolume.clock import parse_clock
from kvolume.errors import InputError, ParameterError
from kvolume.study.backlog import pile_up
from kvolume.study.comparison import ROW, Progress, run
from kvolume.study.spec import CompareSpec, kv_tokens, version
from kvolume.study.workloads import prepare

Records = list[dict[str, Any]]


class Cell(NamedTuple):
    """One workload of a sweep, on which every policy runs: where on the axis, with how many KV tokens, which seed."""

    at: float
    kv_tokens: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """What a sweep is made of. Checked when made.

    `base` holds all that does not vary, its `seed` is the first of `seeds` ones. One of `rates` (requests per second)
    and `loads` (offered KV volume over capacity) is given, ascending. Raises ParameterError or UnknownNameError.
    """

    base: CompareSpec
    rates: tuple[float, ...] = ()
    loads: tuple[float, ...] = ()
    kv_tokens: tuple[int, ...]
    seeds: int = 5

    def __post_init__(self) -> None:
        base = self.base
        if bool(self.rates) == bool(self.loads):
            raise ParameterError("A sweep goes over --rates or over --loads: give one of them.")
        if base.source == "-":
            raise ParameterError("A sweep reads its source again and again: give a file or a built-in name, not '-'.")
        if base.burst or base.load is not None or base.request_rate is not None or base.arrivals == "recorded":
            raise ParameterError("A sweep sets when requests arrive by --rates or --loads: leave other options out.")
        for name, values in (("rates", self.rates), ("loads", self.loads), ("KV budgets", self.kv_tokens)):
            if list(values) != sorted(set(values)):
                raise ParameterError(f"The {name} of a sweep must ascend, each once. Got {list(values)} instead.")
        if not self.kv_tokens:
            raise ParameterError("A sweep needs at least one KV budget.")
        if isinstance(self.seeds, bool) or not isinstance(self.seeds, int) or self.seeds < 1:
            raise ParameterError(f"The number of seeds must be an integer of at least 1. Got {self.seeds!r} instead.")
        for tokens in self.kv_tokens:
            kv_tokens(tokens)
        for at in self.axis:
            self.spec_of(Cell(at, self.kv_tokens[0], base.seed))

    @property
    def axis(self) -> tuple[float, ...]:
        """The rates, or the loads."""
        return self.rates or self.loads

    @property
    def axis_name(self) -> str:
        """What varies along the axis, as a key of CompareSpec."""
        return "request_rate" if self.rates else "load"

    @property
    def cells(self) -> list[Cell]:
        """Every workload of the sweep, in the order of the results: by budget, place on the axis, seed."""
        first = self.base.seed
        return [Cell(at, m, first + k) for m in self.kv_tokens for at in self.axis for k in range(self.seeds)]

    def spec_of(self, cell: Cell) -> CompareSpec:
        """The comparison that a cell is."""
        rate, load = (cell.at, None) if self.rates else (None, cell.at)
        return replace(self.base, kv_tokens=cell.kv_tokens, seed=cell.seed, request_rate=rate, load=load)

    def to_json(self) -> str:
        """The spec as indented JSON, with the version that wrote it."""
        return json.dumps({"study": "sweep", "version": version()} | asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "spec") -> SweepSpec:
        """The spec that `to_json` wrote. Raises InputError, ParameterError or UnknownNameError."""
        try:
            values = json.loads(text)
            names = {f.name for f in fields(cls)}
            lists: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names - {"base"}
            }
            base = CompareSpec.from_json(json.dumps(values["base"]), where)
            if values["study"] != "sweep":
                raise KeyError("study")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            if isinstance(error, ParameterError | InputError):
                raise
            raise InputError(f"{where} is not a spec.json that `kvolume sweep --out` wrote: {error}.") from None
        return cls(base=base, **lists)

    def digest(self) -> str:
        """A hash of the spec, of its clock and of what is in its source: the same sweep, the same results."""
        path = Path(self.base.source)
        data = hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
        return hashlib.sha256(f"{self.to_json()}{parse_clock(self.base.clock)}{data}".encode()).hexdigest()


def run_cell(sweep: SweepSpec, cell: Cell) -> Records:
    """One flat record for each policy, with everything that `compare` says of it, and how its backlog grows."""
    spec = sweep.spec_of(cell)
    comparison = run(spec, prepare(spec))
    served = comparison.served_rows or [{}] * len(spec.policies)
    out = []
    for row, more, result in zip(comparison.rows, served, comparison.results, strict=True):
        head = {"policy": row["policy"], sweep.axis_name: cell.at, "kv_tokens": cell.kv_tokens, "seed": cell.seed}
        numbers = {key: row[key] for key in ROW[1:]} | {"pile_up": pile_up(result)}
        good = more.get("request_goodput")
        if good is not None:
            offered = more["completed"] + more["failed"]
            more = more | {"good_share": good * more["duration"] / offered if offered else 0.0}
        head |= {"unit": comparison.unit, "status": row["status"], "label": row["label"]}
        out.append(head | numbers | {key: value for key, value in more.items() if key not in head})
    return out


def run_cells(
    sweep: SweepSpec, cells: Sequence[Cell], jobs: int, progress: Progress | None = None, done: int = 0
) -> Iterator[tuple[Cell, Records]]:
    """The records of the cells as they come, from `jobs` processes; `done` other cells are finished already.

    The first cell runs in this process, so that a mistake in the spec is found, and kernels are compiled, once.
    """
    total = done + len(cells)

    def finished(cell: Cell, records: Records) -> tuple[Cell, Records]:
        nonlocal done
        done += 1
        if progress is not None:
            progress("workloads", done, total)
        return cell, records

    alone = cells if jobs == 1 else cells[:1]
    for cell in alone:
        yield finished(cell, run_cell(sweep, cell))
    rest = iter(cells[len(alone) :])
    if len(alone) == len(cells):
        return
    # Spawned, not forked: the same on every system, and no compiler's or solver's threads are copied half-way.
    with ProcessPoolExecutor(min(jobs, len(cells) - 1), get_context("spawn")) as pool:
        text, waiting = sweep.to_json(), {}
        try:
            while True:
                for cell in rest:
                    waiting[pool.submit(_in_process, text, cell)] = cell
                    if len(waiting) >= 2 * jobs:
                        break
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield finished(waiting.pop(future), future.result())
        finally:  # an error, or an interrupt: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)


def _in_process(text: str, cell: Cell) -> Records:
    return run_cell(_parsed(text), cell)


@cache
def _parsed(text: str) -> SweepSpec:
    return SweepSpec.from_json(text)
