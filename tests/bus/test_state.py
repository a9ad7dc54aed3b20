from __future__ import annotations

import asyncio

import pytest

from clacks.bus.state import BusState, StateChange, StateWatch
from tests.bus.house import scenario


@scenario
async def test_changes_are_told_in_their_order() -> None:
    watch = StateWatch()
    seen: list[StateChange] = []
    end = watch.listen(seen.append)
    watch.become(BusState.CONNECTING)
    watch.become(BusState.CONNECTED, "clacks 1")
    await asyncio.sleep(0)
    assert [(change.state, change.reason) for change in seen] == [
        (BusState.CONNECTING, ""),
        (BusState.CONNECTED, "clacks 1"),
    ]
    assert seen[0].at <= seen[1].at
    end()
    watch.become(BusState.CLOSED)
    await asyncio.sleep(0)
    assert len(seen) == 2


@scenario
async def test_the_same_state_again_is_told_only_with_a_reason() -> None:
    watch = StateWatch()
    seen: list[StateChange] = []
    watch.listen(seen.append)
    watch.become(BusState.RECONNECTING, "first")
    watch.become(BusState.RECONNECTING)
    watch.become(BusState.RECONNECTING, "second")
    await asyncio.sleep(0)
    assert [change.reason for change in seen] == ["first", "second"]


@scenario
async def test_a_callback_that_fails_is_logged_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(change: StateChange) -> None:
        raise RuntimeError("mine")

    watch = StateWatch()
    seen: list[StateChange] = []
    watch.listen(fail)
    watch.listen(seen.append)
    watch.become(BusState.CONNECTING)
    await asyncio.sleep(0)
    assert len(seen) == 1
    assert "mine" in caplog.text


@scenario
async def test_iterating_ends_with_the_bus() -> None:
    watch = StateWatch()
    seen: list[BusState] = []

    async def collect() -> None:
        async for change in watch.changes():
            seen.append(change.state)

    task = asyncio.ensure_future(collect())
    await asyncio.sleep(0)
    watch.become(BusState.CONNECTED)
    watch.become(BusState.CLOSED)
    await task
    assert seen == [BusState.CONNECTED, BusState.CLOSED]
