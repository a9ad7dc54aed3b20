"""What recording and replaying an event costs.

    python -m benchmarks.store [EVENTS]

CPU is that of the whole process, all threads. "appended one by one" is what `recordEvent` does without a
bus: each event is answered when it is committed, a hundred wait at the same time.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from clacks.agent.command import CommandRegistry
from clacks.agent.recording import Recorder
from clacks.broker.broker import Broker
from clacks.bus import Bus
from clacks.common.credentials import Credentials
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.net.client import LocalConnector
from clacks.net.listener import BrokerServer
from clacks.store import NewEntry, Store, open_store

XML = (
    b"<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus><CallerId>012345</CallerId>"
    b"<ReceiverId>12343424</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)
RIGHTS = '[users.agent]\nroles = ["agent"]\n[users.ann]\nroles = ["admin"]\n'


def entry(n: int) -> NewEntry:
    return NewEntry(
        f"0123456789abcdef-{n:010x}", "PhoneStatus", "urn:clacks:host", 1_790_000_000_000_000 + n, XML, "ann"
    )


async def measured(name: str, events: int, work: Callable[[], Awaitable[object]]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<52} {events / wall:>9,.0f} /s {cpu / events * 1e6:>7.1f} us CPU", flush=True)


async def store_alone(folder: Path, sync: str, events: int) -> None:
    async with open_store(folder / f"{sync}.sqlite", sync=sync) as store:

        async def batches() -> None:
            for start in range(0, events, 200):
                await store.log.append([entry(n) for n in range(start, start + 200)])

        await measured(f"appended in batches of 200, sync={sync}", events, batches)

        async def one_by_one() -> None:
            async def caller(k: int) -> None:
                for n in range(events + k, 2 * events, 100):
                    await store.log.append([entry(n)])

            await asyncio.gather(*(caller(k) for k in range(100)))

        await measured(f"appended one by one, 100 waiting, sync={sync}", events, one_by_one)

        async def alone() -> None:
            for n in range(2 * events, 2 * events + 500):
                await store.log.append([entry(n)])

        await measured(f"appended one by one, one waiting, sync={sync}", 500, alone)

        async def read() -> None:
            page = await store.log.read()
            while page.more:
                page = await store.log.read(after=page.next)

        await measured(f"read in pages of 500, sync={sync}", 2 * events + 500, read)


async def on_the_bus(folder: Path, events: int) -> None:
    registry = SchemaRegistry(plugins=False)
    broker = Broker(registry, parse_rights(RIGHTS))
    async with BrokerServer(broker, Credentials, host="127.0.0.1", port=0) as server:

        def bus(user: str) -> Bus:
            return Bus(
                "amqp://localhost/org.clacks",
                registry=registry,
                connector=LocalConnector(lambda: server.local_socket(user), user),
            )

        async with bus("agent") as agent, bus("ann") as ann, open_store(folder / "bus.sqlite") as store:
            event = registry.receive(XML)
            await ann.publish(event)

            async def publish() -> None:
                for n in range(events):
                    await ann.publish(event)
                    if n % 100 == 99:
                        await ann.flush()
                        await asyncio.sleep(0.005)

            await measured("published, nobody records", events, publish)
            commands = CommandRegistry(
                publish=lambda event: None, rights=parse_rights(RIGHTS), registry=registry, node="n"
            )
            async with Recorder(agent, registry, store, commands=commands, node="n"):

                async def recorded() -> None:
                    await publish()
                    await have(store, events)

                await measured("published and recorded (broker in this process)", events, recorded)

                async def stored() -> None:
                    async def caller() -> None:
                        for _ in range(events // 200):
                            await ann.publish(event, stored=True)

                    await asyncio.gather(*(caller() for _ in range(50)))

                await measured("published with stored=True, 50 waiting", events // 200 * 50, stored)
                total = (await store.log.status()).events

                async def replayed() -> None:
                    async with await ann.subscribe(since="-1h") as subscription:
                        for _ in range(total):
                            await anext(subscription)

                await measured("replayed over the bus, by since=", total, replayed)


async def have(store: Store, events: int) -> None:
    while (await store.log.status()).events < events:
        await asyncio.sleep(0.01)


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        for sync in ("normal", "full"):
            asyncio.run(store_alone(Path(folder), sync, events))
        asyncio.run(on_the_bus(Path(folder), events))


if __name__ == "__main__":
    main()
