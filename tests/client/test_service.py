from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from clacks.broker.broker import Broker
from clacks.bus import Bus
from clacks.client.announcement import NetworkDevice
from clacks.client.lifecycle import Lifecycle
from clacks.client.service import Client
from clacks.common.address import client_address
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.errors import CommandRefused, LinkRefused, SettingsError
from clacks.common.event import Event
from clacks.common.jsonrpc import FORBIDDEN, METHOD_NOT_FOUND
from clacks.common.presence import CLIENTS_PROPERTY, INSTANCE_PROPERTY, WANTED_PROPERTY
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings
from clacks.net.listener import BrokerServer

pytestmark = pytest.mark.net

SCHEMAS = SchemaRegistry(plugins=False)
DEVICES = (NetworkDevice("eth0", "192.0.2.7", "", "02:00:5e:00:53:01", "255.255.255.0", "192.0.2.255"),)
RIGHTS = """
[users.admin]
roles = ["admin"]
[users.agent]
roles = ["agent"]
[users.desk]
roles = ["client", "own"]
[users.bare]
roles = ["own"]
[roles.own]
announce = ["desk-*"]
"""


class Soon(Random):
    """Answers to polls without a delay."""

    def random(self) -> float:
        return 0.0


class Users:
    """Who is logged on, as the test says."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()

    def say(self, *users: str) -> None:
        self._said.put_nowait(users)

    async def __call__(self) -> AsyncIterator[tuple[str, ...]]:
        while True:
            yield await self._said.get()


class House:
    """A broker, somebody who listens to everything, and an agent's connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        users = Credentials()
        for name in ("admin", "agent", "desk", "bare"):
            users = users.joined(make_credentials(name, name))
        self.server = BrokerServer(
            Broker(SCHEMAS, parse_rights(RIGHTS)), lambda: users, host="127.0.0.1", port=0
        )
        self.heard: list[Any] = []
        self._something = asyncio.Event()

    def bus(self, user: str) -> Bus:
        port = self.server.ports["amqp"]
        return Bus(f"amqp://{user}:{user}@127.0.0.1:{port}/org.clacks", registry=SCHEMAS)

    def client(self, bus: Bus, text: str = '[client]\nid = "desk-1"', **more: Any) -> Client:
        settings = Settings.parse(text, file=str(self.folder / "settings.toml")).changed(
            state_dir=self.folder / "state"
        )
        more = {"lifecycle": Lifecycle(Soon()), "devices": lambda: DEVICES, "watch": Users(), **more}
        return Client(bus, SCHEMAS, settings, **more)

    async def listen(self, bus: Bus) -> None:
        events = await bus.subscribe(".")

        async def read() -> None:
            async for received in events.messages():
                self.heard.append(received)
                self._something.set()

        self._reading = asyncio.ensure_future(read())

    @property
    def kinds(self) -> list[str]:
        return [received.event.kind for received in self.heard]

    def events(self, kind: str) -> list[Event]:
        return [received.event for received in self.heard if received.event.kind == kind]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._something.clear()
                await self._something.wait()


def house(test: Callable[[House, Bus], Any]) -> Callable[[Path], None]:
    """Run a test with a broker, everything heard, and the bus of an agent."""

    def run(tmp_path: Path) -> None:
        async def live() -> None:
            home = House(tmp_path)
            async with home.server, home.bus("admin") as ear, home.bus("agent") as agent:
                await home.listen(ear)
                await test(home, agent)
                home._reading.cancel()

        asyncio.run(live())

    run.__name__ = test.__name__
    return run


@house
async def test_a_client_announces_itself_serves_and_leaves(home: House, agent: Bus) -> None:
    async with home.bus("desk") as bus:
        async with home.client(bus) as client:
            await home.until(lambda: "ClientAnnounce" in home.kinds)
            told = home.events("ClientAnnounce")[0].to_dict()
            assert told["Id"] == client.id == "desk-1"
            assert told["NetworkInformation"]["NetworkDevice"][0]["MAC"] == "02:00:5e:00:53:01"
            names = {method["Name"] for method in told["ClientCapabilities"]["ClientMethod"]}
            address = client_address("org.clacks", "desk-1")
            assert names == set(await agent.call("getMethods", address=address))
            with pytest.raises(CommandRefused) as error:
                await agent.call("shutdown", address=address)
            assert error.value.code == METHOD_NOT_FOUND
        await home.until(lambda: "ClientLeave" in home.kinds)
        instances = {received.properties[INSTANCE_PROPERTY] for received in home.heard}
        assert len(instances) == 1


@house
async def test_a_poll_is_answered_with_a_new_announcement(home: House, agent: Bus) -> None:
    async with home.bus("desk") as bus, home.client(bus):
        poll = SCHEMAS.from_dict("ClientPoll", {})
        await agent.publish(poll, properties={CLIENTS_PROPERTY: 3})
        await home.until(lambda: home.kinds.count("ClientAnnounce") == 2)


@house
async def test_a_poll_that_names_others_is_not_answered(home: House, agent: Bus) -> None:
    asked: list[int] = []

    class Life(Lifecycle):
        def polled(self, now: float, clients: int = 0) -> None:
            asked.append(clients)
            super().polled(now, clients)

    async with home.bus("desk") as bus, home.client(bus, lifecycle=Life(Soon())) as client:
        poll = SCHEMAS.from_dict("ClientPoll", {})
        await agent.publish(poll, properties={CLIENTS_PROPERTY: 1, WANTED_PROPERTY: "desk-2 desk-10"})
        named = {CLIENTS_PROPERTY: 2, WANTED_PROPERTY: f"desk-2 {client.id}"}
        await agent.publish(poll, properties=named)
        await home.until(lambda: home.kinds.count("ClientAnnounce") == 2)
    assert asked == [2]


