#!/usr/bin/env bash
# Install what tests marked "tool" need: Node.js and Redis from apt, and from npm the packages that tests/tools names.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.tools/.stamp
wanted=$(cat tests/tools/package.json tests/tools/package-lock.json scripts/setup-tools.sh | sha256sum | cut -d' ' -f1)
[ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && exit 0
needs=()
command -v node >/dev/null || needs+=(nodejs)
command -v npm >/dev/null || needs+=(npm)
[ ${#needs[@]} -eq 0 ] || scripts/apt.sh "the tests with a JavaScript client" "${needs[@]}"
# What the sources listen to, and the D-Bus that tests of clients run on a private address.
needs=()
[ -x /usr/sbin/collectd ] || needs+=(collectd-core)
command -v puppet >/dev/null || needs+=(puppet-agent)
command -v dbus-daemon >/dev/null || needs+=(dbus-daemon)
command -v utmpdump >/dev/null || needs+=(util-linux-extra)
[ ${#needs[@]} -eq 0 ] || scripts/apt.sh "the tests of clients and sources" "${needs[@]}"
command -v redis-server >/dev/null || scripts/apt.sh "the event log in Redis" redis-server
command -v prometheus >/dev/null || scripts/apt.sh "the test of the dashboard" prometheus
command -v faketime >/dev/null || scripts/apt.sh "the tests of clocks that jump" libfaketime faketime
command -v chromium >/dev/null || scripts/apt.sh "the tests of the live page" chromium fonts-dejavu-core
mkdir -p .tools
cp tests/tools/package.json tests/tools/package-lock.json .tools/
echo "[setup] installing packages from npm into .tools"
(cd .tools && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
echo "$wanted" >$stamp
