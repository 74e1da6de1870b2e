"""Send a burst of long and short requests to a server and show the order in which they are answered.

    python examples/vllm/burst.py [--url http://127.0.0.1:8000] [--requests 80] [--no-hints]

Waits up to ten minutes for the server to answer. Prints one line per request as its answer arrives, then how well the
order of the answers follows the order of arrival and that of the KV volumes (1: exactly, 0: not at all).
"""

from __future__ import annotations

import argparse
import json
import random
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from kvolume.vllm import priority


def agreement(values: list[int]) -> float:
    """Kendall's tau of a list with its own sorted order."""
    pairs = [(a, b) for i, a in enumerate(values) for b in values[i + 1 :] if a != b]
    return sum(1 if a < b else -1 for a, b in pairs) / max(1, len(pairs))


def model_of(url: str) -> str:
    """The model that the server serves, as soon as it does."""
    deadline = time.monotonic() + 600
    while True:
        try:
            with urllib.request.urlopen(f"{url}/v1/models", timeout=10) as answer:
                return str(json.load(answer)["data"][0]["id"])
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def main() -> None:
    args = argparse.ArgumentParser(description="Who is answered first?")
    args.add_argument("--url", default="http://127.0.0.1:8000")
    args.add_argument("--requests", type=int, default=80)
    args.add_argument("--no-hints", action="store_true", help="say nothing of the output length (max_tokens is known)")
    given = args.parse_args()
    model = model_of(given.url)
    rng = random.Random(1)
    jobs = [(rng.randint(5, 90), rng.choice([8, 16, 64, 150])) for _ in range(given.requests)]
    begin = time.monotonic()
    done: list[int] = []

    def send(i: int) -> None:
        prompt, output = jobs[i]
        body = {"model": model, "prompt": "a" * prompt, "max_tokens": output, "temperature": 0, "ignore_eos": True}
        if not given.no_hints:
            body["vllm_xargs"] = {"predicted_output_len": output}
        sent = urllib.request.Request(
            f"{given.url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(sent, timeout=300).read()
        done.append(i)
        s, o = jobs[i]
        now = time.monotonic() - begin
        print(f"{now:6.2f} s  request {i:3d}  {s:3d} + {o:3d} tokens  volume {priority(s, o):6d}\n", end="", flush=True)

    with ThreadPoolExecutor(given.requests) as pool:
        for i in range(given.requests):
            pool.submit(send, i)
            time.sleep(0.002)
    print(f"order of answers against arrival {agreement(done):5.2f}, "
          f"against volume {agreement([priority(*jobs[i]) for i in done]):5.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
