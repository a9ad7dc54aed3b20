from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from clacks.amqp.messages import Message
from clacks.broker.topics import TopicTree
from clacks.common.address import topic_matches
from clacks.common.limits import Limits
from tests.broker.world import World, phone_status


def test_every_subscriber_gets_a_copy_unchanged():
    world = World()
    publisher, one, other = world.peer(), world.peer("joe"), world.peer()
    one.receiver("org.clacks.event")
    other.receiver("org.clacks.event.PhoneStatus")
    sender = publisher.sender("org.clacks.event.PhoneStatus")
    publisher.event(sender, "1", message_id="m-1", user_id=b"admin")
    assert one.got == other.got
    assert one.messages[0].message_id == "m-1"
    assert one.bodies == [phone_status("1")]


def test_who_subscribes_late_gets_only_what_comes_later():
    world = World()
    publisher, late = world.peer(), world.peer()
    sender = publisher.sender("org.clacks.event.PhoneStatus")
    publisher.event(sender, "1")
    late.receiver("org.clacks.event")
    publisher.event(sender, "2")
    assert late.bodies == [phone_status("2")]


def test_a_detached_subscriber_gets_nothing_more_and_the_others_do():
    world = World()
    publisher, one, other = world.peer(), world.peer(), world.peer()
    link = one.receiver("weather.x")
    other.receiver("weather.x")
    sender = publisher.sender("weather.x")
    one.close(link)
    publisher.send(sender, Message(body=b"1"))
    assert one.got == []
    assert other.bodies == [b"1"]


def test_what_waits_for_credit_comes_in_order_when_credit_comes():
    world = World()
    publisher, reader = world.peer(), world.peer()
    link = reader.receiver("weather.x", window=0)
    sender = publisher.sender("weather.x")
    for number in range(5):
        publisher.send(sender, Message(body=b"%d" % number))
    assert reader.got == []
    link.grant(3)
    world.run()
    assert reader.bodies == [b"0", b"1", b"2"]
    link.grant(10)
    world.run()
    assert reader.bodies == [b"0", b"1", b"2", b"3", b"4"]


def test_what_waits_for_a_consumer_that_is_lost_is_counted():
    world = World()
    publisher, lost, polite = world.peer(), world.peer(), world.peer()
    lost.receiver("weather.x", window=0)
    link = polite.receiver("weather.x", window=0)
    sender = publisher.sender("weather.x")
    for number in range(5):
        publisher.send(sender, Message(body=b"%d" % number))
    polite.close(link)
    world.run()
    assert world.dropped("consumer gone") == 0
    lost.lose()
    world.run()
    assert world.dropped("consumer gone") == 5


def test_a_consumer_without_credit_loses_its_oldest_and_nobody_else_waits():
    world = World(Limits(queue_events=10))
    publisher, slow, fast = world.peer(), world.peer(), world.peer()
    link = slow.receiver("weather.x", window=0)
    fast.receiver("weather.x")
    sender = publisher.sender("weather.x")
    for number in range(25):
        publisher.send(sender, Message(body=b"%d" % number))
    assert len(fast.got) == 25
    assert world.dropped("slow consumer") == 15
    assert [status[4] for status in world.broker.status()] == [15, 0]
    link.grant(100)
    world.run()
    assert slow.bodies == [b"%d" % number for number in range(15, 25)]


def test_a_consumer_may_hold_only_so_many_bytes():
    world = World(Limits(queue_bytes=1000))
    publisher, slow = world.peer(), world.peer()
    link = slow.receiver("weather.x", window=0)
    sender = publisher.sender("weather.x")
    for number in range(10):
        publisher.send(sender, Message(body=b"%d" % number * 300))
    assert world.broker.total.size <= 1000
    link.grant(100)
    world.run()
    assert [body[:1] for body in slow.bodies] == [b"7", b"8", b"9"]
    assert world.broker.total.size == 0


