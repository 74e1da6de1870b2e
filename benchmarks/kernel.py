"""Requests per second of the look-ahead kernel, against the flat prototype on the same arrays, in one process.

Run: python benchmarks/kernel.py [folder with leap_proto.py]     (default: ../shared/prototypes)
Targets, fcfs and svf: ratio >= 1 at a running set of about 100, >= 3 at 1,000, >= 9 at 8,000; equal schedules.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from kvolume.engine.kernels.ahead import ahead
from kvolume.engine.kernels.heap import sortable
from kvolume.engine.kernels.profile import room_for
from kvolume.geometry import volume

N = 100_000
CASES = ((100_000, 0.9, 1.0), (100_000, 1.2, 1.0), (1_048_576, 1.2, 3.0), (8_388_608, 1.2, 9.0))


def make(n: int, kv_tokens: int, load: float, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lognormal lengths (means about 850 and 230), uniform arrivals at this load."""
    rng = np.random.default_rng(seed)
    s = np.clip(rng.lognormal(np.log(850) - 0.5, 1.0, n), 1, 8000).astype(np.int64)
    o = np.clip(rng.lognormal(np.log(230) - 0.32, 0.8, n), 1, 4000).astype(np.int64)
    return np.sort(rng.uniform(0, volume(s, o).sum() / kv_tokens / load, n)).astype(np.int64), s, o


def ours(a: np.ndarray, s: np.ndarray, o: np.ndarray, key: np.ndarray, kv_tokens: int) -> np.ndarray:
    memory = room_for(min(a.size, kv_tokens))
    start = np.full(a.size, -1, np.int64)
    ahead(a, s, o, sortable(key), np.empty(0), kv_tokens, 0.0, *memory, start, np.zeros(1, np.int64))
    return start


def prototype(folder: Path) -> ModuleType | None:
    if not (folder / "leap_proto.py").is_file():
        return None
    sys.path.insert(0, str(folder))
    import leap_proto

    return leap_proto


def main(folder: Path) -> int:
    proto, ok = prototype(folder), True
    print(
        f"{'policy':6} {'KV tokens':>10} {'load':>5} {'running':>8} {'kernel req/s':>13} {'prototype':>10} "
        f"{'ratio':>6} {'target':>7}"
    )
    for kv_tokens, load, target in CASES:
        a, s, o = make(N, kv_tokens, load)
        for name, key in (("fcfs", np.arange(N)), ("svf", volume(s, o))):
            times: list[list[float]] = [[], []]
            for _ in range(4):  # in turn, so that a drifting machine hits both
                begin = time.process_time()
                start = ours(a, s, o, key, kv_tokens)
                times[0].append(time.process_time() - begin)
                if proto is not None:
                    begin = time.process_time()
                    theirs, tests, seen, _ = proto.leap(a, s, o, key, kv_tokens, 65536)
                    times[1].append(time.process_time() - begin)
                    ok &= bool(np.array_equal(start, theirs))
            speed = N / min(times[0][1:])
            if proto is None:
                print(f"{name:6} {kv_tokens:10,} {load:5} {'':8} {speed:13,.0f} {'absent':>10}")
                continue
            ratio = min(times[1][1:]) / min(times[0][1:])
            ok &= ratio >= target
            print(
                f"{name:6} {kv_tokens:10,} {load:5} {seen / tests:8.0f} {speed:13,.0f} "
                f"{N / min(times[1][1:]):10,.0f} {ratio:6.2f} {'>= ' + format(target, 'g'):>7}"
            )
    print("all targets hold, all schedules equal" if ok else "A TARGET FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/prototypes")))
