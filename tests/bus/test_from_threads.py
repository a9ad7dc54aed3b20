"""Events that another thread than the loop's sends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from clacks.bus import from_threads
from clacks.bus.from_threads import publish_from_thread
from clacks.common.errors import CommandError
from clacks.common.event import Event
from tests.bus.house import phone


class Answers:
    """Stands where a bus does: says whether the event left, or never says it."""

    def __init__(self, left: bool | None) -> None:
        self.left = left
        self.events: list[Event] = []

    async def publish(self, event: Event) -> bool:
        self.events.append(event)
        if self.left is None:
            await asyncio.Event().wait()
        return bool(self.left)


def send(bus: Answers) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(publish_from_thread, cast(Any, bus), loop, phone("1"))

    asyncio.run(run())


def test_the_thread_waits_until_the_event_has_left() -> None:
    bus = Answers(True)
    send(bus)
    assert len(bus.events) == 1


@pytest.mark.parametrize("left", [False, None])
def test_the_thread_hears_that_it_did_not_leave(left: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_threads, "LOOP_TIME", 0.05)
    with pytest.raises(CommandError, match="PhoneStatus was dropped"):
        send(Answers(left))
