"""Public traces, downloaded from their own homes: kvolume ships none of them."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kvolume.errors import InputError, unknown_name
from kvolume.workload._files import whole_file

_AZURE = (
    "https://raw.githubusercontent.com/Azure/AzurePublicDataset/b469a113cedca53ddc3bdea71a143dc4b7d8700c/data"
)
_AZURE_2024 = "https://azurepublicdatasettraces.blob.core.windows.net/azurellminfererencetrace"
_MOONCAKE = "https://raw.githubusercontent.com/kvcache-ai/Mooncake/3b5a594133958449a1feaf1c9e0fc1b553e34a28/FAST25-release/traces"
_CHUNK = 1 << 16
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Trace:
    """A public trace: its home, its checksum (None: none is known), its terms, and whom to name."""

    url: str
    sha256: str | None
    licence: str
    attribution: str


_SPLITWISE = "Patel et al., Splitwise, ISCA 2024 (Azure LLM inference traces 2023)"
_DYNAMO = "Stojkovic et al., DynamoLLM, HPCA 2025 (Azure LLM inference traces 2024)"
_QIN = "Qin et al., Mooncake, FAST 2025"
TRACES = {
    "azure2023_code": Trace(
        f"{_AZURE}/AzureLLMInferenceTrace_code.csv",
        "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6", "CC-BY-4.0", _SPLITWISE,
    ),
    "azure2023_conv": Trace(
        f"{_AZURE}/AzureLLMInferenceTrace_conv.csv",
        "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8", "CC-BY-4.0", _SPLITWISE,
    ),
    "azure2024_code": Trace(f"{_AZURE_2024}/AzureLLMInferenceTrace_code_1week.csv", None, "CC-BY-4.0", _DYNAMO),
    "azure2024_conv": Trace(f"{_AZURE_2024}/AzureLLMInferenceTrace_conv_1week.csv", None, "CC-BY-4.0", _DYNAMO),
    "burstgpt": Trace(
        "https://github.com/HPMLL/BurstGPT/releases/download/v1.1/BurstGPT_without_fails_2.csv", None, "CC-BY-4.0",
        "Wang et al., BurstGPT, arXiv 2401.17644",
    ),
    "mooncake_conversation": Trace(
        f"{_MOONCAKE}/conversation_trace.jsonl",
        "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df", "Apache-2.0", _QIN,
    ),
    "mooncake_synthetic": Trace(
        f"{_MOONCAKE}/synthetic_trace.jsonl",
        "bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131", "Apache-2.0", _QIN,
    ),
    "mooncake_toolagent": Trace(f"{_MOONCAKE}/toolagent_trace.jsonl", None, "Apache-2.0", _QIN),
}  # fmt: skip


def fetch(
    name: str,
    dest: str | Path,
    *,
    url: str | None = None,
    sha256: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    force: bool = False,
) -> Path:
    """Download a public trace (a name in TRACES) to a file, or into a directory, and check its sha256.

    With `url` the name is free and only `sha256` is checked. `progress` is called with the bytes that have arrived
    and the total, if the server tells it. The file is complete or absent.

    Warns (UserWarning) where no checksum is known. Raises UnknownNameError for an unknown name, InputError for an
    address that is not http(s), a failed download, a wrong checksum, or an existing file without `force`.
    """
    if url is None:
        if name not in TRACES:
            raise unknown_name("trace", name, TRACES)
        url, sha256 = TRACES[name].url, sha256 or TRACES[name].sha256
    if not re.match(r"https?://[^/]", url):
        raise InputError(f"The address of '{name}' is {url!r}, but must start with http:// or https://.")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InputError(f"The sha256 of '{name}' is {sha256!r}, but must be 64 hexadecimal digits.")
    file = Path(dest)
    if file.is_dir():
        file = file / (url.split("?")[0].split("#")[0].rstrip("/").rsplit("/", 1)[-1] or name)
    with whole_file(file, force=force) as temporary:
        found = _download(url, temporary, progress)
        if sha256 is not None and found != sha256.lower():
            raise InputError(
                f"{url} has the sha256 {found}, but {sha256.lower()} is expected: the file has changed or is damaged; "
                "nothing was kept."
            )
    if sha256 is None:
        warnings.warn(f"{file} is not verified: no checksum is known. Its sha256 is {found}.", stacklevel=2)
    return file


def _download(url: str, file: Path, progress: Callable[[int, int | None], None] | None) -> str:
    """Copy `url` into `file`; the sha256 of what arrived."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    digest, done = hashlib.sha256(), 0
    try:
        with (
            urlopen(Request(url, headers={"User-Agent": "kvolume"}), timeout=_TIMEOUT_S) as response,
            file.open("wb") as out,
        ):
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except HTTPError as error:
        with error:
            raise InputError(
                f"{url} cannot be downloaded: the server says {error.code} {error.reason}."
            ) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{url} cannot be downloaded: {reason}. Check the address and the connection."
        ) from None
    if total is not None and done != total:
        raise InputError(f"{url} broke off after {done} of {total} bytes: try again.")
    return digest.hexdigest()
