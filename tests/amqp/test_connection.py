from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import pytest
from proton import Condition

from clacks.amqp.connection import (
    _CONNECTION,
    _LINK,
    BusConnection,
    Closed,
    ConnectionState,
    Credited,
    LinkClosed,
    LinkOpened,
    LinkState,
    MessageReceived,
    Opened,
    ReceiveFrom,
    SendTo,
    Settled,
    subject_filter,
    xquery_filter,
)
from clacks.amqp.links import Receiver, Sender
from clacks.amqp.messages import Message, decode, encode
from clacks.amqp.profiles import PROFILES
from clacks.common.limits import DEFAULT_LIMITS
from tests.amqp.brokers import Script, SmallBroker
from tests.amqp.pumping import pump

Kind = TypeVar("Kind")


class Pair:
    """A client and a small broker, joined."""

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        self.broker = SmallBroker(script)
        self.client = BusConnection(container_id="test", **options)
        self.seen: list[Any] = []

    def pump(self) -> list[Any]:
        pump((self.client, self.broker.engine))  # type: ignore[arg-type]
        events = self.client.events()
        self.seen += events
        return events

    def open(self) -> Pair:
        self.client.open()
        self.pump()
        return self


def only(kind: type[Kind], events: list[Any]) -> Kind:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, events
    return found[0]


def test_open_says_who_the_broker_is_and_which_profile_fits() -> None:
    pair = Pair(Script(product="RabbitMQ", version="3.10.8"))
    pair.client.open()
    opened = only(Opened, pair.pump())
    assert opened.peer.product == "RabbitMQ"
    assert opened.profile is PROFILES["rabbitmq-3"]
    assert pair.client.state is ConnectionState.OPEN


def test_a_profile_given_by_hand_beats_what_the_broker_says() -> None:
    pair = Pair(Script(product="RabbitMQ", version="3.10.8"), profile=PROFILES["artemis"])
    pair.client.open()
    assert only(Opened, pair.pump()).profile.name == "artemis"


def test_a_sender_gets_credit_and_its_message_arrives_settled() -> None:
    pair = Pair().open()
    sender = pair.client.open_sender(SendTo("there"), "me")
    events = pair.pump()
    opened = only(LinkOpened, events)
    assert (opened.link, opened.owner, opened.address) == (sender, "me", "there")
    assert only(Credited, events).owner == "me"
    assert sender.credit == 100
    sender.send(encode(Message(body=b"x")))
    pair.pump()
    [(address, body, incoming)] = pair.broker.got
    assert (address, decode(body).body, incoming) == ("there", b"x", None)


def test_the_relay_is_a_sender_without_target() -> None:
    pair = Pair().open()
    pair.client.open_sender(SendTo(None), "me")
    assert only(LinkOpened, pair.pump()).address == ""
    assert None in pair.broker.receivers


def test_an_unsettled_message_comes_back_with_its_context_and_outcome() -> None:
    pair = Pair().open()
    sender = pair.client.open_sender(SendTo("there"), "me")
    pair.pump()
    for context in ("a", "b", "c"):
        sender.send_unsettled(encode(Message(body=b"x")), context)
    pair.pump()
    first, second, third = (incoming for _, _, incoming in pair.broker.got)
    assert first is not None
    assert second is not None
    assert third is not None
    first.accept()
    second.release()
    third.reject("amqp:precondition-failed", "no")
    settled = [event for event in pair.pump() if isinstance(event, Settled)]
    # In whatever order: a broker tells of neighbours with the same outcome together.
    outcomes = {event.context: event.outcome for event in settled}
    assert {context: outcome.name for context, outcome in outcomes.items()} == {
        "a": "accepted",
        "b": "released",
        "c": "rejected",
    }
    assert outcomes["c"].condition == "amqp:precondition-failed"
    assert not sender.in_doubt


def test_a_receiver_gets_messages_in_order() -> None:
    pair = Pair().open()
    receiver = pair.client.open_receiver(ReceiveFrom("here", 10), "me")
    opened = only(LinkOpened, pair.pump())
    assert opened.address == "here"
    assert pair.broker.senders["here"].credit == 10
    for n in range(25):
        if not pair.broker.senders["here"].credit:
            pair.pump()
        pair.broker.senders["here"].send(encode(Message(body=b"%d" % n)))
    pair.pump()
    got = [event for event in pair.seen if isinstance(event, MessageReceived)]
    assert [decode(event.body).body for event in got] == [b"%d" % n for n in range(25)]
    assert {(event.link, event.owner, event.incoming) for event in got} == {(receiver, "me", None)}


