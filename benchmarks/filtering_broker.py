"""The embedded broker with N subscribers on 10 connections, each with its own query, of which one matches.

    python -m benchmarks.filtering_broker [--most N] [--count N] [--seconds N] [--json FILE]

Broker CPU: raw AMQP links (the engine without a client library), as fast as the broker goes, at most 800
events on their way; microseconds of CPU (user and system) of the broker's process for an event, validation
and delivery included; the best of three runs. Beside it what other brokers spend on the same event and
queries; those figures are their published ones (docs, "Filtering: what it costs"), not measured here.

Latency: the same subscriptions through 10 `Bus` objects in one process, a publisher in another at a steady
rate; from just before `publish` to the reader of the subscription, by the clock of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import selectors
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.broker import Running, python_broker
from benchmarks.load import BATCH, Connection, Load
from clacks.amqp.messages import Message, encode
from clacks.bus import Bus
from clacks.common.event import Event, EventMaker
from clacks.common.limits import DEFAULT_LIMITS

CONNECTIONS = 10
SIZES = (1, 10, 100, 1000)
ADDRESS = "org.clacks.event.PhoneStatus"
PUBLISHED = {
    "qpidd, XML exchange": {1: 91, 10: 780, 100: 7600, 1000: 88_000},
    "ActiveMQ, XPath selectors": {1: 100, 10: 600, 100: 5400, 1000: 56_000},
}
"""Microseconds of broker CPU for an event, by the number of subscribers."""
CPU_LIMIT = 100.0
P99_LIMIT = 10.0
LIMITS = replace(DEFAULT_LIMITS, queue_events=1_000_000)


def query(number: int) -> str:
    """Return the query of one subscriber."""
    return (
        "declare namespace f='http://www.gonicus.de/Events'; "
        f"let $e := ./f:Event return $e/f:PhoneStatus[f:CallerId = 'c{number}']"
    )


def document(number: int) -> str:
    """Return the event that the query of this number lets through."""
    return (
        f'<Event xmlns="http://www.gonicus.de/Events"><PhoneStatus><CallerId>c{number}</CallerId>'
        "<ReceiverId>98765</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
    )


# -- CPU


def drive(port: int, subscribers: int, count: int) -> dict[str, float]:
    """Subscribe, publish ``count`` events and wait until each has reached its one subscriber."""
    load = Load(port, ADDRESS, ADDRESS, count, "", user_id="anonymous")
    selector = selectors.DefaultSelector()
    readers = [Connection(load, selector) for _ in range(min(CONNECTIONS, subscribers))]
    publisher = Connection(load, selector)
    everybody = [*readers, publisher]
    for number in range(subscribers):
        _subscribe(readers[number % len(readers)], number)
    sender = publisher.publish_to(load)

    def turn(wait: float) -> None:
        for connection in everybody:
            connection.write()
        for key, _ in selector.select(wait):
            key.data.read()

    deadline = time.monotonic() + 60
    while not sender.credit or not all(reader.ready for reader in readers):
        turn(0.1)
        if time.monotonic() > deadline:
            raise SystemExit("no link in a minute")
    for _ in range(20):  # the last of a thousand links
        turn(0.05)
    chance = random.Random(1)
    raws = []
    for _ in range(500):
        message = Message(body=document(chance.randrange(subscribers)).encode(), subject="PhoneStatus")
        message.user_id = b"anonymous"
        raws.append(encode(message))
    print("ready", flush=True)
    sys.stdin.readline()
    sent = arrived = 0
    start = time.perf_counter()
    while arrived < count:
        room = min(count - sent, load.window - (sent - arrived), sender.credit)
        for _ in range(min(room, BATCH)):
            sender.send(raws[sent % len(raws)])
            sent += 1
        turn(0.0 if room > BATCH else 0.5)
        arrived = sum(reader.got for reader in readers)
        if time.perf_counter() - start > 300:
            raise SystemExit(f"stuck: sent {sent}, arrived {arrived}")
    return {"seconds": time.perf_counter() - start}


def _subscribe(connection: Connection, number: int) -> None:
    from proton import Described, symbol

    link = connection.session.receiver(f"in-{number}")
    link.source.address = ADDRESS
    name = symbol("apache.org:xquery-filter:string")
    link.source.filter.put_object({symbol("q"): Described(name, query(number))})
    connection.engine.receiver(link, 4000).open()


def broker_cpu(broker: Running, subscribers: int, count: int) -> float:
    """Return microseconds of broker CPU for an event."""
    arguments = ["drive", str(broker.port), str(subscribers), str(count)]
    child = start_role(*arguments)
    assert child.stdout is not None
    assert child.stdin is not None
    child.stdout.readline()
    before = broker.cpu()
    child.stdin.write("go\n")
    child.stdin.flush()
    child.stdout.readline()
    used = broker.cpu() - before
    child.wait()
    if child.returncode:
        raise SystemExit("the load failed")
    return used / count * 1e6


# -- latency


async def listen(url: str, subscribers: int, count: int) -> None:
    """Read all subscriptions and print the latencies, in seconds, sorted."""
    buses = [Bus(url, limits=LIMITS) for _ in range(min(CONNECTIONS, subscribers))]
    latencies: list[float] = []
    done = asyncio.Event()

    async def read(subscription: Any) -> None:
        async for received in subscription.messages():
            sent = datetime.fromisoformat(received.properties["cloudEvents_time"]).timestamp()
            latencies.append(time.time() - sent)
            if len(latencies) == count:
                done.set()

    for bus in buses:
        await bus.start()
    subscriptions = [await buses[n % len(buses)].subscribe(query(n)) for n in range(subscribers)]
    tasks = [asyncio.create_task(read(subscription)) for subscription in subscriptions]
    gc.freeze()
    print("ready", flush=True)
    await asyncio.wait_for(done.wait(), 600)
    print(json.dumps(sorted(latencies)), flush=True)
    for task in tasks:
        task.cancel()
    for bus in buses:
        await bus.close()


async def publish(url: str, subscribers: int, count: int, rate: float) -> None:
    """Publish at a steady rate."""
    registry = EventMaker().registry
    chance = random.Random(2)
    events: list[Event] = [
        registry.receive(document(chance.randrange(subscribers)).encode()) for _ in range(500)
    ]
    async with Bus(url, limits=LIMITS) as bus:
        start = time.time() + 0.2
        for number in range(count):
            pause = start + number / rate - time.time()
            if pause > 0:
                await asyncio.sleep(pause)
            await bus.publish(events[number % len(events)])
        await bus.flush()


def latency(port: int, subscribers: int, rate: int, seconds: float) -> list[float]:
    """Return the latencies of all events, in milliseconds, sorted."""
    url, count = f"amqp://127.0.0.1:{port}/org.clacks", int(rate * seconds)
    ears = start_role("listen", url, str(subscribers), str(count))
    assert ears.stdout is not None
    ears.stdout.readline()
    mouth = start_role("publish", url, str(subscribers), str(count), str(rate))
    found = json.loads(ears.stdout.readline())
    mouth.wait()
    ears.wait()
    return [value * 1000 for value in found]


# -- the bench


def start_role(*arguments: str) -> subprocess.Popen[str]:
    """Start this module as another process."""
    command = [sys.executable, "-m", "benchmarks.filtering_broker", "role", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def verdict(good: bool) -> str:
    """Return the word for the table."""
    return "ok" if good else "MISSED"


def main() -> int:
    """Measure, print the table, and tell whether the figures are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sizes = [size for size in SIZES if size <= options.most]
    cpu: dict[int, float] = {}
    p99: dict[int, float] = {}
    with python_broker("embedded_broker") as broker:
        broker_cpu(broker, 1, 2000)
        for size in sizes:
            cpu[size] = min(broker_cpu(broker, size, options.count) for _ in range(3))
        for size in sizes:
            values = latency(broker.port, size, options.rate, options.seconds)
            p99[size] = values[int(len(values) * 0.99)]
    print("microseconds of broker CPU for an event; p99 from publish to the subscription's reader\n")
    names = "".join(f"{name:>27}" for name in PUBLISHED)
    print(f"{'subscribers':>11} {'embedded':>10}{names} {'p99 ms':>8}")
    met = True
    for size in sizes:
        others = "".join(f"{figures[size]:>27,}" for figures in PUBLISHED.values())
        good = cpu[size] <= CPU_LIMIT and p99[size] < P99_LIMIT
        met = met and good
        print(f"{size:>11} {cpu[size]:>10.1f}{others} {p99[size]:>8.2f}  {verdict(good)}")
    print(f"limits: {CPU_LIMIT:.0f} us, {P99_LIMIT:.0f} ms at {options.rate} events a second")
    if options.json:
        figures = {"broker_cpu_us": cpu, "p99_ms": p99, "published_us": PUBLISHED}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if met else 1


def run_role(role: str, *arguments: str) -> None:
    """Do the part of another process."""
    if role == "drive":
        port, subscribers, count = map(int, arguments)
        print(json.dumps(drive(port, subscribers, count)), flush=True)
    elif role == "listen":
        asyncio.run(listen(arguments[0], int(arguments[1]), int(arguments[2])))
    else:
        url, subscribers, count, rate = arguments
        asyncio.run(publish(url, int(subscribers), int(count), float(rate)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["role"]:
        run_role(*sys.argv[2:])
    else:
        sys.exit(main())
