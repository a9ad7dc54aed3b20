from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from clacks.common.event import Event
from clacks.common.presence import (
    CLIENT_SILENCE,
    CLIENTS_PROPERTY,
    INSTANCE_PROPERTY,
    NODE_SILENCE,
    WANTED_PROPERTY,
)
from tests.agent.towns import town
from tests.bus.house import REGISTRY, scenario, until

pytestmark = pytest.mark.net


def event(kind: str, **content: Any) -> Event:
    return REGISTRY.from_dict(kind, content)


def announce(id_: str = "mine-1", methods: int = 1) -> Event:
    device = {
        "Name": "eth0",
        "IPAddress": "10.0.0.7",
        "IPv6Address": "fe80::7",
        "MAC": "52:54:00:00:00:07",
        "Netmask": "255.0.0.0",
        "Broadcast": "10.255.255.255",
    }
    listed = [
        {"Name": f"m{n}", "Path": f"m{n}", "Signature": f"m{n}()", "Documentation": "x"}
        for n in range(methods)
    ]
    return event(
        "ClientAnnounce",
        NetworkInformation={"NetworkDevice": [device]},
        Id=id_,
        Name="a desk",
        ClientCapabilities={"ClientMethod": listed},
    )


@pytest.mark.slow
@scenario
async def test_an_agent_announces_itself_with_its_commands_and_says_when_it_leaves() -> None:
    async with town() as here:
        bus = await here.bus()
        heard = await bus.subscribe(kinds=["NodeAnnounce", "NodeCapabilities", "NodeLeave", "NodeStatus"])
        agent = await here.agent("one")
        kinds: list[str] = []
        found: dict[str, Event] = {}
        async for received in heard.messages():
            kinds.append(received.event.kind)
            found[received.event.kind] = received.event
            assert received.event.root[0][0].text == "one"
            assert len(str(received.properties[INSTANCE_PROPERTY])) == 16
            if received.event.kind == "NodeStatus":
                break
        assert kinds[:2] == ["NodeAnnounce", "NodeCapabilities"]
        methods = {item["Name"]: item for item in found["NodeCapabilities"].to_dict()["NodeMethod"]}
        assert methods["shopping"] == {
            "Name": "shopping",
            "Path": "Shop.shopping",
            "Target": "core",
            "Signature": "shopping(what: text) -> text | null",
            "Type": "FIRSTRESULT",
            "QueueRequired": False,
            "Documentation": "Tell where there is some of it; null if not here.",
        }
        status = found["NodeStatus"].to_dict()
        assert status["Workers"] == 8
        assert status["Load"] >= 0
        assert 0 < status["Latency"] < 10, "measured on the bus"
        await agent.close()
        async for last in heard:
            if last.kind == "NodeLeave":
                break


@pytest.mark.slow
@scenario
async def test_agents_know_each_other_and_what_the_others_can_do() -> None:
    async with town() as here:
        one = await here.agent("one")
        two = await here.agent("two", special=True)
        bus = await here.bus()
        await until(lambda: one.nodes.providers("whoami") and two.nodes.providers("shopping"))
        await until(lambda: all(node.load is not None for node in one.nodes))
        nodes = await bus.call("getNodes", node="one")
        assert sorted(nodes) == ["one", "two"]
        assert set(nodes["two"]) == {"since", "heard", "load", "latency", "workers", "methods", "gateway"}
        assert nodes["two"]["since"] <= nodes["two"]["heard"]
        methods = await bus.call("getMethods", node="one")
        assert methods["whoami"]["nodes"] == ["two"]
        assert methods["shopping"]["nodes"] == ["one", "two"]
        await two.close()
        await until(lambda: "two" not in one.nodes)
        assert "whoami" not in await bus.call("getMethods", node="one")


@pytest.mark.slow
@scenario
async def test_a_command_that_comes_later_is_told_to_the_others() -> None:
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two")
        await until(lambda: len(one.nodes.providers("shopping")) == 2)
        from tests.agent.towns import Special

        two.commands.register(Special("two"))
        await until(lambda: one.nodes.providers("whoami"))


@scenario
async def test_a_login_speaks_only_for_the_ids_that_its_right_announce_names() -> None:
    async with town() as here:
        one = await here.agent("one")
        await here.agent("two")
        await until(lambda: "two" in one.nodes)
        stranger = await here.bus("reader")
        await stranger.publish(event("NodeLeave", Id="two"))
        await stranger.publish(event("ClientAnnounce", **announce("desk-1").to_dict()))
        await stranger.publish(event("NodeStatus", Id="two", Load=99.0, Latency=0.0, Workers=0))
        await stranger.publish(event("NodeAnnounce", Id="mine-2"))
        await until(lambda: "mine-2" in one.nodes)
        assert "two" in one.nodes
        assert one.nodes.get("two").load != 99.0  # type: ignore[union-attr]
        assert len(one.clients) == 0
        assert here.house.broker.metrics.value("messages_dropped", reason="foreign id") == 3


