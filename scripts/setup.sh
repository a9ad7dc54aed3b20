#!/usr/bin/env bash
# Make the virtual environment and what it needs: "scripts/setup.sh run" for Clacks alone,
# "scripts/setup.sh dev" for the tests, the checks and the documentation as well.
# Installs only what is missing, never removes anything, and leaves a stamp, so that a second run is free.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-dev}
venv=${VENV:-.venv}
stamp=$venv/.clacks-$level
began=$SECONDS

say() { printf '[setup %3ds] %s\n' $((SECONDS - began)) "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

# The stamp holds what the environment was made from; a changed dependency makes it stale. What is enough for
# development is enough to run.
wanted=$(cat pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1)
for have in "$stamp" "$venv/.clacks-dev"; do
    if [ -x "$venv/bin/clacks" ] && [ "$(cat "$have" 2>/dev/null)" = "$wanted" ]; then
        exit 0
    fi
done

# --- a Python that fits ---------------------------------------------------------------------------------
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }
python=
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then
        python=$(command -v "$candidate")
        break
    fi
done

# --- what the system must have --------------------------------------------------------------------------
# proton is built from source: without pkg-config or the OpenSSL headers the build goes through and leaves
# TLS out in silence, so look before, and look at the result after.
needs=()
[ -n "$python" ] || needs+=(python3 python3-venv python3-dev)
if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then needs+=(python3-venv); fi
if ! "$venv/bin/python" -c 'import proton' 2>/dev/null; then
    command -v cc >/dev/null || needs+=(gcc libc6-dev)
    command -v pkg-config >/dev/null || needs+=(pkg-config)
    if [ -n "$python" ]; then
        header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
        [ -f "$header" ] || needs+=(python3-dev)
    fi
    { command -v pkg-config >/dev/null && pkg-config --exists openssl; } || needs+=(libssl-dev)
fi
if [ ${#needs[@]} -gt 0 ]; then
    scripts/apt.sh "building python-qpid-proton" "${needs[@]}"
    [ -n "$python" ] || python=$(command -v python3)
    fits "$python" || die "Python 3.11, 3.12 or 3.13 is needed; say which with: make PYTHON=/path/to/python3.11"
fi

# --- the environment ------------------------------------------------------------------------------------
if [ ! -x "$venv/bin/python" ]; then
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
fi
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet install)
log=$venv/.clacks-setup.log
run() { "$@" >"$log" 2>&1 || { cat "$log" >&2; die "this failed: $*"; }; }

requirement() { "$venv/bin/python" - "$1" <<'PYTHON'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    print(next(item for item in tomllib.load(file)["project"]["dependencies"] if item.startswith(sys.argv[1])))
PYTHON
}

if ! "$venv/bin/python" -c 'import proton, proton._transport' 2>/dev/null; then
    say "building python-qpid-proton from source (half a minute)"
    # pip's cache would keep a build that was made before the headers were there.
    run "${pip[@]}" --no-cache-dir "$(requirement python-qpid-proton)"
fi
"$venv/bin/python" -c 'import proton; proton.Message(); raise SystemExit(not proton.SSL.present())' ||
    say "note: proton was built without TLS. Clacks has its own and does not mind; proton's own clients would."
case $level in
    run) extras= ;;
    dev) extras='[test,dev,docs]' ;;
    *) die "run or dev, not '$level'" ;;
esac
say "installing Clacks${extras} into $venv"
run "${pip[@]}" --editable ".$extras"
run "$venv/bin/clacks" --version
echo "$wanted" >"$stamp"
say "ready"
