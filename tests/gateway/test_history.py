"""What was: a reader finds what it was told is published, though the recorder gets it a moment later."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from pathlib import Path

import pytest

from clacks.common.rights import parse_rights
from clacks.dialects.access import Access, Identity
from clacks.dialects.actions import Since, Wanted
from clacks.gateway.history import History
from clacks.store.api import NewEntry
from clacks.store.sqlite import SqliteStore
from tests.bus.house import REGISTRY

RIGHTS = parse_rights("[users.jane]\nroles = ['admin']\n")


@pytest.mark.slow
@pytest.mark.parametrize("topics", ["s/a", "s/+"])
def test_what_was_published_a_moment_ago_is_replayed_though_the_log_did_not_know_its_topic(
    tmp_path: Path, topics: str
) -> None:
    async def run() -> None:
        now = time.time_ns() // 1_000_000
        message_id = f"{now}-0"
        latest = OrderedDict({"s/a": (message_id, asyncio.get_running_loop().time())})
        fields = {"Id": message_id, "Topic": "s/a", "Message": "one", "Timestamp": now}
        xml = REGISTRY.from_dict("TopicMessage", fields).xml
        async with SqliteStore(tmp_path / "log.db", sync="normal") as store:
            history = History(store.log, REGISTRY, 1000, lambda: now, latest)
            access = Access(Identity("jane"), lambda: RIGHTS)

            async def replay() -> list[str]:
                found = history.replay(access, Wanted(topics=topics), Since(ago=60_000), lambda one: True)
                return [delivered.id async for delivered in found]

            reading = asyncio.ensure_future(replay())
            await asyncio.sleep(0.05)
            await store.log.append([NewEntry("e1", "TopicMessage", "x", now * 1000, xml, key="s/a")])
            assert await reading == [message_id]

    asyncio.run(run())
