"""Two Artemis nodes that share their events, and one of them killed: what clients notice of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from clacks.bus import Bus, Subscription
from scripts.brokers.artemis import ARTEMIS, clustered
from scripts.brokers.distributions import Unavailable
from scripts.brokers.java import JavaBroker
from tests.contract.brokers import USERS, Site
from tests.contract.words import CALLS, LIMIT, caller_of, callers, hello, next_event, phone, until
from tests.net.relay import Relay

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group(ARTEMIS.name)]


@dataclass
class Cluster:
    """Two nodes, ``left`` and ``right``."""

    site: Site
    left: JavaBroker
    right: JavaBroker

    def bus(self, node: JavaBroker, *, port: int | None = None) -> Bus:
        """Return a client of one node, not started yet; with ``port`` through a relay."""
        url = node.url.replace(f":{node.port}/", f":{port or node.port}/")
        return Bus(url, registry=self.site.registry, trust_users=True)


@pytest.fixture
def cluster(site: Site) -> Iterator[Cluster]:
    """Return two nodes that know each other."""
    left, right = JavaBroker(ARTEMIS, USERS), JavaBroker(ARTEMIS, USERS)
    left.product, right.product = clustered(right.core_port), clustered(left.core_port)
    try:
        with left, right:
            yield Cluster(site, left, right)
    except Unavailable as error:
        pytest.skip(f"left out: {error}")


async def until_joined(sender: Bus, events: Subscription) -> None:
    """Publish until it arrives: nodes tell each other of new subscriptions, which takes a moment."""
    end = asyncio.get_running_loop().time() + LIMIT
    while not events.waiting:
        assert asyncio.get_running_loop().time() < end, "the nodes do not find each other"
        assert await sender.publish(phone("joined?"))
        await asyncio.sleep(0.1)


async def heard(sender: Bus, *subscriptions: Subscription, mark: str) -> None:
    """Publish an event and read up to it."""
    assert await sender.publish(phone(mark))
    for events in subscriptions:
        while caller_of(await next_event(events)) != mark:
            pass


async def test_events_cross_the_cluster_and_one_node_may_die(cluster: Cluster) -> None:
    async with (
        Relay(cluster.left.port) as relay,  # as a load balancer in front of both would be
        cluster.bus(cluster.left, port=relay.port) as roaming,
        cluster.bus(cluster.right) as steady,
        cluster.bus(cluster.right) as sender,
        cluster.bus(cluster.right) as agent,
    ):
        here, there = await roaming.subscribe(CALLS), await steady.subscribe(CALLS)
        await until_joined(sender, here)
        await until_joined(roaming, there)
        await heard(sender, here, there, mark="from right to both")
        await heard(roaming, here, there, mark="from left to both")
        await agent.serve({"where": lambda *_: "right"})
        async with asyncio.timeout(LIMIT):
            assert await roaming.call("where") == "right"

        # Events flow while the node of the roaming client dies; the steady one misses none of them.
        relay.redirect(cluster.right.port)
        began = time.monotonic()
        for number in range(200):
            assert await sender.publish(phone(str(number)))
            if number == 100:
                await until(lambda: here.waiting >= 50)
                await asyncio.to_thread(cluster.left.kill)
        await until(lambda: here.gaps)
        back = time.monotonic() - began
        assert [int(mark) for mark in callers([await next_event(there) for _ in range(200)])] == list(
            range(200)
        )
        await hello(sender, there, mark="after")
        got = [caller_of(await next_event(here))]
        while got[-1] != "after":
            got.append(caller_of(await next_event(here)))
        numbers = [int(mark) for mark in got[:-1]]
        assert numbers == sorted(set(numbers)), "in order, none twice"
        assert set(range(50)) <= set(numbers), "what was read before is there"
        assert len(here.gaps) == 1
        assert back < LIMIT
        # Calls and events of the roaming client go on over the other node.
        async with asyncio.timeout(LIMIT):
            assert await roaming.call("where") == "right"
        await hello(roaming, here, there, mark="on it goes")

        # The dead node comes back and is part of the cluster again.
        await asyncio.to_thread(cluster.left.restart)
        async with cluster.bus(cluster.left) as returned:
            events = await returned.subscribe(CALLS)
            await until_joined(sender, events)