def test_without_a_window_the_owner_grants_credit() -> None:
    pair = Pair().open()
    receiver = pair.client.open_receiver(ReceiveFrom("here", 0, settled=False), "me")
    pair.pump()
    assert pair.broker.senders["here"].credit == 0
    receiver.grant(2)
    pair.pump()
    assert pair.broker.senders["here"].credit == 2
    pair.broker.senders["here"].send_unsettled(encode(Message(body=b"x")), "job")
    incoming = only(MessageReceived, pair.pump()).incoming
    assert incoming is not None
    incoming.accept()
    pair.pump()
    assert [(context, outcome.name) for context, outcome in pair.broker.outcomes] == [("job", "accepted")]


def test_a_dynamic_node_gets_its_address_from_the_broker() -> None:
    pair = Pair().open()
    pair.client.open_receiver(ReceiveFrom(None, 10), "me")
    assert only(LinkOpened, pair.pump()).address == "dynamic-0"


@pytest.mark.parametrize("descriptor", [None, 0x0000468C00000005, "apache.org:xquery-filter:string"])
def test_a_filter_counts_as_applied_if_the_answer_repeats_it(descriptor: int | str | None) -> None:
    pair = Pair(Script(echo_as=descriptor)).open()
    wanted = xquery_filter("./*")
    pair.client.open_receiver(ReceiveFrom("here", 10, (wanted,)), "me")
    opened = only(LinkOpened, pair.pump())
    assert pair.broker.filters == [(wanted,)]
    assert wanted.descriptor == 0x0000468C00000005
    [applied] = opened.applied
    assert applied.is_xquery
    assert applied.value == "./*"


def test_the_filter_can_go_out_under_its_symbol() -> None:
    pair = Pair().open()
    symbolic = replace(xquery_filter("."), descriptor="apache.org:xquery-filter:string")
    pair.client.open_receiver(ReceiveFrom("here", 10, (symbolic, subject_filter("PhoneStatus"))), "me")
    pair.pump()
    assert pair.broker.filters[0][0].descriptor == "apache.org:xquery-filter:string"
    assert pair.broker.filters[0][1].descriptor == 0x0000468C00000000


def test_a_filter_that_the_answer_leaves_out_is_not_applied() -> None:
    pair = Pair(Script(echo=False)).open()
    pair.client.open_receiver(ReceiveFrom("here", 10, (xquery_filter("./*"),)), "me")
    assert only(LinkOpened, pair.pump()).applied == ()


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("receiving", [True, False])
def test_a_refused_link_says_why(silent: bool, receiving: bool) -> None:
    script = Script(refuse={"there": "amqp:unauthorized-access"}, silent_refusal=silent)
    pair = Pair(script).open()
    if receiving:
        pair.client.open_receiver(ReceiveFrom("there", 10), "me")
    else:
        pair.client.open_sender(SendTo("there"), "me")
    events = pair.pump()
    closed = only(LinkClosed, events)
    if not silent:
        assert not [event for event in events if isinstance(event, LinkOpened)]
        assert closed.refused
    assert closed.owner == "me"
    assert (closed.condition, closed.description) == ("amqp:unauthorized-access", "not here")
    assert pair.client.state is ConnectionState.OPEN


def test_a_refusal_by_the_end_of_the_session_spares_other_links() -> None:
    script = Script("RabbitMQ", "3.10.8", (), refuse={"bad": "amqp:not-found"}, end_session=True)
    pair = Pair(script).open()
    good = pair.client.open_sender(SendTo("good"), "good")
    pair.client.open_sender(SendTo("bad"), "bad")
    closed = only(LinkClosed, pair.pump())
    assert (closed.owner, closed.refused, closed.condition) == ("bad", True, "amqp:not-found")
    good.send(encode(Message(body=b"x")))
    pair.pump()
    assert len(pair.broker.got) == 1
    assert pair.broker.sessions == 2


def test_the_end_of_a_shared_session_takes_all_its_links_and_new_ones_get_a_new_one() -> None:
    pair = Pair().open()
    first = pair.client.open_sender(SendTo("a"), "a")
    pair.client.open_receiver(ReceiveFrom("b", 10), "b")
    pair.pump()
    first.send_unsettled(encode(Message(body=b"x")), "doubtful")
    pair.pump()
    session = pair.broker.receivers["a"].link.session
    session.condition = Condition("amqp:internal-error", "oops")
    session.close()
    pair.broker.engine.touch()
    closed = {event.owner: event for event in pair.pump() if isinstance(event, LinkClosed)}
    assert set(closed) == {"a", "b"}
    assert {(event.refused, event.condition) for event in closed.values()} == {(False, "amqp:internal-error")}
    assert closed["a"].in_doubt == ("doubtful",)
    pair.client.open_sender(SendTo("c"), "c")
    assert only(LinkOpened, pair.pump()).owner == "c"
    assert pair.broker.sessions == 2