def test_all_that_waits_in_the_broker_is_bounded():
    world = World(Limits(waiting_bytes=2000))
    publisher = world.peer()
    for number in range(5):
        world.peer().receiver(f"weather.{number}", window=0)
        sender = publisher.sender(f"weather.{number}")
        for _ in range(10):
            publisher.send(sender, Message(body=b"x" * 200))
        assert world.broker.total.size <= 2000
    for peer in list(world.peers[1:]):
        peer.lose()
    assert world.broker.total.size == 0


def test_a_peer_that_does_not_read_its_socket_holds_a_bounded_amount():
    world = World(Limits(queue_events=50))
    publisher, stuck, well = world.peer(), world.peer(), world.peer()
    stuck.receiver("weather.x", window=100_000)
    well.receiver("weather.x")
    stuck.writable = False
    sender = publisher.sender("weather.x")
    for number in range(300):
        publisher.send(sender, Message(body=b"%06d" % number + b"x" * 10_000))
    assert len(well.got) == 300
    # What proton holds is the room of one connection, and the rest is the bounded queue.
    assert stuck.connection.engine.backlog < 600_000
    assert world.dropped("slow consumer") > 150
    stuck.writable = True
    world.run()
    bodies = [body[:6] for body in stuck.bodies]
    assert bodies[-50:] == [b"%06d" % number for number in range(250, 300)]
    assert bodies == sorted(bodies)


def test_two_links_of_a_slow_connection_are_served_in_turn():
    world = World()
    publisher, reader = world.peer(), world.peer()
    reader.receiver("weather.a", window=100_000)
    reader.receiver("weather.b", window=100_000)
    one, other = publisher.sender("weather.a"), publisher.sender("weather.b")
    reader.writable = False
    for _ in range(200):
        publisher.send(one, Message(body=b"a" * 5000))
        publisher.send(other, Message(body=b"b" * 5000))
    reader.writable = True
    world.run()
    assert [len(list(run)) for _, run in itertools.groupby(body[:1] for body in reader.bodies)] != [200, 200]
    assert len(reader.got) == 400


def test_draining_ends_the_credit():
    world = World()
    publisher, reader = world.peer(), world.peer()
    link = reader.receiver("weather.x", window=0)
    sender = publisher.sender("weather.x")
    publisher.send(sender, Message(body=b"1"))
    link.link.drain(5)
    reader.engine.touch()
    world.run()
    assert reader.bodies == [b"1"]
    assert link.credit == 0
    publisher.send(sender, Message(body=b"2"))
    assert len(reader.got) == 1


def test_a_message_that_expires_while_it_waits_is_not_delivered():
    world = World()
    publisher, reader = world.peer(), world.peer()
    link = reader.receiver("weather.x", window=0)
    sender = publisher.sender("weather.x")
    publisher.send(sender, Message(body=b"1", ttl=1000))
    publisher.send(sender, Message(body=b"2", absolute_expiry_time=int((world.now + 5) * 1000)))
    publisher.send(sender, Message(body=b"3"))
    world.wait(2)
    link.grant(1)
    world.run()
    assert reader.bodies == [b"2"]
    world.wait(5)
    link.grant(5)
    world.run()
    assert reader.bodies == [b"2", b"3"]
    assert world.dropped("expired") == 1


def test_an_expired_message_is_dropped_on_arrival():
    world = World()
    publisher, reader = world.peer(), world.peer()
    reader.receiver("weather.x")
    reader.receiver("org.clacks.event")
    past = int(world.now * 1000) - 1
    publisher.send(publisher.sender("weather.x"), Message(body=b"1", absolute_expiry_time=past))
    publisher.event(publisher.sender("org.clacks.event.PhoneStatus"), absolute_expiry_time=past)
    assert reader.got == []
    assert world.dropped("expired") == 2


def test_a_large_message_comes_through_in_pieces():
    world = World()
    publisher, reader = world.peer(), world.peer()
    reader.receiver("weather.x")
    body = bytes(range(256)) * 12_000
    publisher.send(publisher.sender("weather.x"), Message(body=body))
    assert reader.bodies == [body]


