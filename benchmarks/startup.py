"""What a person waits for before anything happens: import, help, first compilation, loading from the cache.

Run: python benchmarks/startup.py
Targets: import under 0.2 s, help under 0.5 s, first compilation under 10 s in all (medians of 5; one for compiling).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

USE = (
    "import kvolume; w = kvolume.Workload([0, 1], [3, 4], [5, 6]);"
    "[kvolume.simulate(w, p, kv_tokens=20) for p in ('svf', 'vllm', 'svf:backfill=1')]; kvolume.lower_bound(w, 20)"
)


def seconds(*command: str, env: dict[str, str] | None = None) -> tuple[float, str]:
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | (env or {}))
    return time.perf_counter() - begin, done.stderr


def main() -> int:
    bare = statistics.median(seconds(sys.executable, "-c", "pass")[0] for _ in range(5))
    imported = statistics.median(seconds(sys.executable, "-c", "import kvolume")[0] for _ in range(5))
    helped = statistics.median(seconds(sys.executable, "-m", "kvolume", "--help")[0] for _ in range(5))
    with tempfile.TemporaryDirectory() as cache:
        compiled, said = seconds(sys.executable, "-c", USE, env={"NUMBA_CACHE_DIR": cache})
        again = [seconds(sys.executable, "-c", USE, env={"NUMBA_CACHE_DIR": cache})[0] for _ in range(5)]
        cached = statistics.median(again)
    print(f"python alone         {bare:.2f} s")
    print(f"import kvolume       {imported - bare:.2f} s more   (target < 0.2)")
    print(f"kvolume --help       {helped:.2f} s        (target < 0.5, whole process)")
    print(f"first use, compiling {compiled:.2f} s        (target < 10, whole process; three kernels and the bound)")
    print(f"first use, cached    {cached:.2f} s")
    print(f"announced as         {said.strip()!r}")
    ok = imported - bare < 0.2 and helped < 0.5 and compiled < 10 and "Compiling" in said
    print("all targets hold" if ok else "A TARGET FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
