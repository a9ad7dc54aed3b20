#!/usr/bin/env bash
# Install the brokers that tests marked "broker" need. Their services are not started: the tests run their own
# nodes on private ports.
set -euo pipefail
cd "$(dirname "$0")/.."
needs=()
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || needs+=(rabbitmq-server)
[ ${#needs[@]} -eq 0 ] || scripts/apt.sh "the tests on real brokers" "${needs[@]}"
