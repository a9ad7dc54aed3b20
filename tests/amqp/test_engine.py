from __future__ import annotations

import inspect
import re
from typing import Any

import proton
import pytest
from cproton_ffi import ffi, lib

from clacks.amqp import conditions, links
from clacks.amqp import engine as engine_module
from clacks.amqp.engine import Engine
from clacks.amqp.links import _EMPTY_TAG, Incoming, Outcome, Receiver, Sender
from clacks.amqp.surface import SURFACE, require_proton
from clacks.common.limits import DEFAULT_LIMITS, Limits
from tests.amqp.pumping import pump


class End:
    """One side: keeps what it hears."""

    def __init__(self, *, server: bool, limits: Limits = DEFAULT_LIMITS, window: int = 100) -> None:
        self.server = server
        self.window = window
        self.got: list[bytes] = []
        self.incoming: list[Incoming | None] = []
        self.outcomes: list[tuple[object, Outcome]] = []
        self.errors: list[str] = []
        self.credits = 0
        self.fail: Exception | None = None
        self.engine = Engine(
            self, server=server, container_id="server" if server else "client", limits=limits
        )

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise failure
        self.got.append(body)
        self.incoming.append(incoming)

    def on_credit(self, sender: Sender) -> None:
        self.credits += 1

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        self.outcomes.append((context, outcome))

    def on_endpoint(self, event: Any) -> None:
        name = event.type.name
        if name == "PN_CONNECTION_REMOTE_OPEN" and self.server:
            event.connection.open()
        elif name == "PN_SESSION_REMOTE_OPEN" and self.server:
            event.session.open()
        elif name == "PN_LINK_REMOTE_OPEN" and self.server:
            link = event.link
            link.source.copy(link.remote_source)
            link.target.copy(link.remote_target)
            self.engine.receiver(link, self.window).open()
        elif name == "PN_LINK_REMOTE_CLOSE" and event.link.remote_condition:
            self.errors.append(event.link.remote_condition.name)
        elif name == "PN_TRANSPORT_ERROR":
            self.errors.append(event.transport.condition.name)


