"""Publish to callback: three processes over loopback, the query of the reference document, a prebuilt event.

    python -m benchmarks.publish_to_callback [--count N] [--rate N] [--seconds N] [--consumer bus|facade]
                                             [--broker NAME | --url URL] [--subscribers N]

Two runs. In the first the publisher sends as fast as it may, and nothing is dropped, because the queues hold
all of it: events a second from the first `publish` to the last callback, and the CPU (user and system) that
each process took for an event. In the second it sends at a steady rate; the latency of an event is the time
from just before `publish` to the callback, by the clock of the machine (``cloudEvents_time``).

The consumer is a `Bus` with its iterator, or with ``facade`` an `AMQPEventConsumer`, whose callback runs in a
thread and gets an objectified tree. It has the queue that it always has; what that drops is shown.

Another broker than the embedded one (rabbitmq, activemq, artemis, broker-j) is started for the run, on
loopback, as its page advises but with room for all events; ``make setup-brokers`` fetches them. ``--url``
measures one that runs already, and cannot tell its CPU. The budgets hold for the embedded broker.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import psutil

from clacks.broker.broker import Broker
from clacks.bus import Bus, Subscription
from clacks.common.address import BusURL
from clacks.common.components import AMQPEventConsumer
from clacks.common.credentials import make_credentials
from clacks.common.event import EventMaker
from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.net.listener import BrokerServer

QUERY = """
    declare namespace f='http://www.gonicus.de/Events';
    let $e := ./f:Event
    return $e/f:PhoneStatus
