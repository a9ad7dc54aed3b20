from __future__ import annotations

import threading
import weakref
from typing import Any

import pytest
from lxml import etree

from clacks.common.components import AMQPEventConsumer, AMQPEventProducer
from clacks.common.errors import (
    ConnectionFailed,
    ConnectionLost,
    InvalidEvent,
    LinkRefused,
    MalformedEvent,
)
from clacks.common.event import EventMaker
from clacks.common.schema import SchemaRegistry
from tests.common.components.world import World, clacks_threads, wait_for

pytestmark = pytest.mark.net

e = EventMaker()


def leave(name: str) -> etree._Element:
    return e.event("NodeLeave", Id=name)


class Names:
    """A callback that keeps the names of the nodes that left."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, data: Any) -> None:
        self.names.append(str(data.NodeLeave.Id))


def test_an_event_may_be_a_tree_bytes_text_or_an_event(world: World) -> None:
    got = Names()
    event = SchemaRegistry().receive(etree.tostring(leave("event")))
    with AMQPEventConsumer(world.url(), callback=got), AMQPEventProducer(world.url()) as producer:
        producer.send(leave("element"))
        producer.send(etree.tostring(leave("bytes"), encoding="UTF-8", xml_declaration=True))
        producer.send(etree.tostring(leave("text"), encoding="unicode"))
        producer.send(leave("tree").getroottree())
        producer.send(event)
        wait_for(lambda: len(got.names) == 5)
    assert got.names == ["element", "bytes", "text", "tree", "event"]


def test_a_tree_may_be_changed_after_it_was_sent(world: World) -> None:
    got = Names()
    tree = leave("0")
    with AMQPEventConsumer(world.url(), callback=got), AMQPEventProducer(world.url()) as producer:
        for number in range(50):
            tree[0][0].text = str(number)
            producer.send(tree)
        wait_for(lambda: len(got.names) == 50)
    assert got.names == [str(number) for number in range(50)]


def test_what_is_no_valid_event_is_refused_and_nothing_is_sent(world: World) -> None:
    got = Names()
    with AMQPEventConsumer(world.url(), callback=got), AMQPEventProducer(world.url()) as producer:
        with pytest.raises(MalformedEvent):
            producer.send("no XML")
        with pytest.raises(InvalidEvent, match="/Event/NodeLeave"):
            producer.send("<Event xmlns='http://www.gonicus.de/Events'><NodeLeave/></Event>")
        producer.send(leave("good"))
        wait_for(lambda: got.names == ["good"])


def test_many_events_of_several_threads_keep_the_order_of_each(world: World) -> None:
    got = Names()
    with AMQPEventConsumer(world.url(), callback=got), AMQPEventProducer(world.url()) as producer:

        def send(thread: int) -> None:
            for number in range(100):
                producer.send(leave(f"{thread}-{number}"))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        wait_for(lambda: len(got.names) == 400)
    for thread_number in range(4):
        own = [name for name in got.names if name.startswith(f"{thread_number}-")]
        assert own == [f"{thread_number}-{number}" for number in range(100)]


def test_close_sends_what_waits(world: World) -> None:
    got = Names()
    with AMQPEventConsumer(world.url(), callback=got):
        with AMQPEventProducer(world.url()) as producer:
            for number in range(300):
                producer.send(leave(str(number)))
        wait_for(lambda: len(got.names) == 300)
    with pytest.raises(ConnectionLost):
        producer.send(leave("late"))
    producer.close()


def test_a_missing_right_shows_at_the_first_event(world: World) -> None:
    with (
        AMQPEventProducer(world.url("reader")) as producer,
        pytest.raises(LinkRefused, match=r"NodeLeave|reader"),
    ):
        producer.send(leave("x"))


def test_nobody_there_shows_at_the_first_event_and_later_ones_try_again(world: World) -> None:
    world.stop()
    producer = AMQPEventProducer(world.url())
    with pytest.raises(ConnectionFailed):
        producer.send(leave("x"))
    world.start()
    producer.send(leave("x"))
    producer.flush()
    assert producer.dropped == 0
    producer.close()
    assert not clacks_threads()


def test_a_producer_that_is_never_used_starts_nothing(world: World) -> None:
    producer = AMQPEventProducer(world.url())
    assert not clacks_threads()
    producer.flush()
    producer.close()
    assert not clacks_threads()


def test_del_sends_what_waits_and_ends_the_thread(world: World) -> None:
    got = Names()
    with AMQPEventConsumer(world.url(), callback=got):
        producer = AMQPEventProducer(world.url())
        for number in range(100):
            producer.send(leave(str(number)))
        gone = weakref.ref(producer)
        del producer
        assert gone() is None
        wait_for(lambda: len(got.names) == 100)
        wait_for(lambda: world.connections() == 1)
    assert not clacks_threads()
