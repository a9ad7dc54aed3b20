"""What the page on RabbitMQ says, done to a real node."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clacks.amqp.profiles import PROFILES
from clacks.bus import Bus
from clacks.common.errors import LinkRefused
from scripts.brokers.rabbitmq import RabbitMQ
from tests.contract.brokers import FACTS, Site, Standing
from tests.contract.words import (
    LIMIT,
    NS,
    callers,
    doorbell,
    hello,
    next_event,
    node_status,
    phone,
    take,
    until,
)
from tests.docs.snippets import commands, snippets
from tests.net.relay import Relay

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("rabbitmq")]

PAGE = Path(__file__).parents[2] / "docs" / "brokers" / "rabbitmq.md"
SUBSCRIBERS = "^amq[.]gen"


@pytest.fixture
def rabbit(site: Site, rabbitmq_node: RabbitMQ) -> Standing:
    """Return a domain on the node."""
    return Standing(site, rabbitmq_node, "rabbitmq", FACTS["rabbitmq"])


@pytest.fixture(scope="module")
def guarded(site: Site, rabbitmq_node: RabbitMQ) -> Iterator[Standing]:
    """Return the usual domain with the users of the page, jane and agent; their names are their passwords."""
    shown = [
        shlex.split(command)
        for snippet in snippets(PAGE)
        if snippet.language == "console"
        for command, _ in commands(snippet.text)
    ]
    users = [words[2] for words in shown if words[:2] == ["rabbitmqctl", "add_user"]]
    assert users == ["jane", "agent"]
    rabbitmq_node.control("delete_user", "agent")
    for words in shown:
        if words[0] == "rabbitmqctl":
            text = f"{words[2]}\n" if words[1] == "add_user" else ""
            rabbitmq_node.control(*words[1:], text=text)
    rabbit = Standing(site, rabbitmq_node, "rabbitmq", FACTS["rabbitmq"])
    rabbit.domain = "org.clacks"
    yield rabbit
    rabbitmq_node.control("delete_user", "jane")
    rabbitmq_node.control("clear_topic_permissions", "agent")
    rabbitmq_node.control("change_password", "agent", text=f"{rabbitmq_node.users['agent']}\n")
    rabbitmq_node.control("set_permissions", "-p", "/", "agent", ".*", ".*", ".*")


def bus_of(rabbit: Standing, user: str) -> Bus:
    return Bus(rabbit.url(user, password=user), registry=rabbit.site.registry, name=user)


async def test_the_permissions_of_the_page_are_enough(guarded: Standing) -> None:
    async with bus_of(guarded, "jane") as jane, bus_of(guarded, "agent") as agent:
        events = await jane.subscribe()
        calls = await jane.subscribe(kinds=["PhoneStatus"])
        await agent.serve(lambda request, user, _: f"{request.method} for {user}", node="n1")
        assert await jane.call("dim") == "dim for jane"
        assert await jane.call("dim", node="n1") == "dim for jane"
        assert await agent.call("dim") == "dim for agent"
        await hello(jane, events, calls, mark="by jane")
        assert await agent.publish(doorbell())
        assert (await next_event(events)).kind == "Doorbell"


async def test_the_permissions_of_the_page_forbid_the_rest(guarded: Standing) -> None:
    async with bus_of(guarded, "jane") as jane, bus_of(guarded, "agent") as agent:
        events = await agent.subscribe()
        # The node finds out when the event is there; nothing but the link says so.
        assert await jane.publish(node_status())
        await until(lambda: jane.metrics.value("links_lost", kind="NodeStatus"))
        with pytest.raises(LinkRefused, match=r"org\.clacks\.command\.core"):
            await jane.serve(lambda *_: "a trap")
        await hello(jane, events, mark="only this")


async def test_nobody_reads_the_answers_of_others(guarded: Standing) -> None:
    def listening_to(topic: str) -> Bus:
        profile = replace(PROFILES["rabbitmq-3"], topic_source=f"/topic/{topic}")
        url = guarded.url("jane", password="jane")
        return Bus(url, registry=guarded.site.registry, profile=profile, name="eavesdropper")

    async def ask(topic: str) -> None:
        async with listening_to(topic) as bus, await bus.subscribe():
            pass

    await ask("reply.jane.#")
    async with asyncio.timeout(LIMIT):
        refused = await asyncio.gather(
            *(ask(topic) for topic in ("reply.agent.#", "reply.#", "#")), return_exceptions=True
        )
    assert [type(error) for error in refused] == [LinkRefused] * 3, refused


async def test_a_subscription_that_is_not_permitted_spares_the_others(
    guarded: Standing, rabbitmq_node: RabbitMQ
) -> None:
    topics = r"^org\.clacks\.event\.PhoneStatus$"
    rabbitmq_node.control("add_user", "joe", text="joe\n")
    rabbitmq_node.control("set_permissions", "-p", "/", "joe", ".*", ".*", ".*")
    rabbitmq_node.control("set_topic_permissions", "-p", "/", "joe", "amq.topic", topics, topics)
    async with bus_of(guarded, "joe") as joe:
        allowed = await joe.subscribe(kinds=["PhoneStatus"])
        with pytest.raises(LinkRefused, match="breaks each time"):
            async with asyncio.timeout(LIMIT):
                await joe.subscribe(kinds=["Doorbell"])
        await until(lambda: len(allowed.gaps) == 2)
        await hello(joe, allowed, mark="still here")


async def test_the_policy_removes_queues_whose_readers_have_gone(
    rabbit: Standing, rabbitmq_node: RabbitMQ
) -> None:
    def queues() -> int:
        listed = rabbitmq_node.control("list_bindings", "routing_key").stdout
        return listed.count(f"{rabbit.domain}.event.Doorbell")

    async with rabbit.bus() as receiver, rabbit.bus() as sender:
        for _ in range(3):
            events = await receiver.subscribe(kinds=["Doorbell"])
            await events.close()
        assert await asyncio.to_thread(queues) == 3
        # As the policy of the page, in less time.
        await asyncio.to_thread(_policy, rabbitmq_node, '{"expires":500}')
        try:
            async with asyncio.timeout(LIMIT):
                while await asyncio.to_thread(queues):
                    pass
            kept = await receiver.subscribe(kinds=["Doorbell"])
            assert await asyncio.to_thread(queues) == 1
            assert await sender.publish(doorbell())
            assert (await next_event(kept)).kind == "Doorbell"
        finally:
            await asyncio.to_thread(rabbitmq_node.control, "clear_policy", "contract")


async def test_the_policy_bounds_what_waits_for_a_slow_consumer(
    rabbit: Standing, rabbitmq_node: RabbitMQ
) -> None:
    number = 3000
    await asyncio.to_thread(_policy, rabbitmq_node, '{"max-length":50,"overflow":"drop-head"}')
    try:
        async with Relay(rabbit.port) as relay, rabbit.bus() as sender, rabbit.bus(port=relay.port) as slow:
            events = await slow.subscribe(kinds=["PhoneStatus"], queue_events=2 * number)
            relay.hold()
            for mark in range(number):
                assert await sender.publish(phone(str(mark), "x" * 5000))
            await sender.flush()
            listed = await asyncio.to_thread(rabbitmq_node.control, "list_queues", "messages_ready")
            assert max(int(line) for line in listed.stdout.split() if line.isdigit()) <= 50
            relay.release()
            got: list[str] = []
            while not got or got[-1] != str(number - 1):
                got += callers(await take(events, 1))
            assert len(got) < number
            assert events.dropped == 0
            await hello(sender, events, mark="on it goes")
    finally:
        await asyncio.to_thread(rabbitmq_node.control, "clear_policy", "contract")


def _policy(node: RabbitMQ, definition: str) -> None:
    rules = ("contract", SUBSCRIBERS, definition, "--apply-to", "queues", "--priority", "10")
    node.control("set_policy", *rules)


async def test_only_the_types_that_a_query_can_match_are_fetched(
    rabbit: Standing, rabbitmq_node: RabbitMQ
) -> None:
    query = f"declare namespace f='{NS}'; ./f:Event/f:PhoneStatus[f:CallerId = '7'] or ./f:Event/f:Doorbell"
    before = bindings(rabbitmq_node)
    async with rabbit.bus() as sender, rabbit.bus() as receiver:
        events = await receiver.subscribe(query)
        made = bindings(rabbitmq_node) - before
        assert {key for _, key in made} == {
            f"{rabbit.domain}.event.{kind}" for kind in ("Doorbell", "PhoneStatus")
        }
        for event in (phone("6"), node_status(), phone("7"), doorbell()):
            assert await sender.publish(event)
        assert {event.kind for event in await take(events, 2)} == {"PhoneStatus", "Doorbell"}


def bindings(node: RabbitMQ) -> set[tuple[str, str]]:
    """Return queue and key of all that is bound to the topic exchange."""
    lines = node.control("list_bindings", "source_name", "destination_name", "routing_key", "--silent").stdout
    return {
        (queue, key)
        for source, queue, key in (line.split("\t") for line in lines.splitlines())
        if source == "amq.topic"
    }
