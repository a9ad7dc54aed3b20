"""Agents as processes, killed in the middle of their work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clacks.bus import Bus
from clacks.common.errors import OutcomeUnknown
from tests.agent.fleet import Fleet, fleet

pytestmark = [pytest.mark.net, pytest.mark.slow]


async def _work(running: Fleet) -> tuple[set[str], set[str]]:
    answered: set[str] = set()
    unknown: set[str] = set()

    async with Bus(running.url()) as bus:

        async def call(number: int) -> None:
            try:
                await bus.call("work", f"n{number}", 0.15, timeout=6.0)
                answered.add(f"n{number}")
            except OutcomeUnknown:
                unknown.add(f"n{number}")

        # More than two agents have workers for: some wait in the queue when one is killed.
        calls = [asyncio.ensure_future(call(number)) for number in range(60)]
        await asyncio.sleep(0.25)
        await asyncio.to_thread(running.stop, "agent-1", kill=True)
        await asyncio.gather(*calls)
    return answered, unknown


def test_a_killed_agent_loses_no_call_that_it_had_not_begun(tmp_path: Path) -> None:
    with fleet(tmp_path) as running:
        running.start("broker")
        running.ready("broker")
        for name in ("agent-1", "agent-2"):
            running.start(name)
        for name in ("agent-1", "agent-2"):
            running.ready(name)
        answered, unknown = asyncio.run(_work(running))
        begun, done = running.worked()
    assert len(begun) == len(set(begun)), "nothing is begun twice"
    assert len(answered) + len(unknown) == 60, "every caller hears of its call"
    assert answered <= set(done)
    assert len(unknown) <= 8, "no more than it had workers"
    assert unknown, "it was killed while it worked"
    assert {f"n{number}" for number in range(60)} - set(begun) <= unknown