@pytest.mark.parametrize("closing", [True, False])
def test_a_detach_counts_as_the_end_of_the_link_with_and_without_closed(closing: bool) -> None:
    pair = Pair().open()
    pair.client.open_receiver(ReceiveFrom("here", 10), "me")
    pair.pump()
    link = pair.broker.senders["here"].link
    link.condition = Condition("amqp:resource-deleted", "gone")
    if closing:
        link.close()
    else:
        link._update_cond()  # proton forgets it for a detach
        link.detach()
    pair.broker.engine.touch()
    closed = only(LinkClosed, pair.pump())
    assert (closed.owner, closed.refused, closed.condition) == ("me", False, "amqp:resource-deleted")


def test_a_link_that_we_close_gives_no_event() -> None:
    pair = Pair().open()
    receiver = pair.client.open_receiver(ReceiveFrom("here", 10), "me")
    pair.pump()
    pair.client.close_link(receiver)
    pair.client.close_link(receiver)
    assert pair.pump() == []
    assert len(pair.broker.gone) == 1


def test_the_broker_closing_the_connection_ends_links_before_it() -> None:
    pair = Pair().open()
    sender = pair.client.open_sender(SendTo("there"), "me")
    pair.pump()
    sender.send_unsettled(encode(Message(body=b"x")), "doubtful")
    pair.pump()
    pair.broker.engine.close("amqp:connection:forced", "going down")
    events = pair.pump()
    assert [type(event) for event in events] == [LinkClosed, Closed]
    assert events[0].with_connection
    assert events[0].in_doubt == ("doubtful",)
    assert events[1] == Closed("amqp:connection:forced", "going down", True)
    assert pair.client.state is ConnectionState.CLOSED


def test_our_own_close_is_no_error() -> None:
    pair = Pair().open()
    pair.client.close()
    assert pair.pump() == [Closed("", "", True)]


def test_a_broken_connection_is_closed_once() -> None:
    pair = Pair().open()
    pair.client.open_sender(SendTo("there"), "me")
    pair.pump()
    pair.client.eof()
    pair.client.lost("again")
    events = pair.client.events()
    assert [type(event) for event in events] == [LinkClosed, Closed]
    assert events[1].condition


def test_bytes_that_are_no_amqp_end_the_connection() -> None:
    client = BusConnection(container_id="test")
    client.open()
    client.bytes_to_send()
    client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    closed = only(Closed, list(client.events()))
    assert not closed.opened
    assert closed.condition


def test_silence_of_the_broker_is_noticed() -> None:
    pair = Pair(limits=replace(DEFAULT_LIMITS, idle_timeout=2.0))
    pair.client.tick(1.0)
    pair.open()
    pair.client.tick(1.5)
    assert pair.client.state is ConnectionState.OPEN
    for now in (2.5, 4.0, 6.0, 8.0):
        pair.client.tick(now)
    closed = only(Closed, list(pair.client.events()))
    assert "timeout" in closed.description or "timeout" in closed.condition


def test_heartbeats_go_out_when_the_broker_wants_them() -> None:
    pair = Pair()
    pair.broker.engine.transport.idle_timeout = 10.0
    pair.client.tick(1.0)
    pair.open()
    pair.client.tick(1.5)
    assert pair.client.bytes_to_send() == b""
    pair.client.tick(7.0)
    beat = pair.client.bytes_to_send()
    assert len(beat) == 8  # an empty frame


def test_tables_leave_no_state_without_a_way_out() -> None:
    assert {state for state, _ in _CONNECTION} == set(ConnectionState) - {ConnectionState.CLOSED}
    assert {state for state, _ in _LINK} == set(LinkState) - {LinkState.CLOSED}


def test_links_are_engine_links_for_the_hot_path() -> None:
    pair = Pair().open()
    assert isinstance(pair.client.open_sender(SendTo("a"), None), Sender)
    assert isinstance(pair.client.open_receiver(ReceiveFrom("a", 1), None), Receiver)


def test_freeing_with_links_open_is_safe() -> None:
    pair = Pair().open()
    sender = pair.client.open_sender(SendTo("a"), None)
    pair.pump()
    pair.client.lost("test")
    pair.client.free()
    assert sender.credit == 0
