"""From one event to many, without a socket: who gets what, how often it is encoded, and what it costs."""

from __future__ import annotations

from typing import Any, cast

import pytest

from clacks.common.errors import QueryBudgetExceeded
from clacks.common.metrics import Metrics
from clacks.common.rights import Rights, parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import Access, Identity
from clacks.dialects.actions import Encoded, Wanted
from clacks.dialects.delivered import Delivered
from clacks.gateway.fanout import Fanout
from clacks.net.web_frames import text_frame
from clacks.net.web_link import Link
from clacks.net.web_outbox import Outbox
from tests.costs import cpu_seconds

REGISTRY = SchemaRegistry()
RIGHTS = parse_rights(
    '[users.ann]\nroles=["admin"]\n[users.bob]\nroles=["few"]\n[roles.few]\nread=["TopicMessage"]'
)
PHONE = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus[f:Status = 'busy']"


class Plain:
    """Shows the topic, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, delivered: Delivered, topic: str) -> Encoded:
        self.asked += 1
        return Encoded(b"<", f">{delivered.topic}".encode())


class Taking:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


class House:
    def __init__(self) -> None:
        self.rights: Rights = RIGHTS
        self.now = 0.0
        self.outbox = Outbox(cast("Any", None), Metrics())
        self.outbox.schedule = lambda: None  # type: ignore[method-assign]
        self.fanout = Fanout(REGISTRY, self.outbox, Metrics(), lambda: self.now)
        self.form = Plain()

    def link(self) -> Link:
        none = cast("Any", None)
        return Link(self.outbox, cast("Any", Taking()), text_frame, limit=1, receive=none, drain=none)

    def written(self, link: Link) -> list[bytes]:
        """What went to the transport, in pieces as it was written."""
        self.outbox.flush()
        return cast("Any", link.transport).written  # type: ignore[no-any-return]

    def add(self, link: Link, wanted: Wanted, *, user: str = "ann", splice: bytes = b"1", **more: Any) -> Any:
        access = Access(Identity(user, read=more.pop("read", None)), lambda: self.rights)
        return self.fanout.add(link, object(), link, access, wanted, self.form, splice, **more)


def topic(name: str = "a/b") -> Delivered:
    fields = {"Id": "1-0", "Topic": name, "Message": "x" * 64, "Timestamp": 1}
    return Delivered(REGISTRY.from_dict("TopicMessage", fields), "", 0)


def phone(status: str = "busy", event_id: str = "") -> Delivered:
    fields = {"CallerId": "1", "ReceiverId": "2", "Status": status}
    return Delivered(REGISTRY.from_dict("PhoneStatus", fields), "2-0", 2, event_id=event_id)


def test_a_message_is_encoded_once_for_all_who_see_it_alike() -> None:
    house = House()
    links = [house.link() for _ in range(10)]
    for number, link in enumerate(links):
        house.add(link, Wanted(topics="a/#"), splice=b"1" if number < 9 else b'"x"')
    assert house.fanout.deliver(topic()) == 10
    assert house.form.asked == 2
    assert [house.written(link) for link in links[:9]] == [[text_frame(b"<1>a/b")]] * 9
    assert house.written(links[9]) == [text_frame(b'<"x">a/b')]
    assert house.written(links[0])[0] is house.written(links[8])[0]


@pytest.mark.parametrize("others", [0, 20])
def test_events_of_two_topics_keep_their_order_on_each_connection(others: int) -> None:
    house = House()
    one, both = house.link(), house.link()
    for link in [one, both, *(house.link() for _ in range(others))]:
        house.add(link, Wanted(topics="a/b"), splice=b"1")
    house.add(both, Wanted(topics="a/c"), splice=b"2")
    for name in ("a/b", "a/b", "a/c", "a/b"):
        house.fanout.deliver(topic(name))
    frames = {name: text_frame(f"<{splice}>{name}".encode()) for name, splice in (("a/b", 1), ("a/c", 2))}
    assert b"".join(house.written(one)) == frames["a/b"] * 3
    assert b"".join(house.written(both)) == frames["a/b"] * 2 + frames["a/c"] + frames["a/b"]


def test_a_connection_with_two_subscriptions_gets_each_event_twice_before_the_next() -> None:
    house = House()
    links = [house.link() for _ in range(20)]
    for link in links:
        house.add(link, Wanted(topics="a/b"), splice=b"1")
    house.add(links[0], Wanted(topics="a/#"), splice=b"2")
    for _ in range(2):
        house.fanout.deliver(topic())
    first, second = text_frame(b"<1>a/b"), text_frame(b"<2>a/b")
    assert b"".join(house.written(links[0])) in ((first + second) * 2, (second + first) * 2)
    assert b"".join(house.written(links[19])) == text_frame(b"<1>a/b") * 2


def test_rights_that_change_count_for_the_next_event() -> None:
    house = House()
    link = house.link()
    house.add(link, Wanted(topics="a/b"))
    assert house.fanout.deliver(topic()) == 1
    house.rights = Rights()
    house.fanout.changed()
    assert house.fanout.deliver(topic()) == 0


@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(wildcard=True), Wanted(topics="events/#"), Wanted(xquery=PHONE)]
)
def test_types_that_the_user_may_not_see_stay_hidden_behind_everything(wanted: Wanted) -> None:
    house = House()
    seen, hidden, filtered = house.link(), house.link(), house.link()
    house.add(seen, wanted)
    house.add(hidden, wanted, user="bob")
    house.add(filtered, wanted, read=("a/#",))
    assert house.fanout.deliver(phone()) == 1
    assert seen.pending
    assert not hidden.pending
    assert not filtered.pending


def test_a_query_and_a_test_decide_for_each_event() -> None:
    house = House()
    link, tested = house.link(), house.link()
    house.add(link, Wanted(xquery=PHONE))
    house.add(tested, Wanted(kinds=frozenset(["PhoneStatus"]), test=lambda d: d.fields["Status"] == "free"))
    for status in ("busy", "free", "busy"):
        house.fanout.deliver(phone(status))
    assert (len(link.pending), len(tested.pending)) == (2, 1)


def test_one_copy_for_a_connection_where_that_is_asked_for() -> None:
    house = House()
    link = house.link()
    for wanted in (Wanted(), Wanted(kinds=frozenset(["PhoneStatus"]))):
        house.add(link, wanted, once=True)
    assert house.fanout.deliver(phone()) == 1


def test_a_pace_leaves_out_what_comes_too_soon() -> None:
    house = House()
    link = house.link()
    house.add(link, Wanted(), pace=2.0)
    for now in (0.0, 1.0, 1.95, 2.5, 4.0):
        house.now = now
        house.fanout.deliver(phone())
    assert len(link.pending) == 3


def test_what_comes_during_a_replay_is_sent_after_it_and_once() -> None:
    house = House()
    link = house.link()
    subscriber = house.add(link, Wanted(), hold=True)
    for number in range(3):
        house.fanout.deliver(phone(event_id=f"e{number}"))
    assert not link.pending
    house.fanout.release(subscriber, ["e0", "e1"])
    house.fanout.deliver(phone(event_id="e3"))
    assert len(link.pending) == 2


def test_what_the_log_had_before_the_bus_brought_it_is_sent_once() -> None:
    house = House()
    link = house.link()
    subscriber = house.add(link, Wanted(), hold=True)
    house.fanout.release(subscriber, ["e0", "e1"])
    assert not subscriber.plain
    house.fanout.deliver(phone(event_id="e1"))  # committed, replayed, and only then published
    assert not link.pending
    house.now = 60.0
    house.fanout.deliver(phone(event_id="e2"))
    assert len(link.pending) == 1
    assert subscriber.plain, "it costs no more than any other by now"


def test_who_left_gets_nothing_and_leaves_nothing_behind() -> None:
    house = House()
    link = house.link()
    added = [house.add(link, wanted) for wanted in (Wanted(topics="a/+"), Wanted(), Wanted(xquery=PHONE))]
    for subscriber in added:
        house.fanout.remove(subscriber)
    assert house.fanout.deliver(topic()) == house.fanout.deliver(phone()) == 0
    assert len(house.fanout) == 0
    assert not house.fanout._looks
    assert not house.fanout._kinds
    assert not len(house.fanout._index)


def test_a_message_to_a_thousand_costs_little_for_each() -> None:
    house = House()
    links = [house.link() for _ in range(1000)]
    for link in links:
        house.add(link, Wanted(topics="a/b"))
    message = topic()

    def deliver() -> None:
        for _ in range(20):
            house.fanout.deliver(message)
        house.outbox.flush()

    # About 0.1 us each here; the writing is the system's.
    assert cpu_seconds(deliver) / 20_000 < 2e-6


HOSTILE = (
    "declare namespace f='http://www.gonicus.de/Events'; "
    "./f:Event/f:TopicMessage and count(for $a in 1 to 3000, $b in 1 to 3000 return $a * $b) > 1"
)


def test_a_hostile_query_costs_its_budget_and_its_own_subscriber_alone() -> None:
    house = House()
    bad, good = house.link(), house.link()
    house.add(bad, Wanted(xquery=HOSTILE))
    house.add(good, Wanted(topics="a/b"))
    for _ in range(3):
        house.fanout.deliver(topic())
    assert len(good.pending) == 3
    assert bad.pending == []


def test_a_hostile_query_on_what_was_ends_with_the_time_for_all_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clacks.gateway.fanout._JUDGED", 0.1)
    wants = House().fanout.judge(Wanted(xquery=HOSTILE))
    with pytest.raises(QueryBudgetExceeded):
        any(wants(topic()) for _ in range(10_000))
