#!/usr/bin/env bash
# Pin what a service installation needs, every package with the hashes of its files, for Python 3.11 to 3.13 on
# Linux: contrib/requirements.txt. Run it after a change of pyproject.toml, and now and then for repairs:
#
#     pip install --require-hashes -r contrib/requirements.txt && pip install --no-deps clacks
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
head='# Written by "make lock" from pyproject.toml; do not edit.'
"$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --no-emit-index-url --no-annotate --extra redis --extra client --extra sources --extra fast --extra otel \
    pyproject.toml -o contrib/requirements.txt.new "$@"
{ echo "$head"; cat contrib/requirements.txt.new; } > contrib/requirements.txt
rm contrib/requirements.txt.new
echo "contrib/requirements.txt: $(grep -c '==' contrib/requirements.txt) packages"
