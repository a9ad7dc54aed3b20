"""CPU of the embedded broker for each message, beside a broker on proton's Container and Debian's RabbitMQ.

    python -m benchmarks.broker [--count N] [--repeat N] [--no-rabbitmq]

All brokers run in processes of their own on loopback, with the same load from another process. CPU is that of
the broker's process (user and system) between the start and the end of the load; the best of ``--repeat``
runs, because other work on the machine only ever adds. Every run has a topic of its own: RabbitMQ keeps
the queues of subscribers that are gone, and would copy into them. It is left out if not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psutil

from benchmarks.load import Load

BODY = "x" * 300
EVENT = (
    '<Event xmlns="http://www.gonicus.de/Events"><PhoneStatus><CallerId>012345</CallerId>'
    "<ReceiverId>98765</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)
QUERY = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus/f:CallerId = '012345'"


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    load: Load
    brokers: tuple[str, ...]
    limit: float | None = None
    """At most so many microseconds of the embedded broker for each delivery."""


@dataclass(frozen=True)
class Running:
    """A broker that runs."""

    port: int
    cpu: Callable[[], float]
    user: str | None = None
    password: str | None = None
    template: str = "{}"


_RUNS = itertools.count(1)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def python_broker(module: str) -> Iterator[Running]:
    """Run a broker of this folder."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", f"benchmarks.{module}", str(port)])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        watched = psutil.Process(process.pid)

        def cpu() -> float:
            times = watched.cpu_times()
            return float(times.user + times.system)

        yield Running(port, cpu)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def rabbitmq() -> Iterator[Running]:
    """Run a private RabbitMQ."""
    from scripts.brokers.rabbitmq import RabbitMQ

    with RabbitMQ() as node:
        user, password = next(iter(node.users.items()))
        yield Running(node.port, node.cpu_seconds, user, password, "/topic/{}")


def measure(broker: Running, load: Load) -> tuple[float, float]:
    """Return microseconds of broker CPU, and of wall time, for each delivery."""
    topic = f"bench.{next(_RUNS)}"
    load = replace(
        load,
        port=broker.port,
        user=broker.user,
        password=broker.password,
        target=broker.template.format(load.target.replace("bench.x", topic)),
        source=broker.template.format(load.source.replace("bench.x", topic)),
        user_id=broker.user or load.user_id if load.user_id else None,
    )
    before = broker.cpu()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", load.as_argument()],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    used = broker.cpu() - before
    seconds = json.loads(done.stdout)["seconds"]
    deliveries = load.count * load.matching
    return used / deliveries * 1e6, seconds / deliveries * 1e6


def cases(count: int) -> list[Case]:
    """Return what is measured."""
    plain = Load(0, "bench.x", "bench.x", count, BODY)
    said = replace(plain, subject="weather", user_id="anonymous")
    kind = "org.clacks.event.PhoneStatus"
    event = replace(plain, target=kind, source=kind, body=EVENT, subject="PhoneStatus", user_id="anonymous")
    everyone = ("embedded", "container", "rabbitmq")
    return [
        Case("opaque, 1 subscriber", plain, everyone, 10),
        Case("opaque, with subject and user-id", said, everyone, 10),
        Case("opaque, settled by the receiver", replace(plain, settled=False), everyone),
        Case(
            "opaque, 10 subscribers, per delivery",
            replace(plain, count=count // 4, subscribers=10, matching=10),
            everyone,
            6,
        ),
        Case("event, checked", event, ("embedded",), 25),
        Case(
            "event, checked, XQuery filter",
            replace(event, source="org.clacks.event", query=QUERY),
            ("embedded",),
        ),
    ]


def main() -> int:
    """Measure, print the table, and tell whether the figures are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-rabbitmq", action="store_true")
    parser.add_argument("--only", choices=["embedded", "container", "rabbitmq"])
    options = parser.parse_args()
    starters = {
        "embedded": lambda: python_broker("embedded_broker"),
        "container": lambda: python_broker("container_broker"),
        "rabbitmq": rabbitmq,
    }
    if options.no_rabbitmq:
        del starters["rabbitmq"]
    if options.only:
        starters = {options.only: starters[options.only]}
    results: dict[tuple[str, str], tuple[float, float]] = {}
    todo = cases(options.count)
    for name, start in starters.items():
        with start() as broker:
            measure(broker, replace(todo[0].load, count=5000))
            for case in todo:
                if name in case.brokers:
                    load = case.load if name == "embedded" else replace(case.load, count=case.load.count // 4)
                    runs = [measure(broker, load) for _ in range(options.repeat)]
                    results[case.name, name] = min(runs)
    print("microseconds of broker CPU for each message delivered (in brackets: deliveries a second)\n")
    print(f"{'':38}" + "".join(f"{name:>22}" for name in starters) + f"{'limit':>8}")
    missed = False
    for case in todo:
        line = f"{case.name:38}"
        for name in starters:
            found = results.get((case.name, name))
            line += f"{found[0]:10.1f} ({1e6 / found[1]:8.0f})".rjust(22) if found else f"{'':22}"
        line += f"{case.limit:8.0f}" if case.limit else ""
        own = results.get((case.name, "embedded"))
        if case.limit and own and own[0] > case.limit:
            line += "  MISSED"
            missed = True
        print(line)
    print()
    for other in ("container", "rabbitmq"):
        for case in todo:
            own, theirs = results.get((case.name, "embedded")), results.get((case.name, other))
            if own and theirs:
                print(f"{case.name}: {other} uses {theirs[0] / own[0]:.1f} times as much")
    first = todo[0].name
    if (first, "container") in results and (first, "embedded") in results:
        ratio = results[first, "container"][0] / results[first, "embedded"][0]
        missed = missed or ratio < 8
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