@scenario
async def test_where_the_broker_does_not_see_to_it_the_agents_do() -> None:
    async with town() as here:
        one = await here.agent("one")
        presence = one._presence
        assert presence is not None
        await until(lambda: presence._bus.profile is not None)
        # The same agent, as if RabbitMQ were there: it checks who speaks, not for whom.
        from dataclasses import replace

        from clacks.bus import Received

        presence._bus._profile = replace(presence._bus.profile, checked=False)  # type: ignore[type-var]

        class Bare:
            profile = presence._bus._profile

        presence._bus = Bare()  # type: ignore[assignment]

        def take(sent: Event, user: str | None) -> None:
            presence._take(Received(sent, "", sent.kind, user, {INSTANCE_PROPERTY: "x"}))

        try:
            take(event("NodeAnnounce", Id="other"), "reader")
            take(event("NodeAnnounce", Id="other"), None)
            take(event("NodeAnnounce", Id="other"), "nobody")
            assert "other" not in one.nodes
            take(event("NodeAnnounce", Id="mine-3"), "reader")
            take(event("NodeAnnounce", Id="other"), "agent2")
            assert {node.id for node in one.nodes} == {"one", "mine-3", "other"}
        finally:
            presence._bus = one._bus


@scenario
async def test_clients_come_into_the_table_and_go() -> None:
    async with town() as here:
        one = await here.agent("one")
        client, bus = await here.bus("reader"), await here.bus()
        await client.publish(announce())
        await until(lambda: "mine-1" in one.clients)
        found = await bus.call("getClients")
        assert found["mine-1"]["name"] == "a desk"
        assert found["mine-1"]["user"] == "reader"
        assert found["mine-1"]["methods"] == 1
        [device] = await bus.call("getClientNetInfo", "mine-1")
        assert device["mac"] == "52:54:00:00:00:07"
        assert list(await bus.call("getClientMethods", "mine-1")) == ["m0"]
        await bus.publish(event("UserSession", Id="mine-1", User={"Name": ["ann"]}))
        await until(lambda: one.clients.where("ann"))
        assert await bus.call("getUserSessions") == {"mine-1": ["ann"]}
        await client.publish(event("ClientLeave", Id="mine-1"))
        await until(lambda: "mine-1" not in one.clients)


@pytest.mark.slow
@scenario
async def test_an_agent_that_is_alone_polls_the_clients() -> None:
    async with town() as here:
        bus = await here.bus()
        polls = await bus.subscribe(kinds=["ClientPoll"])
        await here.agent("one")
        async for received in polls.messages():
            assert received.properties[CLIENTS_PROPERTY] == 0
            break


@pytest.mark.slow
@scenario
async def test_an_agent_that_is_not_alone_learns_the_clients_from_another() -> None:
    async with town() as here:
        one = await here.agent("one")
        client = await here.bus("reader")
        await asyncio.gather(*(client.publish(announce(f"mine-{n}", methods=n % 3)) for n in range(30)))
        await until(lambda: len(one.clients) == 30)
        two = await here.agent("two")
        await until(lambda: len(two.clients) == 30)
        assert {
            client.id: (client.name, client.user, client.devices, client.instance) for client in two.clients
        } == {
            client.id: (client.name, client.user, client.devices, client.instance) for client in one.clients
        }
        ours, theirs = one.clients.get("mine-5"), two.clients.get("mine-5")
        assert ours is not None
        assert theirs is not None
        assert ours.methods is not None
        assert theirs.methods is not None
        assert ours.methods.items == theirs.methods.items
        assert abs(ours.announced - theirs.announced) < 5.0  # type: ignore[operator]


@pytest.mark.slow
@scenario
async def test_an_agent_does_not_ask_one_that_it_saw_come(caplog: pytest.LogCaptureFixture) -> None:
    """It knows nothing of what was before, and may have rights of its own that refuse us."""
    with caplog.at_level(logging.INFO, logger="clacks.audit"):

        def asked() -> list[str]:
            lines = (record.getMessage() for record in caplog.records if record.name == "clacks.audit")
            return [line.rpartition("node=")[2] for line in lines if "method=getClientTable" in line]

        async with town() as here:
            one, two = await here.agent("one"), await here.agent("two")
            # The younger one asks last, when the other has made up its mind.
            await until(asked)
            assert "two" in one.nodes
            assert "one" in two.nodes
        assert asked() == ["one"]


