"""Three agents and twenty clients as processes: everything is killed and started again at random.

``make soak`` runs it; ``CLACKS_SOAK_SECONDS`` says for how long (120 unless told otherwise).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from clacks.bus import Bus
from clacks.common.errors import ClacksError, CommandError
from scripts.brokers.rabbitmq import RabbitMQ
from tests.agent.fleet import USERS, Fleet, fleet

pytestmark = [pytest.mark.soak, pytest.mark.net]

AGENTS = [f"agent-{n}" for n in range(3)]
CLIENTS = [f"client-{n:02d}" for n in range(20)]
SECONDS = float(os.environ.get("CLACKS_SOAK_SECONDS", "120"))


@contextlib.asynccontextmanager
async def _bus(running: Fleet) -> AsyncIterator[Bus]:
    """Log in, as soon as there is a broker again."""
    bus = Bus(running.url())
    async with asyncio.timeout(60.0):
        await bus.start(patient=True)
    try:
        yield bus
    finally:
        await bus.close()


async def _havoc(running: Fleet, kinds: list[str], random: Random) -> int:
    end, ends = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        name = random.choice([*AGENTS, *random.sample(CLIENTS, 3), *kinds])
        kill = random.random() < 0.5
        await asyncio.to_thread(running.stop, name, kill=kill)
        ends += 1
        await asyncio.sleep(random.uniform(0.0, 2.0))
        running.start(name)
        await asyncio.sleep(random.uniform(0.2, 3.0))
    return ends


async def _callers(running: Fleet, over: asyncio.Event) -> dict[str, int]:
    """Call all the time; every call has to end a little after its time-out at the latest."""
    told = {"answered": 0, "failed": 0, "hung": 0}
    async with _bus(running) as bus:

        async def one(number: int) -> None:
            count = 0
            while not over.is_set():
                try:
                    async with asyncio.timeout(12.0):
                        await bus.call("work", f"{number}-{count}", 0.01, timeout=6.0)
                    told["answered"] += 1
                except TimeoutError:
                    told["hung"] += 1
                except ClacksError:
                    told["failed"] += 1
                count += 1
                await asyncio.sleep(0.1)

        await asyncio.gather(*(one(number) for number in range(5)))
    return told


async def _right(running: Fleet, limit: float) -> str:
    """Wait until every agent has the right tables; return what is wrong if they never get right."""
    wrong, end = "nobody was asked", time.monotonic() + limit
    async with _bus(running) as bus:
        while wrong and time.monotonic() < end:
            wrong = ""
            for agent in AGENTS:
                with contextlib.suppress(asyncio.CancelledError):
                    try:
                        nodes = await bus.call("getNodes", node=agent, timeout=5.0)
                        clients = await bus.call("getClients", node=agent, timeout=5.0)
                    except CommandError as error:
                        wrong += f"{agent}: {error}; "
                        continue
                    if sorted(nodes) != AGENTS or any(node["methods"] is None for node in nodes.values()):
                        wrong += f"{agent} has the nodes {nodes}; "
                    if sorted(clients) != CLIENTS:
                        missing = set(CLIENTS) ^ set(clients)
                        wrong += f"{agent} is wrong about {sorted(missing)}; "
            await asyncio.sleep(1.0)
    return wrong


def _soak(running: Fleet, kinds: list[str]) -> None:
    for name in (*kinds, *AGENTS, *CLIENTS):
        running.start(name)
        if name in kinds:
            running.ready(name)

    async def live() -> tuple[int, dict[str, int], str, float]:
        assert await _right(running, 300.0) == ""
        over = asyncio.Event()
        calling = asyncio.ensure_future(_callers(running, over))
        ends = await _havoc(running, kinds, Random(5))
        over.set()
        told = await calling
        began = time.monotonic()
        # A killed client that did not come back would be missed after 210 s; all have come back here.
        wrong = await _right(running, 300.0)
        return ends, told, wrong, time.monotonic() - began

    ends, told, wrong, took = asyncio.run(live())
    begun, _ = running.worked()
    print(f"{ends} ends, {told}, tables right after {took:.0f} s, {len(begun)} calls begun")
    assert wrong == ""
    assert told["hung"] == 0
    assert told["answered"] > 0
    assert len(begun) == len(set(begun)), "nothing was carried out twice"


def test_everything_is_killed_and_started_again_at_random(tmp_path: Path) -> None:
    with fleet(tmp_path) as running:
        _soak(running, ["broker"])


@pytest.mark.broker
def test_agents_and_clients_are_killed_at_random_on_rabbitmq(tmp_path: Path) -> None:
    if not RabbitMQ.available():
        pytest.fail("RabbitMQ is not installed: make setup-brokers", pytrace=False)
    # A node of our own: the system's may not run, and then everybody would wait for it, patiently.
    with (
        RabbitMQ(dict.fromkeys(USERS, "secret")) as node,
        fleet(tmp_path, broker=f"amqp://{{user}}@127.0.0.1:{node.port}/org.clacks") as running,
    ):
        _soak(running, [])