def test_delivery_annotations_end_at_the_broker():
    world = World()
    publisher, reader = world.peer(), world.peer()
    reader.receiver("weather.x")
    annotated = b"\x00\x53\x71\xc1\x08\x02\xa3\x03x-y\xa1\x00"
    sender = publisher.sender("weather.x")
    publisher.send(sender, annotated + b"\x00\x53\x75\xa0\x01z")
    assert reader.got == [b"\x00\x53\x75\xa0\x01z"]


def test_wildcards_cover_levels():
    world = World()
    publisher, one, many = world.peer(), world.peer(), world.peer()
    one.receiver("weather.*.rain")
    many.receiver("weather.#")
    for topic in ("weather.berlin.rain", "weather.berlin.mitte.rain", "weather", "sport.berlin.rain"):
        publisher.send(publisher.sender(topic), Message(body=topic.encode()))
    assert one.bodies == [b"weather.berlin.rain"]
    assert many.bodies == [b"weather.berlin.rain", b"weather.berlin.mitte.rain", b"weather"]


def _levels(names: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=6).map(".".join)


class _Told:
    """Stands for a subscription in the tree: keeps what it is offered."""

    query = None

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def offer(self, raw: bytes, expires: float | None) -> None:
        self.got.append(raw)


@given(st.lists(_levels("ab*#"), max_size=12), st.lists(_levels("ab"), min_size=1, max_size=4), st.data())
def test_the_tree_finds_what_comparing_each_pattern_finds(patterns, topics, data):
    tree = TopicTree()
    told: dict[_Told, str] = {}
    for pattern in patterns:
        subscription = _Told()
        told[subscription] = pattern
        wild = any(level in "*#" for level in pattern.split("."))
        tree.subscribe(subscription, pattern, wild, None, lambda topic: True)  # type: ignore[arg-type]
    for subscription in (
        data.draw(st.lists(st.sampled_from(sorted(told, key=id)), unique=True)) if told else []
    ):
        tree.unsubscribe(subscription)  # type: ignore[arg-type]
        del told[subscription]
    for topic in topics:
        tree.publish(topic, topic.encode(), None)
    for subscription, pattern in told.items():
        assert subscription.got == [topic.encode() for topic in topics if topic_matches(pattern, topic)]


def test_an_abandoned_tree_is_empty():
    tree = TopicTree()
    subscriptions = []
    for pattern in ("a.*.b", "a.#", "a.*.b.c", "x.y"):
        subscription = _Told()
        subscriptions.append(subscription)
        tree.subscribe(subscription, pattern, "y" not in pattern, None, lambda topic: True)  # type: ignore[arg-type]
    for subscription in subscriptions:
        tree.unsubscribe(subscription)  # type: ignore[arg-type]
    assert len(tree) == 0
    assert not tree._root.below
    assert not tree._exact


def test_a_lost_connection_leaves_nothing_behind():
    world = World()
    publisher, reader = world.peer(), world.peer()
    for address in ("weather.x", "org.clacks.event", "weather.#", "org.clacks.command.core", None):
        reader.receiver(address)
    for address in ("weather.x", "weather.y", "org.clacks.command.core"):
        reader.sender(address)
    reader.lose()
    world.wait(1)
    assert len(world.broker.topics) == 0
    assert not world.broker._queues
    assert not world.broker._opaque
    assert list(world.broker.connections) == [publisher.connection]


def test_closing_a_session_gives_up_its_links_and_the_connection_lives():
    world = World()
    publisher, reader = world.peer(), world.peer()
    reader.receiver("weather.x")
    reader.session.close()
    reader.engine.touch()
    world.run()
    assert len(world.broker.topics) == 0
    reader.session = reader.engine.connection.session()
    reader.session.open()
    reader.receiver("weather.x")
    publisher.send(publisher.sender("weather.x"), Message(body=b"1"))
    assert reader.bodies == [b"1"]
