#!/usr/bin/env bash
# Install Debian packages: "scripts/apt.sh WHAT-FOR PACKAGE ...". As root or through sudo; otherwise print the
# line to type and fail.
set -euo pipefail
reason=$1
shift
if ! command -v apt-get >/dev/null; then
    printf '[setup] %s needs what Debian calls: %s\n[setup] Please install them and try again.\n' "$reason" "$*" >&2
    exit 1
fi
line="apt-get install -y --no-install-recommends $*"
as=()
if [ "$(id -u)" != 0 ]; then
    # Ask for a password only where somebody can type it.
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as=(sudo)
    else
        printf '[setup] %s needs packages of the system. Please type, then try again:\n    sudo %s\n' "$reason" "$line" >&2
        exit 1
    fi
fi
echo "[setup] installing for $reason: $*"
export DEBIAN_FRONTEND=noninteractive
# A service that a package would start is of no use here: tests start their own on private ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as[@]}" tee $policy >/dev/null
    "${as[@]}" chmod 755 $policy
    trap '"${as[@]}" rm -f $policy' EXIT
fi
log=$(mktemp)
install() { "${as[@]}" env DEBIAN_FRONTEND=noninteractive $line >"$log" 2>&1; }
if ! install; then
    # No package lists yet, or old ones.
    "${as[@]}" apt-get update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    install || { cat "$log" >&2; exit 1; }
fi
rm -f "$log"