@pytest.mark.slow
@scenario
async def test_a_client_that_nobody_announced_is_polled_by_its_id() -> None:
    async with town() as here:
        one = await here.agent("one")
        client, bus = await here.bus("admin"), await here.bus()
        polls = await bus.subscribe(kinds=["ClientPoll"])
        await client.publish(announce("mine-1"))
        await until(lambda: "mine-1" in one.clients)
        async for received in polls.messages():
            if WANTED_PROPERTY not in received.properties:  # it asked everybody, as it is alone
                await client.publish(event("ClientPing", Id="mine-2"))
                # No other poll for a while: 10 s for the answers to that one, and as long again.
                one._presence.life._quiet = 0.0  # type: ignore[union-attr]
                continue
            assert received.properties[WANTED_PROPERTY] == "mine-2"
            assert received.properties[CLIENTS_PROPERTY] == 1
            break


@pytest.mark.slow
@scenario
async def test_an_agent_that_meets_another_which_was_there_before_learns_its_clients() -> None:
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two")
        client = await here.bus("admin")
        await client.publish(announce("mine-1"))
        await until(lambda: "mine-1" in one.clients and "mine-1" in two.clients)
        # As if both had been parted for long, and each had dropped what was on the other side.
        ours, theirs = one._presence, two._presence
        assert ours is not None
        assert theirs is not None
        ours.life.connected_at -= 100.0
        ours.life._asked -= 100.0
        ours.clients.left("mine-1", "")
        ours.nodes.left("two", theirs.instance, ours._now())
        status = event("NodeStatus", Id="two", Load=0.1, Latency=0.001, Workers=4)
        await client.publish(status, properties={INSTANCE_PROPERTY: theirs.instance})
        await until(lambda: "mine-1" in one.clients)
        found = one.nodes.get("two")
        assert found is not None
        assert found.methods is not None


@scenario
async def test_who_falls_silent_is_dropped_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with town() as here:
        one, bus = await here.agent("one"), await here.bus()
        await bus.publish(event("NodeAnnounce", Id="ghost"))
        await bus.publish(announce("mine-1"))
        await until(lambda: "ghost" in one.nodes and "mine-1" in one.clients)
        ghost, client = one.nodes.get("ghost"), one.clients.get("mine-1")
        assert ghost is not None
        assert client is not None
        with caplog.at_level(logging.INFO, logger="clacks.agent.presence"):
            ghost.heard -= NODE_SILENCE
            client.heard -= CLIENT_SILENCE
            await until(lambda: "ghost" not in one.nodes and "mine-1" not in one.clients)
        assert "node is silent, dropped node=ghost" in caplog.text
        assert "clients are silent, dropped n=1 clients=mine-1" in caplog.text
        assert "one" in one.nodes


@scenario
async def test_ten_thousand_methods_are_taken_and_one_more_is_not() -> None:
    async with town() as here:
        one = await here.agent("one")
        bus = await here.bus()

        def capable(count: int, id_: str) -> Event:
            method = (
                "<NodeMethod><Name>m{n}</Name><Path>p</Path><Target>core</Target><Signature>s</Signature>"
                "<Type>NORMAL</Type><QueueRequired>false</QueueRequired><Documentation/></NodeMethod>"
            )
            return REGISTRY.receive(
                "<Event xmlns='http://www.gonicus.de/Events'><NodeCapabilities>"
                f"<Id>{id_}</Id>{''.join(method.format(n=n) for n in range(count))}"
                "</NodeCapabilities></Event>"
            )

        await bus.publish(capable(10_000, "large"))
        await bus.publish(capable(10_001, "larger"))
        await until(lambda: "larger" in one.nodes)
        assert one.nodes.providers("m9999")[0].id == "large"
        assert one.nodes.get("larger").methods is None  # type: ignore[union-attr]
        assert one._bus.metrics.value("announcements_dropped", reason="too many methods") == 1


@scenario
async def test_a_second_agent_with_the_same_id_is_noticed() -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    keep = Keep()
    logging.getLogger("clacks.agent.presence").addHandler(keep)
    try:
        async with town() as here:
            await here.agent("one")
            await here.agent("one")
            await until(lambda: any("another agent lives under our id" in line for line in lines))
    finally:
        logging.getLogger("clacks.agent.presence").removeHandler(keep)


@pytest.mark.slow
@scenario
async def test_an_agent_that_lost_its_connection_joins_again_and_drops_nobody() -> None:
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two")
        client = await here.bus("reader")
        await client.publish(announce())
        await until(lambda: "mine-1" in one.clients and "mine-1" in two.clients and len(one.nodes) == 2)
        here.house.cut()
        assert one._presence is not None
        life = one._presence.life
        await until(lambda: life.state.value == "away")
        await until(lambda: life.state.value == "ready")
        assert "mine-1" in one.clients
        assert {node.id for node in one.nodes} == {"one", "two"}
