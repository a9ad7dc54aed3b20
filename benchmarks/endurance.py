"""Endurance: a steady stream through a broker with a hundred filters; memory and latency minute by minute.

    python -m benchmarks.endurance [--minutes N] [--rate N] [--folder DIR]
    python -m benchmarks.endurance --plot DIR

Four processes over loopback: publisher, broker, two consumers with fifty XQuery filters each. A filter in a
hundred takes all events, the others about one in a hundred: equality, ranges, parts of texts, `let` with
conditions. Latency is the time from just before `publish` (``cloudEvents_time``) to the reader of the
subscription, by the clock of the machine.

On a machine that is too busy the publisher leaves out what it could not send in time; ``published`` shows it.

Writes ``minutes.csv`` (events, drops, latency quantiles in ms) and ``memory.csv`` (resident MiB of each
process) into the folder as it goes, and ``endurance.svg`` at the end. Fails if a process grows by 5 % or more
after the first five minutes, if latency (the median of the minutes' p99) more than doubles from the first
third of the minutes to the last, or if events were dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gc
import json
import math
import random
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from clacks.broker.broker import Broker
from clacks.bus import Bus, Subscription
from clacks.common.credentials import make_credentials
from clacks.common.event import EventMaker
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.net.listener import BrokerServer

FILTERS = 100
SETTLED = 5  # minutes until memory counts: caches fill, pages are touched for the first time
GROWTH = 0.05
SHARES = (0.5, 0.9, 0.99, 0.999)
RIGHTS = '[users.admin]\nroles = ["admin"]\n'
HEAD = "declare namespace f='http://www.gonicus.de/Events'; "


def queries() -> Iterator[str]:
    """Yield a hundred filters."""
    yield HEAD + "./f:Event/f:PhoneStatus"
    for n in range(1, FILTERS):
        match n % 4:
            case 0:
                yield HEAD + f"./f:Event/f:PhoneStatus[f:CallerId = 'c{n}']"
            case 1:
                low = n * 10
                yield (
                    HEAD + f"./f:Event/f:PhoneStatus[number(f:ReceiverId) >= {low} and "
                    f"number(f:ReceiverId) < {low + 10}]"
                )
            case 2:
                yield HEAD + f"./f:Event/f:PhoneStatus[starts-with(f:CallerId, 'c{n}')]"
            case _:
                yield (
                    HEAD + f"let $p := ./f:Event/f:PhoneStatus where $p/f:CallerId = 'c{n}' and "
                    "$p/f:Status = ('busy', 'ringing') return $p"
                )


# -- the processes


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def broker() -> None:
    registry = SchemaRegistry(plugins=False)
    registry.load()
    credentials = make_credentials("admin", "secret")
    server = BrokerServer(
        Broker(registry, parse_rights(RIGHTS)), lambda: credentials, host="127.0.0.1", port=0
    )
    async with server:
        gc.freeze()
        say(port=server.ports["amqp"])
        asked = await lines()
        while await asked.readline():
            metrics = server.broker.metrics
            say(dropped=metrics.total("messages_dropped"))


async def publisher(url: str, rate: str) -> None:
    maker = EventMaker()
    dice = random.Random(7)
    async with Bus(url) as bus:
        say(ready=True)
        asked = await lines()
        await asked.readline()

        async def talk() -> None:
            start, count = time.monotonic(), 0
            while True:
                due = int((time.monotonic() - start) * float(rate))
                if due - count > float(rate) / 10:
                    # A tenth of a second behind: the machine was busy. Catching up would be a flood.
                    start, due = start + (due - count) / float(rate), count
                for _ in range(count, due):
                    event = maker.event(
                        "PhoneStatus",
                        CallerId=f"c{dice.randrange(100)}",
                        ReceiverId=str(dice.randrange(1000)),
                        Status=dice.choice(("busy", "ringing", "connected")),
                    )
                    await bus.publish(event)
                count = due
                await asyncio.sleep(0.001)

        talking = asyncio.ensure_future(talk())
        while await asked.readline():
            metrics = bus.metrics
            say(dropped=metrics.total("events_dropped"), count=metrics.total("events_published"))
        talking.cancel()


class Latencies:
    """Counts of latencies in steps of one per cent: it takes the same memory for any number of them."""

    LEAST = 1e-5
    STEP = math.log(1.01)

    def __init__(self) -> None:
        self.counts = array("Q", bytes(8 * 2000))
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        place = int(math.log(max(seconds, self.LEAST) / self.LEAST) / self.STEP)
        self.counts[min(place, len(self.counts) - 1)] += 1
        self.longest = max(self.longest, seconds)

    def take(self) -> tuple[int, list[float]]:
        """Return how many there were, the quantiles and the longest one, in seconds; begin anew."""
        total = sum(self.counts)
        found, seen, wanted = [], 0, [total * share for share in SHARES]
        for place, count in enumerate(self.counts):
            seen += count
            while len(found) < len(wanted) and total and seen > wanted[len(found)]:
                found.append(self.LEAST * math.exp(self.STEP * (place + 1)))
        values = [*found, *[0.0] * (len(wanted) - len(found)), self.longest]
        for place in range(len(self.counts)):
            self.counts[place] = 0
        self.longest = 0.0
        return total, values


async def consumer(url: str, first: str) -> None:
    latencies = Latencies()

    async def read(events: Subscription) -> None:
        async for received in events.messages():
            sent = datetime.fromisoformat(received.properties["cloudEvents_time"]).timestamp()
            latencies.add(time.time() - sent)

    async with Bus(url) as bus:
        wanted = list(queries())[int(first) : int(first) + FILTERS // 2]
        reading = [asyncio.ensure_future(read(await bus.subscribe(query))) for query in wanted]
        say(ready=True)
        asked = await lines()
        while await asked.readline():
            count, values = latencies.take()
            say(dropped=bus.metrics.total("events_dropped"), count=count, latencies=values)
        for task in reading:
            task.cancel()


class Part:
    """One of the processes."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "benchmarks.endurance", "role", *arguments]
        self.name = arguments[0] + (f"-{int(arguments[2]) // 50 + 1}" if arguments[0] == "consumer" else "")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the {self.name} ended early")
        return json.loads(line)

    def tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ask(self) -> dict[str, Any]:
        self.tell()
        return self._hear()

    def resident(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


# -- the run


def run(folder: Path, minutes: int, rate: int) -> None:
    """Run it and write the tables as it goes."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Part] = []
    try:
        parts.append(middle := Part("broker"))
        url = f"amqp://admin:secret@127.0.0.1:{middle.hello['port']}/org.clacks"
        ears = [Part("consumer", url, str(first)) for first in (0, FILTERS // 2)]
        parts += ears
        parts.append(mouth := Part("publisher", url, str(rate)))
        with (folder / "minutes.csv").open("w") as one, (folder / "memory.csv").open("w") as other:
            told, sizes = csv.writer(one), csv.writer(other)
            told.writerow(
                [
                    "minute",
                    "published",
                    "delivered",
                    "dropped",
                    "p50_ms",
                    "p90_ms",
                    "p99_ms",
                    "p99.9_ms",
                    "max_ms",
                ]
            )
            sizes.writerow(["minute", *(part.name for part in parts)])
            mouth.tell()
            start, before = time.monotonic(), 0
            for minute in range(1, minutes + 1):
                time.sleep(max(0.0, start + minute * 60 - time.monotonic()))
                heard = [ear.ask() for ear in ears]
                said, routed = mouth.ask(), middle.ask()
                worst = [max(values) * 1000 for values in zip(*(ear["latencies"] for ear in heard))]
                dropped = said["dropped"] + routed["dropped"] + sum(ear["dropped"] for ear in heard)
                delivered = sum(ear["count"] for ear in heard)
                told.writerow(
                    [minute, said["count"] - before, delivered, dropped, *(f"{value:.2f}" for value in worst)]
                )
                before = said["count"]
                sizes.writerow([minute, *(f"{part.resident():.2f}" for part in parts)])
                one.flush()
                other.flush()
                print(f"{minute:>4} {said['count']:>9} published, p99 {worst[2]:.2f} ms", flush=True)
        print("CPU seconds: " + ", ".join(f"{part.name} {part.cpu():.0f}" for part in parts))
    finally:
        for part in reversed(parts):
            part.stop()


def read(file: Path) -> dict[str, list[float]]:
    """Return a table by columns."""
    with file.open() as lines_:
        rows = list(csv.DictReader(lines_))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def verdict(folder: Path) -> bool:
    """Print what holds, and tell whether all does."""
    memory, minutes = read(folder / "memory.csv"), read(folder / "minutes.csv")
    good = True
    for name, sizes in memory.items():
        if name != "minute" and len(sizes) > SETTLED:
            growth = max(sizes[SETTLED:]) / sizes[SETTLED - 1] - 1
            good &= growth < GROWTH
            print(
                f"{name:12} {sizes[SETTLED - 1]:7.1f} MiB after {SETTLED} min, {sizes[-1]:7.1f} at the end, "
                f"at most {growth:+.1%}"
            )
    late = minutes["p99_ms"]
    third = max(1, len(late) // 3)
    begin, end = statistics.median(late[:third]), statistics.median(late[-third:])
    dropped = int(minutes["dropped"][-1])
    print(
        f"p99 {begin:.2f} ms in the first third of the minutes, {end:.2f} ms in the last; dropped {dropped}"
    )
    return good and end <= 2 * begin and dropped == 0


# -- the picture

_COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8a5a9e", "#8d6a00")


def plot(folder: Path) -> None:
    """Draw memory and latency over time."""
    memory, minutes = read(folder / "memory.csv"), read(folder / "minutes.csv")
    names = [name for name in memory if name != "minute"]
    pictures = [
        _chart("Resident memory, MiB", memory["minute"], [(name, memory[name]) for name in names], 0),
        _chart(
            "Latency from publish to reader, ms",
            minutes["minute"],
            [(name, minutes[f"{name}_ms"]) for name in ("p50", "p90", "p99", "p99.9")],
            260,
        ),
    ]
    (folder / "endurance.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 520" '
        'font-family="sans-serif" font-size="12">\n'
        '<rect width="760" height="520" fill="#ffffff"/>\n' + "".join(pictures) + "</svg>\n",
        "utf-8",
    )


def _chart(title: str, xs: Sequence[float], lines_: list[tuple[str, list[float]]], top: int) -> str:
    left, width, height, begin = 60.0, 560.0, 170.0, top + 40.0
    most = max(max(values) for _, values in lines_) * 1.1 or 1.0
    last = max(xs)
    out = [f'<text x="{left}" y="{begin - 15}" font-size="14">{title}</text>\n']
    for step in range(5):
        value, y = most * step / 4, begin + height * (1 - step / 4)
        out.append(
            f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#dddddd"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>\n'
        )
    for minute in range(0, int(last) + 1, max(1, int(last) // 10)):
        x = left + width * minute / last
        out.append(f'<text x="{x:.1f}" y="{begin + height + 16}" text-anchor="middle">{minute}</text>\n')
    out.append(f'<text x="{left + width + 8}" y="{begin + height + 16}">minutes</text>\n')
    for number, (name, values) in enumerate(lines_):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(
            f"{left + width * x / last:.1f},{begin + height * (1 - value / most):.1f}"
            for x, value in zip(xs, values)
        )
        out.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
            f'<text x="{left + width + 8}" y="{begin + 12 + 18 * number}" fill="{colour}">{name}</text>\n'
        )
    return "".join(out)


def main() -> int:
    """Run, print, and tell whether it held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rate", type=int, default=2000, help="events a second")
    parser.add_argument("--folder", type=Path, default=Path("endurance"))
    parser.add_argument("--plot", type=Path, metavar="DIR", help="only draw and judge what a run wrote there")
    options = parser.parse_args()
    folder: Path = options.plot or options.folder
    if options.plot is None:
        run(folder, options.minutes, options.rate)
    plot(folder)
    return 0 if verdict(folder) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["role"]:
        roles: dict[str, Any] = {"broker": broker, "publisher": publisher, "consumer": consumer}
        asyncio.run(roles[sys.argv[2]](*sys.argv[3:]))
    else:
        sys.exit(main())
