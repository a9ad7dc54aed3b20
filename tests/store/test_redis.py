from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from clacks.common.errors import StoreError, StoreFull
from clacks.store import open_store
from tests.agent.recorders import recording
from tests.bus.house import caller_of, house, phone
from tests.bus.house import scenario as on_the_bus
from tests.store.conftest import redis_server
from tests.store.stores import entry, scenario

pytestmark = [pytest.mark.tool, pytest.mark.net]


@on_the_bus
async def test_two_recorders_share_a_redis_and_record_each_event_once(
    tmp_path: Path, redis_address: str
) -> None:
    # The name of the domain keeps tests apart; here it is the usual one, in a database of its own.
    address = f"{redis_address}?db=7"
    async with (
        house() as h,
        recording(h, tmp_path, address=address) as one,
        recording(h, tmp_path, address=address, user="agent2") as two,
    ):
        bus = await h.bus()
        async with await bus.subscribe() as events:
            for n in range(100):
                await bus.publish(phone(str(n)), stored=n % 2 == 0)
            found = [caller_of(await anext(events)) for _ in range(100)]
        assert sorted(found, key=int) == [str(n) for n in range(100)]
        answer = await bus.call("getEvents", address="org.clacks.command.log", since="-1h")
        assert len(answer["events"]) == 100
        recorded = [desk.bus.metrics.value("events_recorded") for desk in (one, two)]
        assert sum(recorded) == 100
        # That they were published is noted a moment later.
        while await one.store.log.unpublished() or await two.store.log.unpublished():
            await asyncio.sleep(0.02)


@pytest.mark.slow
@scenario
async def test_a_redis_without_room_or_gone_says_so(tmp_path: Path) -> None:
    with redis_server(tmp_path) as address:
        store = open_store(address)
        await store.start()
        await store.log.append([entry(1)])
        store._client.config_set("maxmemory", "1kb")  # type: ignore[attr-defined]
        with pytest.raises(StoreFull, match="no room"):
            await store.log.append([entry(2)])
        with pytest.raises(StoreFull, match="no room"):
            await store.values.set("a", "1")
        store._client.config_set("maxmemory", "0")  # type: ignore[attr-defined]
        await store.log.append([entry(2)])
    with pytest.raises(StoreError):
        await store.log.append([entry(3)])
    await store.close()
    with pytest.raises(StoreError):
        await open_store(address).start()


@pytest.mark.slow
@scenario
async def test_what_was_answered_is_there_after_redis_was_restarted(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    with redis_server(tmp_path / "r") as address:
        async with open_store(address) as store:
            store._client.config_set("appendfsync", "always")  # type: ignore[attr-defined]
            answers = await store.log.append([entry(n) for n in range(100)])
    with redis_server(tmp_path / "r") as address:
        async with open_store(address) as store:
            found = (await store.log.read()).entries
            assert [item.id for item in found] == [answer.id for answer in answers]
            (later,) = await store.log.append([entry(100)])
            assert later.id > answers[-1].id


@scenario
async def test_a_copy_of_a_redis_is_made_by_redis(redis_address: str, tmp_path: Path) -> None:
    async with open_store(redis_address, domain=f"t{time.monotonic_ns()}") as store:
        with pytest.raises(StoreError, match="copied by itself"):
            await store.backup(tmp_path / "copy")