class Pair:
    """A client that sends to a server."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS, window: int = 100) -> None:
        self.server = End(server=True, limits=limits, window=window)
        self.client = End(server=False)
        self.client.engine.connection.open()
        self.session = self.client.engine.connection.session()
        self.session.open()
        self.sender = self.link("one")
        self.receiver = next(iter(self.server.engine._receivers.values()))

    def link(self, name: str) -> Sender:
        link = self.session.sender(name)
        link.target.address = name
        sender = self.client.engine.sender(link)
        link.open()
        self.client.engine.touch()
        self.pump()
        return sender

    def pump(self) -> None:
        pump((self.client.engine, self.server.engine))


@pytest.mark.parametrize("size", [0, 1, 100, 4095, 4096, 65_000, 70_000, 3_000_000])
def test_a_message_of_any_size_arrives_whole(size):
    pair = Pair()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    pair.sender.send(body)
    pair.sender.send(b"next")
    pair.pump()
    assert pair.server.got == [body, b"next"]
    assert pair.server.incoming == [None, None]


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bytes_may_come_in_any_pieces(step):
    pair = Pair()
    for number in range(5):
        pair.sender.send(b"%d" % number * 500)
    data = memoryview(pair.client.engine.bytes_to_send())
    for start in range(0, len(data), step):
        pair.server.engine.receive(data[start : start + step])
    assert pair.server.got == [b"%d" % number * 500 for number in range(5)]


def test_the_buffer_that_bytes_came_in_may_be_overwritten():
    pair = Pair()
    pair.sender.send(b"precious" * 20_000)
    data = bytearray(pair.client.engine.bytes_to_send())
    for start in range(0, len(data), 1000):
        piece = bytearray(data[start : start + 1000])
        pair.server.engine.receive(memoryview(piece))
        piece[:] = bytes(len(piece))
    assert pair.server.got == [b"precious" * 20_000]


def test_outcomes_come_back_with_their_context():
    pair = Pair()
    for context in ("accept", "release", "reject"):
        pair.sender.send_unsettled(b"x", context)
    pair.pump()
    accept, release, reject = pair.server.incoming
    assert accept is not None
    assert release is not None
    assert reject is not None
    reject.reject("amqp:decode-error", "bad")
    release.release()
    accept.accept()
    assert pair.sender.in_doubt == ["accept", "release", "reject"]
    pair.pump()
    assert [(context, repr(outcome)) for context, outcome in pair.client.outcomes] == [
        ("reject", "Outcome('rejected', 'amqp:decode-error', 'bad')"),
        ("release", "Outcome('released', '', '')"),
        ("accept", "Outcome('accepted', '', '')"),
    ]
    assert pair.sender.in_doubt == []
    assert not pair.receiver.unsettled


def test_modified_says_how():
    pair = Pair()
    pair.sender.send_unsettled(b"x", 1)
    pair.pump()
    delivery = proton.Delivery.wrap(pair.server.incoming[0]._delivery)  # type: ignore[union-attr]
    delivery.local.failed = True
    delivery.local.undeliverable = True
    delivery.update(proton.Delivery.MODIFIED)
    pair.server.incoming[0]._finish(None)  # type: ignore[union-attr]
    pair.pump()
    outcome = pair.client.outcomes[0][1]
    assert (outcome.name, outcome.failed, outcome.undeliverable) == ("modified", True, True)


def test_a_verdict_is_given_once():
    pair = Pair()
    pair.sender.send_unsettled(b"x", 1)
    pair.pump()
    incoming = pair.server.incoming[0]
    assert incoming is not None
    incoming.accept()
    incoming.release()
    incoming.reject("amqp:decode-error", "")
    pair.pump()
    assert [outcome.name for _, outcome in pair.client.outcomes] == ["accepted"]


def test_a_verdict_after_the_link_or_the_connection_has_gone_does_nothing():
    pair = Pair()
    pair.sender.send_unsettled(b"1", 1)
    pair.sender.send_unsettled(b"2", 2)
    pair.sender.send_unsettled(b"3", 3)
    pair.pump()
    one, two, three = pair.server.incoming
    assert one is not None
    assert two is not None
    assert three is not None
    pair.server.engine.close_link(pair.receiver)
    one.accept()
    two.reject("amqp:decode-error", "")
    pair.server.engine.free()
    three.release()


def test_a_sender_that_settles_later_does_not_send_again():
    pair = Pair()
    pair.sender.send_unsettled(b"x", 1)
    pair.pump()
    delivery = next(iter(pair.sender._open))
    lib.pn_delivery_settle(delivery)
    pair.client.engine.touch()
    pair.pump()
    assert pair.server.got == [b"x"]
    pair.sender.send(b"y")
    pair.pump()
    assert pair.server.got == [b"x", b"y"]


def test_an_aborted_message_is_forgotten():
    pair = Pair()
    delivery = lib.pn_delivery(pair.sender._ptr, _EMPTY_TAG)
    lib.pn_link_send(pair.sender._ptr, b"x" * 200_000, 200_000)
    pair.pump()
    assert pair.server.engine._partial > 0
    lib.pn_delivery_abort(delivery)
    pair.pump()
    assert pair.server.got == []
    assert pair.server.engine._partial == 0
    pair.sender.send(b"y")
    pair.pump()
    assert pair.server.got == [b"y"]


def test_credit_is_given_again_as_it_is_used():
    pair = Pair(window=10)
    for number in range(100):
        assert pair.sender.credit > 0
        pair.sender.send(b"%d" % number)
        pair.pump()
    assert len(pair.server.got) == 100


def test_without_a_window_the_owner_gives_credit():
    pair = Pair(window=0)
    assert pair.sender.credit == 0
    pair.receiver.grant(2)
    pair.pump()
    assert pair.sender.credit == 2
    assert pair.receiver.credit == 2
    assert pair.client.credits == 1
    pair.sender.send(b"x")
    assert pair.sender.credit == 1


def test_a_message_beyond_the_limit_closes_its_link():
    pair = Pair(Limits(message_size=1000))
    pair.sender.send(b"x" * 1001)
    pair.pump()
    assert pair.client.errors == ["amqp:link:message-size-exceeded"]
    assert pair.server.got == []
    assert not pair.receiver.alive
    other = pair.link("other")
    other.send(b"y" * 1000)
    pair.pump()
    assert pair.server.got == [b"y" * 1000]


def test_our_limits_are_told_to_the_peer():
    pair = Pair(Limits(message_size=1000, frame_size=4096, sessions=3, idle_timeout=7.0))
    transport = pair.client.engine.transport
    assert pair.sender.link.remote_max_message_size == 1000
    assert transport.remote_max_frame_size == 4096
    assert transport.remote_channel_max == 2
    # The half of what we wait for (2.4.5), so that a beat may be late.
    assert transport.remote_idle_timeout == 3.5


def test_links_can_come_and_go_without_end():
    pair = Pair()
    for number in range(300):
        sender = pair.link(f"link-{number}")
        sender.send(b"x")
        pair.pump()
        pair.client.engine.close_link(sender)
        pair.pump()
        for receiver in list(pair.server.engine._receivers.values())[1:]:
            pair.server.engine.close_link(receiver)
        pair.pump()
    assert len(pair.server.got) == 300
    assert pair.server.engine.links == 1
    assert pair.client.engine.links == 1


def test_the_backlog_is_what_waits_for_the_socket():
    pair = Pair()
    assert pair.client.engine.backlog == 0
    pair.sender.send(b"x" * 10_000)
    assert pair.client.engine.backlog == 10_000
    pair.pump()
    assert pair.client.engine.backlog == 0


def test_the_driver_is_asked_once_until_it_writes():
    pair = Pair()
    asked: list[int] = []
    pair.client.engine.on_work = lambda: asked.append(1)
    for _ in range(5):
        pair.sender.send(b"x")
    assert asked == [1]
    pair.pump()
    pair.sender.send(b"x")
    assert len(asked) == 2


def test_the_driver_is_not_asked_to_write_when_there_is_nothing_to_say():
    pair = Pair(window=4)
    asked: list[int] = []
    pair.server.engine.on_work = lambda: asked.append(len(pair.server.got))
    for body in (b"a", b"b", b"c"):
        pair.sender.send(body)
        pair.server.engine.receive(pair.client.engine.bytes_to_send())
        pair.server.engine.bytes_to_send()
    assert pair.server.got == [b"a", b"b", b"c"]
    # It has something to say when half of the credit is used.
    assert 0 < len(asked) < 3


def test_a_failing_head_does_not_meet_the_same_event_again():
    pair = Pair()
    pair.server.fail = ZeroDivisionError()
    pair.sender.send(b"1")
    pair.sender.send(b"2")
    with pytest.raises(ZeroDivisionError):
        pair.server.engine.receive(pair.client.engine.bytes_to_send())
    pair.pump()
    pair.server.engine.pump()
    assert pair.server.got == [b"2"]


def test_a_silent_peer_is_found_and_a_beating_one_is_not():
    pair = Pair(Limits(idle_timeout=10.0))
    server, client = pair.server.engine, pair.client.engine
    now = 1000.0
    for _ in range(10):
        now += 3
        for engine in (server, client):
            engine.tick(now)
        pair.pump()
    assert pair.server.errors == []
    for _ in range(10):
        now += 3
        server.tick(now)
        server.bytes_to_send()
    assert pair.server.errors == ["amqp:resource-limit-exceeded"]


def test_tick_says_when_it_wants_to_be_called():
    pair = Pair(Limits(idle_timeout=10.0))
    then = pair.server.engine.tick(1000.0)
    assert then is not None
    assert 1000.0 < then <= 1010.0


def test_the_end_of_the_stream_without_a_close_is_an_error():
    pair = Pair()
    pair.server.engine.eof()
    assert pair.server.errors == ["amqp:connection:framing-error"]
    pair.server.engine.bytes_to_send()
    assert pair.server.engine.finished


def test_bytes_after_the_end_are_ignored():
    pair = Pair()
    pair.server.engine.receive(b"\xff" * 100)
    assert pair.server.errors == ["amqp:connection:framing-error"]
    pair.server.engine.receive(b"more")
    assert pair.server.got == []


def test_an_idle_engine_has_small_buffers():
    engine = Pair().server.engine
    assert ffi.sizeof(engine._buffer) <= 4096


# -- the private surface of proton


def test_proton_has_what_we_use():
    require_proton()


def test_all_that_is_used_of_the_private_module_is_guarded():
    source = "".join(map(inspect.getsource, (engine_module, links, conditions)))
    used = set(re.findall(r"\blib\.(pn_\w+)", source))
    assert used == set(SURFACE)


def test_the_version_of_proton_is_the_one_that_was_tried():
    assert (proton.VERSION_MAJOR, proton.VERSION_MINOR) == (0, 40)


def test_pointers_to_one_link_are_equal_and_hash_alike():
    pair = Pair()
    link = pair.sender.link
    other = lib.pn_link_head(pair.client.engine._connection_ptr, 0)
    assert other == link._impl
    assert hash(other) == hash(link._impl)
