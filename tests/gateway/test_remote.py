"""Gateways that stand alone: what was, and what is kept, is asked of the agent that records."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clacks.common.credentials import Credentials
from clacks.common.errors import CommandTimeout, StoreError
from clacks.common.jsonrpc import Request
from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.rights import parse_rights
from clacks.dialects.eventhub import EVENTHUB
from clacks.dialects.http import http_routes
from clacks.gateway.remote import Recorder, RemoteLog, RemoteValues
from clacks.gateway.service import Gateway, Options
from clacks.gateway.tokens import make_token
from clacks.net.web import WebListener
from clacks.store.ids import LogId
from tests.agent.recorders import recording
from tests.bus.house import House, house
from tests.gateway.served import KEY, REGISTRY, Client, phone, scenario

pytestmark = pytest.mark.net

RIGHTS = """
[users.ann]
roles = ["topics"]
[users.bob]
roles = ["phones"]
[roles.topics]
publish = ["TopicMessage", "PhoneStatus"]
read = ["TopicMessage"]
commands = ["web.readKeys", "web.writeKeys"]
[roles.phones]
read = ["PhoneStatus"]
"""


@contextlib.asynccontextmanager
async def lone_gateway(here: House) -> AsyncIterator[str]:
    """A gateway without a store; yields where it listens."""
    bus = await here.bus(name="gateway")
    recorder = Recorder(bus)
    options = Options(paths={"/eventhub": EVENTHUB}, routes=http_routes, token_key=KEY)
    async with Gateway(
        bus,
        REGISTRY,
        options,
        [WebListener("http", "127.0.0.1", 0)],
        limits=DEFAULT_LIMITS,
        credentials=lambda: Credentials({}),
        rights=lambda: parse_rights(RIGHTS),
        log=RemoteLog(recorder),
        keys=RemoteValues(recorder),
    ) as gateway:
        yield f"http://127.0.0.1:{gateway.server.ports[0][1]}"


def token(user: str, *topics: str) -> str:
    wanted = list(topics or ("#", "events/#"))
    return make_token(KEY, user=user, now=time.time(), seconds=3600, read=wanted, write=wanted, limits=[])


async def connected(stack: contextlib.AsyncExitStack, at: str, user: str, *topics: str) -> Client:
    http = await stack.enter_async_context(aiohttp.ClientSession())
    headers = {"Authorization": token(user, *topics)}
    return Client(await stack.enter_async_context(http.ws_connect(f"{at}/eventhub", headers=headers)))


@scenario
async def test_two_gateways_share_the_history_of_one_sqlite_file_within_the_rights_of_the_reader(
    tmp_path: Path,
) -> None:
    async with (
        house() as here,
        recording(here, tmp_path),
        lone_gateway(here) as one,
        lone_gateway(here) as two,
        contextlib.AsyncExitStack() as stack,
    ):
        ann = await connected(stack, one, "ann")
        ids = [
            (await ann.ask("publish", topic=f"t/{n % 2}", message=str(n)))["result"]["id"] for n in range(6)
        ]
        bus = await here.bus(name="desk")
        await bus.publish(phone("7"), stored=True)

        other = await connected(stack, two, "ann")
        found = (await other.ask("eventlog", topic="t/0", since=-60_000))["result"]["items"]
        assert [(item["id"], item["message"]) for item in found] == [
            (ids[0], "0"),
            (ids[2], "2"),
            (ids[4], "4"),
        ]
        found = (await other.ask("eventlog", topic="t/+", since=-60_000, limit=2))["result"]["items"]
        assert sorted(item["message"] for item in found) == ["2", "3", "4", "5"]
        found = (await other.ask("eventlog", topic="t/1", sinceEventId=ids[1]))["result"]["items"]
        assert [item["message"] for item in found] == ["3", "5"]

        await other.ask("subscribe", topic="t/0", sinceEventId=ids[0])
        assert [(await other.message())["result"]["message"] for _ in range(2)] == ["2", "4"]
        await ann.ask("publish", topic="t/0", message="live")
        assert (await other.message())["result"]["message"] == "live"

        # Ann may not read PhoneStatus, bob nothing else, and a token narrows.
        answer = await other.ask("eventlog", topic="events/PhoneStatus", since=-60_000)
        assert not answer.get("result", {}).get("items")
        bob = await connected(stack, two, "bob")
        found = (await bob.ask("eventlog", topic="events/PhoneStatus", since=-60_000))["result"]["items"]
        assert len(found) == 1
        assert '"7"' in found[0]["message"]
        assert not (await bob.ask("eventlog", topic="t/0", since=-60_000)).get("result", {}).get("items")
        narrow = await connected(stack, two, "ann", "t/1")
        assert "error" in await narrow.ask("eventlog", topic="t/0", since=-60_000)


@scenario
async def test_two_gateways_share_the_keys_of_the_agent_that_records(tmp_path: Path) -> None:
    async with (
        house() as here,
        recording(here, tmp_path) as desk,
        lone_gateway(here) as one,
        lone_gateway(here) as two,
        contextlib.AsyncExitStack() as stack,
    ):
        ann, other = await connected(stack, one, "ann"), await connected(stack, two, "ann")
        await ann.ask("set", key="colour", value="green", ttl=60)
        assert (await other.ask("get", key="colour"))["result"]["value"] == "green"
        assert (await other.ask("del", key="colour"))["result"]["success"] is True
        assert (await ann.ask("del", key="colour"))["result"]["success"] is False
        assert "error" in await ann.ask("get", key="colour")
        values = RemoteValues(Recorder(await here.bus()))
        await values.set("a/1", "x", 60)
        await values.set("a/2", "y")
        assert await values.keys("a/") == ["a/1", "a/2"]
        assert 50 < (await values.ttl("a/1") or 0) <= 60
        assert await values.ttl("a/2") == float("inf")
        assert await values.ttl("a/3") is None
        assert await desk.store.values.get("a/1") == "x"


@scenario
async def test_what_a_recorder_has_is_read_as_it_is_there(tmp_path: Path) -> None:
    async with house() as here, recording(here, tmp_path) as desk:
        bus = await here.bus()
        for number in range(5):
            await bus.publish(phone(str(number)), stored=True)
        large = "x" * 600_000
        await bus.publish(phone(large), stored=True)
        log = RemoteLog(Recorder(bus))
        mine, theirs = await log.read(), await desk.store.log.read()
        assert [entry.id for entry in mine.entries] == [entry.id for entry in theirs.entries]
        assert [entry.event.xml for entry in mine.entries] == [entry.event.xml for entry in theirs.entries]
        assert [entry.event.time for entry in mine.entries] == [entry.event.time for entry in theirs.entries]
        newest = await log.read(newest=True, limit=2, since=-5)
        assert [entry.id for entry in newest.entries] == [entry.id for entry in theirs.entries[-2:]]
        assert newest.more
        assert not (await log.read(since=10**15)).entries
        rest = await log.read(after=theirs.entries[1].id, until=theirs.entries[3].id, kinds=["PhoneStatus"])
        assert [entry.id for entry in rest.entries] == [entry.id for entry in theirs.entries[2:4]]
        assert await log.keys("PhoneStatus") == []


class Silent:
    """A bus on which nobody records."""

    domain = "org.clacks"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def request(self, request: Request, *, timeout: float, address: str, patience: float) -> Any:
        self.asked.append(f"{request.method} {address}")
        raise CommandTimeout(-32000, "nobody took it")


@scenario
async def test_that_nobody_records_is_found_out_once_in_a_while() -> None:
    now = [100.0]
    bus = Silent()
    log = RemoteLog(Recorder(bus, lambda: now[0]))
    for _ in range(3):
        with pytest.raises(StoreError, match="no agent on this domain records"):
            await log.read()
    assert bus.asked == ["getEvents org.clacks.command.log"]
    now[0] += 5.0
    with pytest.raises(StoreError):
        await log.keys("TopicMessage")
    assert len(bus.asked) == 2


@scenario
async def test_an_answer_that_is_no_page_is_an_error() -> None:
    class Odd(Silent):
        async def request(self, request: Request, *, timeout: float, address: str, patience: float) -> Any:
            return {"events": [{"log": "1-1"}], "next": "1-1", "more": False}

    with pytest.raises(StoreError, match="no page"):
        await RemoteLog(Recorder(Odd())).read(after=LogId(1, 1))