"""
RIGHTS = '[users.admin]\nroles = ["admin"]\n'
# The first run asks what the parts can do, not when they begin to drop.
LIMITS = replace(DEFAULT_LIMITS, queue_events=10_000_000, queue_bytes=2**31)
LATENCY_MS = 5.0
BUDGETS = {"publisher": 40.0, "broker": 45.0, "consumer": 45.0}
EVENTS_PER_SECOND = 15_000
PATIENCE = 120.0  # seconds for the events of a run; what has not come then counts as dropped
WARM_UP = 20_000  # events before the measured ones: Java compiles while it runs


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def hear() -> dict[str, Any]:
    return json.loads(sys.stdin.readline() or "{}")


def cpu() -> float:
    return time.process_time()


# -- the three processes


async def broker() -> None:
    registry = SchemaRegistry(plugins=False)
    registry.load()
    credentials = make_credentials("admin", "secret")
    server = BrokerServer(
        Broker(registry, parse_rights(RIGHTS), LIMITS), lambda: credentials, host="127.0.0.1", port=0
    )
    async with server:
        gc.freeze()
        say(port=server.ports["amqp"])
        await asyncio.to_thread(sys.stdin.read)  # until the bench is gone


class Count:
    """What the consumer saw of one run."""

    def __init__(self, events: int) -> None:
        self.left = events
        self.done = threading.Event()
        self.cpu = cpu()
        self.end = 0.0
        self.latencies: list[float] = []

    def one(self) -> None:
        self.left -= 1
        if not self.left:
            self.end = time.time()
            self.done.set()

    def report(self, dropped: int = 0) -> None:
        say(end=self.end, cpu=cpu() - self.cpu, latencies=self.latencies, dropped=dropped)


async def bus_consumer(url: str) -> None:
    async with Bus(url, limits=LIMITS) as bus:
        events = await bus.subscribe(QUERY)
        gc.freeze()
        say(ready=True)
        while task := await asyncio.to_thread(hear):
            count = Count(task["events"])
            say(begun=True)
            try:
                async with asyncio.timeout(PATIENCE):
                    await count_events(events, count, latency=task["latency"])
            except TimeoutError:
                count.end = time.time()
            count.report(count.left)


async def count_events(events: Subscription, count: Count, *, latency: bool) -> None:
    if latency:
        async for received in events.messages():
            sent = datetime.fromisoformat(received.properties["cloudEvents_time"]).timestamp()
            count.latencies.append(time.time() - sent)
            count.one()
            if not count.left:
                return
    else:
        async for _ in events:
            count.one()
            if not count.left:
                return


def facade_consumer(url: str) -> None:
    current: list[Count] = []

    def process(data: Any) -> None:
        current[0].latencies.append(time.time() - float(data.PhoneStatus.CallerId))
        current[0].one()

    def only_count(data: Any) -> None:
        current[0].one()

    callback: list[Callable[[Any], None]] = [only_count]
    with AMQPEventConsumer(
        url, xquery=QUERY, callback=lambda data: callback[0](data), limits=LIMITS
    ) as consumer:
        gc.freeze()
        say(ready=True)
        while task := hear():
            current[:] = [Count(task["events"])]
            callback[0] = process if task["latency"] else only_count
            say(begun=True)
            before = consumer.dropped
            limit = time.time() + PATIENCE
            while not current[0].done.wait(0.02):
                if time.time() > limit or current[0].left <= consumer.dropped - before:
                    current[0].end = time.time()
                    break
            current[0].report(consumer.dropped - before)


async def publisher(url: str) -> None:
    maker = EventMaker()
    async with Bus(url, limits=LIMITS) as bus:
        registry = maker.registry

        def phone(caller: str) -> Any:
            return registry.event(
                maker.event("PhoneStatus", CallerId=caller, ReceiverId="12343424", Status="busy")
            )

        event = phone("012345")
        event.xml  # noqa: B018 - prebuilt means serialized, too
        await bus.publish(event)
        gc.freeze()
        say(ready=True)
        while task := await asyncio.to_thread(hear):
            count, rate = task["events"], task["rate"]
            start, begin = time.time(), cpu()
            for number in range(count):
                if rate:
                    pause = start + number / rate - time.time()
                    if pause > 0:
                        await asyncio.sleep(pause)
                    # The facade shows no properties: there the event itself says when it was sent.
                    await bus.publish(phone(repr(time.time())) if task["stamp"] else event)
                else:
                    await bus.publish(event)
            await bus.flush()
            say(start=start, cpu=cpu() - begin, seconds=time.time() - start)


# -- the bench


class Part:
    """One of the processes."""

    def __init__(self, *arguments: str, module: str = "benchmarks.publish_to_callback") -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self.hear()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark ended early")
        return json.loads(line)

    def tell(self, **words: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class Middle:
    """The broker: our own in a process, a real one, or one that runs already."""

    def __init__(self, name: str, url: str | None) -> None:
        self.title = BusURL.parse(url).safe if url is not None else name
        self.node: Any = None
        self._part: Part | None = None
        if url is not None:
            self.url = url
        elif name == "embedded":
            self._part = Part("role", "broker")
            self.url = f"amqp://admin:secret@127.0.0.1:{self._part.first['port']}/org.clacks"
        elif name == "rabbitmq":
            from scripts.brokers.rabbitmq import RabbitMQ

            self.node = RabbitMQ(policy=False)
        else:
            from scripts.brokers.java import JavaBroker
            from scripts.brokers.products import PRODUCTS

            self.node = JavaBroker(PRODUCTS[name], heap=1024, waiting=10_000_000)
        if self.node is not None:
            self.node.start()
            self.url = self.node.url

    def cpu(self) -> float:
        """CPU time so far; 0 if it cannot be seen."""
        if self._part is not None:
            return self._part.cpu()
        return 0.0 if self.node is None else float(self.node.cpu_seconds())

    def stop(self) -> None:
        for one in (self._part, self.node):
            if one is not None:
                one.stop()


def verdict(good: bool) -> str:
    return "ok" if good else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--consumer", choices=["bus", "facade"], default="bus")
    parser.add_argument(
        "--broker", choices=["embedded", "rabbitmq", "activemq", "artemis", "broker-j"], default="embedded"
    )
    parser.add_argument("--url", help="a broker that runs already, with a user who may do everything")
    parser.add_argument("--subscribers", type=int, default=1, help="processes that all get every event")
    options = parser.parse_args()
    middle = Middle(options.broker, options.url)
    parts: list[Part] = []
    try:
        ears = []
        for _ in range(options.subscribers):
            ears.append(Part("role", options.consumer, middle.url))
            parts.append(ears[-1])
        parts.append(mouth := Part("role", "publisher", middle.url))
        for one in ears:
            one.tell(events=1, latency=False)  # the event with which the publisher opened its link
            one.hear()
            one.hear()

        real = options.broker != "embedded" or options.url is not None
        # The budgets are for one subscriber.
        own = not real and options.subscribers == 1
        if real:
            run(ears, mouth, WARM_UP, 0)
        before = middle.cpu()
        sent, seen = run(ears, mouth, options.count, 0)
        used = {"publisher": sent["cpu"], "broker": middle.cpu() - before, "consumer": seen["cpu"]}
        speed = (options.count - seen["dropped"]) / (seen["end"] - sent["start"])

        steady = int(options.rate * options.seconds)
        _, late = run(ears, mouth, steady, options.rate, stamp=options.consumer == "facade")
        latencies = sorted(late["latencies"])
    finally:
        for part in reversed(parts):
            part.stop()
        middle.stop()

    print(f"broker: {middle.title}, consumer: {options.consumer}, subscribers: {options.subscribers}")
    print(f"events: {options.count}, dropped: {seen['dropped']}; at the steady rate: {late['dropped']}")
    print(f"{'':12} {'us/event':>9}" + (f" {'budget':>7}" if own else ""))
    for name, seconds in used.items():
        cost = seconds / options.count * 1e6
        print(f"{name:12} {cost:9.1f}" + limit(BUDGETS[name], cost <= BUDGETS[name], own=own))
    print(f"events/s     {speed:9.0f}" + limit(EVENTS_PER_SECOND, speed >= EVENTS_PER_SECOND, own=own))
    print(f"latency at {options.rate} events/s, ms" + (f" (limit: p99 {LATENCY_MS:.0f})" if own else ""))
    for share in (0.5, 0.9, 0.99, 0.999):
        value = latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000
        note = verdict(value < LATENCY_MS) if own and share == 0.99 else ""
        print(f"p{share * 100:<11g} {value:9.2f}          {note}".rstrip())


def run(
    ears: list[Part], mouth: Part, count: int, rate: int, *, stamp: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send events, and return what the publisher reports and the slowest consumer."""
    for one in ears:
        one.tell(events=count, latency=bool(rate))
        one.hear()
    mouth.tell(events=count, rate=rate, stamp=stamp)
    sent = mouth.hear()
    return sent, max((one.hear() for one in ears), key=lambda seen: float(seen["end"]))


def limit(value: float, good: bool, *, own: bool) -> str:
    return f" {value:7.0f}  {verdict(good)}" if own else ""


def run_role(role: str, *arguments: str) -> None:
    if role == "facade":
        facade_consumer(*arguments)
    else:
        roles = {"broker": broker, "bus": bus_consumer, "publisher": publisher}
        asyncio.run(roles[role](*arguments))


if __name__ == "__main__":
    if sys.argv[1:2] == ["role"]:
        run_role(*sys.argv[2:])
    else:
        main()
