"""What a broker needs for an event: by the number of subscribers, by the rate, by the size of the event.

    python -m benchmarks.capacity [--broker NAME] [--seconds N] [--most K]

A publisher sends at a steady rate; subscribers with a connection each, in two processes, get all of it. Shown
is the CPU (user and system) of the broker for an event and of a subscriber for a delivery, and what was lost.
At the end a line a + b K is drawn through the runs with different numbers of subscribers, by least squares of
the relative errors, with the largest deviation from it.

Unlike in `benchmarks.publish_to_callback` nothing is as fast as it may be: a broker that has a pause after
each event needs more for it than one that gets a hundred at once. Other work on the machine makes CPU too
large.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.publish_to_callback import LIMITS, Middle, Part, cpu, hear, say
from clacks.bus import Bus, Subscription
from clacks.common.event import EventMaker

WARM_UP = 30_000  # events for brokers in Java, which compile while they run
LEFT_OVER = 1.0  # seconds until RabbitMQ removes the queues of subscribers that have gone
PATIENCE = 60.0
PROCESSES = 2


async def crowd(url: str, count: str) -> None:
    """Subscribe with that many connections, and count."""
    async with contextlib.AsyncExitStack() as stack:
        readers: list[asyncio.Task[None]] = []
        got = 0

        async def read(events: Subscription) -> None:
            nonlocal got
            async for _ in events:
                got += 1

        for _ in range(int(count)):
            bus = await stack.enter_async_context(Bus(url, limits=LIMITS))
            readers.append(asyncio.ensure_future(read(await bus.subscribe(kinds=["PhoneStatus"]))))
        gc.freeze()
        say(ready=True)
        while task := await asyncio.to_thread(hear):
            got, begun = 0, cpu()
            say(begun=True)
            end = time.monotonic() + PATIENCE
            while got < task["events"] * int(count) and time.monotonic() < end:
                await asyncio.sleep(0.02)
            say(got=got, cpu=cpu() - begun)
        for reader in readers:
            reader.cancel()


async def publisher(url: str) -> None:
    """Publish at a steady rate."""
    maker = EventMaker()
    async with Bus(url, limits=LIMITS) as bus:
        say(ready=True)
        while task := await asyncio.to_thread(hear):
            empty = maker.event("PhoneStatus", CallerId="012345", ReceiverId="12343424", Status="")
            room = max(1, task["size"] - len(maker.registry.event(empty).xml))
            event = maker.registry.event(
                maker.event("PhoneStatus", CallerId="012345", ReceiverId="12343424", Status="b" * room)
            )
            size, count, rate = len(event.xml), task["events"], task["rate"]
            start = time.monotonic()
            for number in range(count):
                pause = start + number / rate - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                await bus.publish(event)
            await bus.flush()
            say(size=size, seconds=time.monotonic() - start)


@dataclass(frozen=True)
class Run:
    """One measured run: µs of CPU of the broker for an event."""

    subscribers: int
    rate: int
    size: int
    cost: float
    subscriber_cost: float
    lost: int

    def line(self) -> str:
        """Return it for people."""
        what = f"{self.subscribers:11} {self.rate:9} {self.size:8}"
        return f"{what} {self.cost:12.0f} {self.subscriber_cost:14.0f} {self.lost:6}"


def measure(
    middle: Middle, plans: list[tuple[int, int, int]], seconds: float, warm_up: int = 1000
) -> list[Run]:
    """Carry out the plans: subscribers, events a second, bytes of an event."""
    runs: list[Run] = []
    mouth = Part("role", "publisher", middle.url, module="benchmarks.capacity")
    ears: list[Part] = []
    try:
        for place, (subscribers, rate, size) in enumerate(plans):
            if not place or plans[place - 1][0] != subscribers:
                for one in ears:
                    one.stop()
                time.sleep(3 * LEFT_OVER)
                shares = [subscribers // PROCESSES + (n < subscribers % PROCESSES) for n in range(PROCESSES)]
                ears = [
                    Part("role", "crowd", middle.url, str(n), module="benchmarks.capacity")
                    for n in shares
                    if n
                ]
            if not place:
                _run(middle, mouth, ears, subscribers, warm_up, 3000, size)
            if place and plans[place - 1][0] != subscribers:
                # What came and went costs the broker something for seconds, and Java compiles anew.
                _run(middle, mouth, ears, subscribers, 3000, 1000, size)
            runs.append(_run(middle, mouth, ears, subscribers, int(rate * seconds), rate, size))
            print(runs[-1].line(), flush=True)
    finally:
        for one in (*ears, mouth):
            one.stop()
    return runs


def _run(
    middle: Middle, mouth: Part, ears: list[Part], subscribers: int, count: int, rate: int, size: int
) -> Run:
    for one in ears:
        one.tell(events=count)
        one.hear()
    before = middle.cpu()
    mouth.tell(events=count, rate=rate, size=size)
    sent: dict[str, Any] = mouth.hear()
    seen = [one.hear() for one in ears]
    used = middle.cpu() - before
    got = sum(one["got"] for one in seen)
    each = sum(one["cpu"] for one in seen) / max(1, got)
    lost = count * subscribers - got
    return Run(subscribers, rate, sent["size"], used / count * 1e6, each * 1e6, lost)


def line_through(runs: list[Run]) -> tuple[float, float, float]:
    """Return a and b of a + b K, and the largest relative deviation of a run from it."""
    weights = [1 / run.cost**2 for run in runs]
    total = sum(weights)
    middle_k = sum(w * run.subscribers for w, run in zip(weights, runs, strict=True)) / total
    middle_c = sum(w * run.cost for w, run in zip(weights, runs, strict=True)) / total
    slope = sum(
        w * (run.subscribers - middle_k) * (run.cost - middle_c) for w, run in zip(weights, runs, strict=True)
    ) / sum(w * (run.subscribers - middle_k) ** 2 for w, run in zip(weights, runs, strict=True))
    start = middle_c - slope * middle_k
    return start, slope, max(abs(start + slope * run.subscribers - run.cost) / run.cost for run in runs)


def main() -> None:
    """Measure one broker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--broker", choices=["embedded", "rabbitmq", "activemq", "artemis", "broker-j"], default="embedded"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--most", type=int, default=48, help="subscribers")
    options = parser.parse_args()
    counts = [k for k in (1, 4, 16, options.most) if k <= options.most]
    by_count = [(k, 300, 160) for k in counts if k != 4]
    by_rate = [(4, rate, 160) for rate in (2000, 1000, 300, 100)]
    by_size = [(4, 300, size) for size in (1000, 10_000, 100_000)]
    middle = Middle(options.broker, None)
    try:
        if options.broker == "rabbitmq":
            # Or the next run would pay for them: docs/brokers/rabbitmq.md.
            rule = f'{{"expires":{int(LEFT_OVER * 1000)}}}'
            middle.node.control("set_policy", "left-over", "^amq[.]gen", rule, "--apply-to", "queues")
        print(f"broker: {middle.title}")
        print("subscribers  events/s    bytes  us for event  us/subscriber   lost")
        warm_up = WARM_UP if options.broker in ("activemq", "artemis", "broker-j") else 1000
        runs = measure(middle, [*by_rate, *by_size, *by_count], options.seconds, warm_up)
    finally:
        middle.stop()
    a, b, off = line_through([run for run in runs if run.rate == 300 and run.size < 200])
    print(f"at 300 events/s: {a:.0f} + {b:.1f} K us, runs off by at most {off:.0%}")
    (small,) = (run for run in runs if (run.subscribers, run.rate) == (4, 300) and run.size < 200)
    large = max(runs, key=lambda run: run.size)
    each = (large.cost - small.cost) / (large.size - small.size) / 4 * 1000
    print(f"a kilobyte more: {each:.2f} us for each of 4 subscribers")


if __name__ == "__main__":
    if sys.argv[1:2] == ["role"]:
        roles = {"crowd": crowd, "publisher": publisher}
        asyncio.run(roles[sys.argv[2]](*sys.argv[3:]))
    else:
        main()
