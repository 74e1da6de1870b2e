"""The SVF paper's experiment in your own vLLM: four policies, burst and Poisson, seconds per output token.

On a GPU, Llama-3.1-8B's real shape with dummy weights in bf16 (nothing is downloaded):

    python benchmarks/vllm_paper.py --out paper.json

On any machine, a tiny model and a small cache, to see that everything runs:

    python benchmarks/vllm_paper.py --model tiny --requests 60 --max-model-len 1024 --blocks 65 --rates inf 20

Lengths are drawn from built-in workloads; every request makes exactly its output length (`ignore_eos`), the plug-in
gets it as a hint, and one-bit makes one bit of it. A new engine is started for each policy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": 128, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
    "tie_word_embeddings": False, "bos_token_id": 128000, "eos_token_id": 128001, "torch_dtype": "bfloat16",
}  # fmt: skip
LENGTHS = {"lmsys": "apex_lmsys_lengths", "longbench": "arxiv_summarization_lengths"}
POLICIES = {  # what the paper does: reorder the queue, leave admission to the engine
    "fcfs": None,
    "sjf": "sjf:admission=greedy",
    "one-bit": "one-bit:admission=greedy",
    "svf": "svf:admission=greedy",
}
THE_PAPERS = list(POLICIES)
PRIORITY = "priority"  # vLLM's own policy, with kvolume.vllm.priority as the value; no plug-in
POLICIES |= {PRIORITY: None, "fair-svf": "fair-svf"}  # the second is the plug-in's default
PAPER = {  # arXiv 2606.22327: A100 80GB, Llama-3.1-8B-Instruct, burst of 2,000: average, P95 s/token, tokens/s
    ("lmsys", "fcfs"): (2.46, 10.24, 3338), ("lmsys", "sjf"): (1.01, 4.86, 3230),
    ("lmsys", "one-bit"): (1.56, 6.22, 3362), ("lmsys", "svf"): (0.89, 3.76, 3239),
    ("longbench", "fcfs"): (125.9, 393.1, 23.9), ("longbench", "sjf"): (106.2, 300.3, 25.9),
    ("longbench", "one-bit"): (72.6, 249.2, 28.7), ("longbench", "svf"): (70.0, 215.2, 28.2),
}  # fmt: skip


QUIET = {
    "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
}  # fmt: skip


def model_folder(name: str, most: int) -> Path:
    """A folder with the config of the model, and no weights."""
    folder = Path(tempfile.mkdtemp(prefix="kvolume-model-"))
    if name == "tiny":
        from kvolume.vllm import tiny

        return tiny.write(folder)
    (folder / "config.json").write_text(json.dumps(LLAMA_8B | {"max_position_embeddings": max(most, 8192)}))
    return folder


def engine(args: argparse.Namespace, policy: str | None) -> Any:
    """A fresh engine without the plug-in (policy None) or with it."""
    from vllm import LLM

    options: dict[str, Any] = {
        "model": str(model_folder(args.model, args.max_model_len)), "load_format": "dummy",
        "skip_tokenizer_init": True, "max_model_len": args.max_model_len, "seed": 0,
        "dtype": "float32" if args.model == "tiny" else "bfloat16", "enforce_eager": args.model == "tiny",
    }  # fmt: skip
    if args.model == "tiny":
        options["block_size"] = 32
    if args.blocks:
        options["num_gpu_blocks_override"] = args.blocks
    if args.only == PRIORITY:
        options["scheduling_policy"] = "priority"
    if policy is not None:
        options["scheduler_cls"] = "kvolume.vllm.Scheduler"
        options["additional_config"] = {"kvolume": {"policy": policy}}
    return LLM(**options).llm_engine


def drive(core: Any, s: np.ndarray, o: np.ndarray, arrival_s: np.ndarray, vocabulary: int) -> dict[str, float]:
    """Send the requests at their times and wait for all; latencies in seconds from sending to the last token."""
    from vllm import SamplingParams

    from kvolume.vllm import priority

    rng = np.random.default_rng(0)
    volumes = [priority(*pair) for pair in zip(s.tolist(), o.tolist(), strict=True)]  # fcfs does not look at them
    begin, sent, due = time.perf_counter(), 0, {}
    latency = np.full(s.size, np.nan)
    while np.isnan(latency).any():
        now = time.perf_counter() - begin
        while sent < s.size and arrival_s[sent] <= now:
            params = SamplingParams(
                max_tokens=int(o[sent]), ignore_eos=True, detokenize=False, temperature=0.0,
                extra_args={"predicted_output_len": int(o[sent])},
            )  # fmt: skip
            prompt = {"prompt_token_ids": rng.integers(3, vocabulary, s[sent]).tolist()}
            core.add_request(str(sent), prompt, params, priority=volumes[sent])
            due[str(sent)] = sent, time.perf_counter()
            sent += 1
        if not core.has_unfinished_requests():
            time.sleep(max(0.0, min(0.05, arrival_s[sent] - now)))
            continue
        for output in core.step():
            if output.finished:
                i, since = due.pop(output.request_id.split("-")[0])
                latency[i] = time.perf_counter() - since
    seconds = time.perf_counter() - begin
    per_token = latency / o
    return {
        "mean_per_token_s": float(per_token.mean()), "p95_per_token_s": float(np.percentile(per_token, 95)),
        "tokens_per_s": float(o.sum() / seconds), "mean_latency_s": float(latency.mean()),
        "p99_latency_s": float(np.percentile(latency, 99)), "seconds": seconds,
    }  # fmt: skip


def workload(name: str, n: int, rate: float, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prompt tokens, output tokens and arrival seconds; lengths cut to what the model takes."""
    from kvolume import Workload

    w = Workload.synthetic(LENGTHS[name], n, seed=0)
    s = np.clip(w.prompt_tokens, 1, most * 3 // 4)
    o = np.clip(w.output_tokens, 1, most - s - 1)
    arrival = np.zeros(n) if np.isinf(rate) else np.cumsum(np.random.default_rng(1).exponential(1 / rate, n))
    return s, o, arrival


def one_policy(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All workloads and rates under one policy, in this process."""
    core = engine(args, POLICIES[args.only])
    vocabulary = 259 if args.model == "tiny" else LLAMA_8B["vocab_size"]
    warm = workload("lmsys", 8, float("inf"), args.max_model_len)
    drive(core, *warm, vocabulary)
    rows = []
    for name in args.lengths:
        for rate in args.rates:
            s, o, arrival = workload(name, args.requests, rate, args.max_model_len)
            measured = drive(core, s, o, arrival, vocabulary)
            rows.append({"lengths": name, "rate": str(rate), "policy": args.only, **measured})
    return rows


def versions() -> dict[str, str]:
    """What the numbers were measured with."""
    import torch
    import vllm

    import kvolume

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"kvolume": kvolume.__version__, "vllm": vllm.__version__, "torch": torch.__version__, "device": device}


def show(rows: list[dict[str, Any]]) -> None:
    """The table, the paper's burst numbers beside ours."""
    head = f"{'lengths':10} {'rate':>5} {'policy':8} {'s/token':>9} {'P95':>9} {'tokens/s':>9} "
    head += f"{'mean s':>8} {'P99 s':>8}"
    print(f"{head}   paper")
    for r in rows:
        paper = PAPER.get((r["lengths"], r["policy"])) if r["rate"] == "inf" else None
        beside = "" if paper is None else " / ".join(f"{x:g}" for x in paper)
        print(
            f"{r['lengths']:10} {r['rate']:>5} {r['policy']:8} {r['mean_per_token_s']:9.4f} "
            f"{r['p95_per_token_s']:9.4f} {r['tokens_per_s']:9.1f} {r['mean_latency_s']:8.3f} {r['p99_latency_s']:8.3f}"
            f"   {beside}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("llama-3.1-8b", "tiny"), default="llama-3.1-8b")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--lengths", nargs="+", choices=LENGTHS, default=list(LENGTHS))
    parser.add_argument("--rates", nargs="+", type=float, default=[float("inf"), 8.0, 32.0], help="inf is a burst")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=THE_PAPERS)
    parser.add_argument("--max-model-len", type=int, default=4096)
    parser.add_argument("--blocks", type=int, default=0, help="KV blocks; 0: what the memory gives")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", help=argparse.SUPPRESS)  # a child process for one policy
    args = parser.parse_args()
    if args.only:  # a child process
        print("ROWS " + json.dumps(one_policy(args)), flush=True)
        return 0
    rows: list[dict[str, Any]] = []
    for policy in args.policies:
        print(f"{policy} ...", file=sys.stderr, flush=True)
        child = [sys.executable, __file__, *sys.argv[1:], "--only", policy]
        done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True, env=QUIET | os.environ)
        rows += json.loads(next(line for line in done.stdout.splitlines() if line.startswith("ROWS "))[5:])
    show(rows)
    if args.out:
        command = " ".join(["python", "benchmarks/vllm_paper.py", *sys.argv[1:]])
        record = {"command": command, **versions(), "rows": rows}
        args.out.write_text(json.dumps(record, indent=1) + "\n")
        print(args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
