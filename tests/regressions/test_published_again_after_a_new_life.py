"""A consumer was killed and started again with ``since=`` its last log id; what a recorder, killed as well,
published again came a second time (found by tests/chaos: 657 doubles)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clacks.amqp.eventmessage import EventIdentity
from clacks.bus.joining import AGAIN, LOG_ID
from tests.agent.recorders import RIGHTS, recording
from tests.bus.house import caller_of, house, phone, scenario

pytestmark = pytest.mark.net


@pytest.mark.slow
@scenario
async def test_what_a_reader_had_before_the_place_it_names_does_not_come_again(tmp_path: Path) -> None:
    async with house(rights=RIGHTS) as h, recording(h, tmp_path):
        bus = await h.bus()
        first = await bus.publish(phone("1"), stored=True)
        second = await bus.publish(phone("2"), stored=True)
        events = await bus.subscribe(kinds=["PhoneStatus"], since=second)
        got: list[str] = []

        async def read() -> None:
            async for event in events:
                got.append(caller_of(event))

        reading = asyncio.ensure_future(read())
        agent = await h.bus("agent1")
        for name, place in (("1", first), ("2", second), ("3", f"{second.split('-')[0]}9-0")):
            await agent.publish(
                phone(name),
                properties={LOG_ID: place, AGAIN: True},
                identity=EventIdentity(f"again-{name}", "urn:test", 1_790_000_000_000_000),
            )
        async with asyncio.timeout(10):
            while "3" not in got:
                await asyncio.sleep(0.01)
        reading.cancel()
        assert got == ["3"]