@house
async def test_users_are_told_at_each_change_and_after_a_poll(home: House, agent: Bus) -> None:
    users = Users()
    async with home.bus("desk") as bus, home.client(bus, watch=users) as client:
        users.say("jane")
        users.say("bob", "jane")
        users.say()
        await home.until(lambda: home.kinds.count("UserSession") == 3)
        said = [event.to_dict().get("User") for event in home.events("UserSession")]
        assert [(item or {}).get("Name", []) for item in said] == [["jane"], ["bob", "jane"], []]
        users.say("ann")
        await home.until(lambda: home.kinds.count("UserSession") == 4)
        assert await agent.call("getUsers", address=client_address("org.clacks", client.id)) == ["ann"]
        await agent.publish(SCHEMAS.from_dict("ClientPoll", {}))
        await home.until(lambda: home.kinds.count("UserSession") == 5)
        assert home.kinds.index("ClientPoll") < home.kinds.index("ClientAnnounce", 1)


@house
async def test_a_notification_is_shown_to_whom_it_is_for(home: House, agent: Bus) -> None:
    users, shown = Users(), asyncio.Queue[tuple[Any, ...]]()
    loop = asyncio.get_running_loop()

    def show(*words: Any) -> bool:
        loop.call_soon_threadsafe(shown.put_nowait, words)
        return True

    async with home.bus("desk") as bus, home.client(bus, watch=users, show=show):
        users.say("jane")
        await home.until(lambda: "UserSession" in home.kinds)
        for target, timeout in (("bob", None), ("jane", 500), ("*", None), ("jane", -7)):
            content = {"Target": target, "Title": "Hello", "Body": f"to {target}", "Timeout": timeout}
            await agent.publish(SCHEMAS.from_dict("Notification", content))
        async with asyncio.timeout(20):
            assert await shown.get() == ("jane", "Hello", "to jane", "", 500)
            assert await shown.get() == ("jane", "Hello", "to *", "", -1)


@house
async def test_the_id_stays_when_the_client_starts_again(home: House, agent: Bus) -> None:
    ids = []
    for _ in range(2):
        async with home.bus("admin") as bus, home.client(bus, "") as client:
            ids.append(client.id)
    assert ids[0] == ids[1]
    assert (home.folder / "state" / "client-id").read_text().strip() == ids[0]


@house
async def test_only_callers_that_are_named_are_served(home: House, agent: Bus) -> None:
    async with home.bus("desk") as bus, home.client(bus, '[client]\nid = "desk-1"\ncallers = ["ag*"]'):
        address = client_address("org.clacks", "desk-1")
        assert await agent.call("getUsers", address=address) == []
        async with home.bus("admin") as other:
            with pytest.raises(CommandRefused) as error:
                await other.call("getUsers", address=address)
        assert error.value.code == FORBIDDEN


@house
async def test_commands_of_modules_are_announced_and_a_broken_module_is_reported(
    home: House, agent: Bus
) -> None:
    text = '[client]\nid = "desk-1"\ncommands = ["tests.client.lamp", "tests.client.missing"]'
    async with home.bus("desk") as bus, home.client(bus, text) as client:
        assert await agent.call("dim", 30, address=client_address("org.clacks", "desk-1")) == "30 %"
        assert [failure.name for failure in client.failures] == ["tests.client.missing"]
        await home.until(lambda: "ClientAnnounce" in home.kinds)
        methods = home.events("ClientAnnounce")[0].to_dict()["ClientCapabilities"]["ClientMethod"]
        assert "dim" in {method["Name"] for method in methods}


@house
async def test_a_login_without_the_rights_of_a_client_is_told_so(home: House, agent: Bus) -> None:
    async with home.bus("bare") as bus:
        with pytest.raises(LinkRefused):
            await home.client(bus).start()
    async with home.bus("desk") as bus:
        with pytest.raises(LinkRefused, match="other-1"):
            await home.client(bus, '[client]\nid = "other-1"').start()
    assert "ClientAnnounce" not in home.kinds


@house
async def test_a_client_comes_back_after_its_connection_was_lost(home: House, agent: Bus) -> None:
    async with home.bus("desk") as bus, home.client(bus):
        await home.until(lambda: "ClientAnnounce" in home.kinds)
        assert bus._client._wire is not None
        bus._client._wire.transport.abort()  # type: ignore[union-attr]
        await home.until(lambda: home.kinds.count("ClientAnnounce") == 2)
        assert "ClientLeave" not in home.kinds
        assert await agent.call("getUsers", address=client_address("org.clacks", "desk-1")) == []


def test_an_id_that_cannot_be_part_of_an_address_is_refused(tmp_path: Path) -> None:
    settings = Settings.parse('[client]\nid = "a b"')
    with pytest.raises(SettingsError, match="client id"):
        Client(Bus("amqp://localhost"), SCHEMAS, settings)


def test_the_process_has_no_files_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    test_a_client_announces_itself_serves_and_leaves(tmp_path)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
