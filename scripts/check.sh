#!/bin/sh
# All checks, from nothing: installs kvolume and what its development needs into .venv-check, then stage by stage.
# Stops at the first failure. `sh scripts/check.sh tests docs` runs only the stages named.
set -eu
cd "$(dirname "$0")/.."
. scripts/venv.sh

bin=$(pwd)/.venv-check/bin
stages=${*:-lint types imports tests docs package vllm}
begin=$(date +%s)

lint() { "$bin/ruff" check .; }
types() { "$bin/mypy"; }
imports() { "$bin/lint-imports" --no-cache; }
tests() { "$bin/pytest" -n 2; }
docs() { "$bin/zensical" build --clean --strict --config-file mkdocs.yml; }

package() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    "$bin/python" -m build --no-isolation --outdir "$scratch/dist" . >"$scratch/log" 2>&1 || {
        cat "$scratch/log"
        return 1
    }
    "$bin/python" scripts/check_wheel.py "$scratch"/dist/*.whl
    "$(find_python)" -m venv "$scratch/empty"
    "$scratch/empty/bin/python" -m pip install --quiet --disable-pip-version-check "$scratch"/dist/*.whl
    ( # away from the sources, so that only the wheel can be found
        cd "$scratch"
        empty/bin/python -c 'import kvolume; print("import kvolume", kvolume.__version__, "from the wheel")'
        empty/bin/kvolume compare --num-prompts 500 --json >compare.json
        empty/bin/python -c 'import json; print("kvolume compare:", len(json.load(open("compare.json"))["policies"]), "policies")'
    )
}

vllm() { # real vLLM on the CPU, and the schedulers of other versions; kept between runs, since it is large
    if [ "${KVOLUME_NO_VLLM:-}" = 1 ]; then
        echo "left out: KVOLUME_NO_VLLM=1"
        return
    fi
    env=${KVOLUME_VLLM_ENV:-${XDG_CACHE_HOME:-$HOME/.cache}/kvolume/vllm-env}
    sh scripts/vllm-env.sh "$env"
    KVOLUME_VLLM_VERSIONS=$env/versions "$env/bin/python" -m pytest -p no:cacheprovider tests/vllm tests/engine/test_serving_vllm.py
}

echo "== install"
install_venv .venv-check --editable '.[all]' --group dev
for stage in $stages; do
    echo "== $stage ($(($(date +%s) - begin)) s so far)"
    "$stage"
done
echo "== all stages passed: $stages ($(($(date +%s) - begin)) s)"
