"""Agents as processes, killed in the middle of their work."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from clacks.bus import Bus
from clacks.common.errors import OutcomeUnknown
from scripts.brokers.rabbitmq import RabbitMQ
from tests.agent.fleet import USERS, Fleet, fleet

WORKERS = 8
"""Calls that one agent carries out at the same time, unless it is told otherwise."""


async def _goodbye(running: Fleet, name: str, politely: signal.Signals) -> None:
    """End an agent as systemd (SIGTERM) or somebody at a terminal (SIGINT) does; it must say so, and stop."""
    async with Bus(running.url()) as bus:
        heard = await bus.subscribe(kinds=["NodeLeave"])
        await asyncio.to_thread(running.stop, name, kill=False, politely=politely)
        async with asyncio.timeout(20.0):
            async for event in heard:
                if event.to_dict()["Id"] == name:
                    return


async def _work(running: Fleet, rounds: int) -> tuple[set[str], set[str]]:
    answered: set[str] = set()
    unknown: set[str] = set()

    async with Bus(running.url()) as bus:

        async def call(name: str) -> None:
            try:
                await bus.call("work", name, 0.1, timeout=6.0)
                answered.add(name)
            except OutcomeUnknown:
                unknown.add(name)

        for turn in range(rounds):
            # More than two agents have workers for: some wait in the queue when one is killed.
            calls = [asyncio.ensure_future(call(f"{turn}-{number}")) for number in range(40)]
            begun = len(running.worked()[0])
            async with asyncio.timeout(30.0):
                while len(running.worked()[0]) <= begun + 2 * turn:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(running.stop, "agent-1", kill=True)
            await asyncio.gather(*calls)
            if turn + 1 < rounds:
                running.start("agent-1")
                await asyncio.to_thread(running.ready, "agent-1")
    return answered, unknown


def _kill(running: Fleet, rounds: int, politely: signal.Signals) -> None:
    for name in ("agent-1", "agent-2"):
        running.start(name)
    for name in ("agent-1", "agent-2"):
        running.ready(name)
    answered, unknown = asyncio.run(_work(running, rounds))
    asyncio.run(_goodbye(running, "agent-2", politely))
    begun, done = running.worked()
    assert len(begun) == len(set(begun)), "nothing is begun twice"
    assert len(answered) + len(unknown) == 40 * rounds, "every caller hears of its call"
    assert answered <= set(done)
    assert len(unknown) <= WORKERS * rounds, "no more than it had workers"
    assert unknown, "it was killed while it worked"
    assert set(begun) <= answered | unknown
    assert not answered & unknown


@pytest.mark.net
@pytest.mark.slow
def test_a_killed_agent_loses_no_call_that_it_had_not_begun(tmp_path: Path) -> None:
    with fleet(tmp_path) as running:
        running.start("broker")
        running.ready("broker")
        _kill(running, 1, signal.SIGINT)


@pytest.mark.broker
def test_a_killed_agent_loses_no_call_that_it_had_not_begun_on_rabbitmq(tmp_path: Path) -> None:
    if not RabbitMQ.available():
        pytest.fail("RabbitMQ is not installed: make setup-brokers", pytrace=False)
    with (
        RabbitMQ(dict.fromkeys(USERS, "secret")) as node,
        fleet(tmp_path, broker=f"amqp://{{user}}@127.0.0.1:{node.port}/org.clacks") as running,
    ):
        _kill(running, 5, signal.SIGTERM)
