"""The defaults of a comparison, in a module that imports nothing, so that `--help` can show them at once."""

DEFAULT_SOURCE = "azure2023_code"
DEFAULT_POLICIES = ("vllm", "fcfs", "sjf", "one-bit", "svf", "fair-svf")
DEFAULT_KV_TOKENS = 131_072
DEFAULT_LOAD = 0.97  # of built-in workloads: high enough that the order of requests matters
MOST_KV_TOKENS = 10**9
