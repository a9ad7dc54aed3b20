#!/usr/bin/env bash
# Install the brokers that tests marked "broker" need. Their services are not started: the tests run their own
# nodes on private ports. The Java brokers come from Maven Central; where it does not answer they are left out,
# and the tests say so.
set -euo pipefail
cd "$(dirname "$0")/.."
needs=()
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || needs+=(rabbitmq-server)
command -v java >/dev/null || needs+=(openjdk-17-jre-headless)
[ ${#needs[@]} -eq 0 ] || scripts/apt.sh "the tests on real brokers" "${needs[@]}"
# Maven is only needed to fetch, so a cache that is there does without.
if ! "${VENV:-.venv}/bin/python" -m scripts.brokers.distributions --there; then
    command -v mvn >/dev/null || scripts/apt.sh "the tests on real brokers" maven
    "${VENV:-.venv}/bin/python" -m scripts.brokers.distributions
fi
