#!/bin/sh
# The main job, from nothing: installs kvolume into .venv, compares six policies on the built-in workload.
# Leaves the table on the screen and the spec, the numbers and the charts in results/demo.
set -eu
cd "$(dirname "$0")/.."
. scripts/venv.sh

install_venv .venv --editable '.[optimum,plot,parquet]'
force=
[ ! -e results/demo ] || force=--force
.venv/bin/kvolume compare --out results/demo $force
