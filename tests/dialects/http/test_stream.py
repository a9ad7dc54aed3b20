from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.dialects.actions import Close, Failed, Failure, Send, Since, Subscribe, Subscribed
from clacks.dialects.delivered import Delivered
from clacks.dialects.exchange import EventStream
from clacks.dialects.http.formats import StreamForm, block
from clacks.dialects.http.stream import BadSince, read_since

from .asking import REGISTRY, Asker, phone

QUERY = "declare%20namespace%20f='http://www.gonicus.de/Events';%20./f:Event/f:PhoneStatus"


def subscribe(url: str, asker: Asker | None = None, **headers: str) -> Subscribe:
    stream = (asker or Asker()).ask("GET", url, **headers)
    assert isinstance(stream, EventStream), stream
    (effect,) = stream.session.opened()
    assert isinstance(effect, Subscribe)
    return effect


def delivered() -> Delivered:
    return Delivered(REGISTRY.receive(phone()), "1700000000000-1", 1_700_000_000_000, event_id="e-1")


def test_everything_is_streamed_if_nothing_is_asked_for():
    assert subscribe("/events").wanted.kinds is None


@pytest.mark.parametrize(
    "url", ["/events?type=PhoneStatus&type=NodeLeave", "/events?type=PhoneStatus,NodeLeave"]
)
def test_types_can_be_chosen(url):
    assert subscribe(url).wanted.kinds == {"PhoneStatus", "NodeLeave"}


def test_a_query_chooses_events():
    assert subscribe(f"/events?xquery={QUERY}").wanted.xquery


def test_a_query_that_does_not_compile_is_told_with_its_place():
    status, answer = Asker().answer("GET", "/events?xquery=1%20%2B%0A%20%2B")
    assert status == 400
    assert answer["code"] == "XPST0003"
    assert answer["line"] >= 1
    assert answer["column"] >= 1


@pytest.mark.parametrize(
    ("user", "url", "status"),
    [
        ("", "/events", 401),
        ("bob", "/events", 200),
        ("bob", "/events?type=PhoneStatus", 200),
        ("bob", "/events?type=NodeLeave", 403),
        ("bob", f"/events?xquery={QUERY}", 403),
        ("ann", "/events?type=Phone", 404),
        ("ann", "/events?format=yaml", 400),
        ("ann", "/events?since=yesterday", 400),
        ("ann", "/events?since=2026-01-01T00:00:00", 400),
    ],
)
def test_what_cannot_be_had_is_refused_before_the_stream_begins(user, url, status):
    answer = Asker(user).ask("GET", url)
    assert (200 if isinstance(answer, EventStream) else answer.status) == status


def test_where_a_browser_was_counts_more_than_where_it_began():
    assert subscribe("/events?since=-1h").since == Since(ago=3_600_000)
    assert subscribe("/events?since=-1h", last_event_id="5-1").since == Since(after="5-1")


def test_there_is_no_past_without_an_event_log():
    assert Asker(recording=False).answer("GET", "/events?since=-1h")[0] == 503


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("5-1", Since(after="5-1")),
        ("-90", Since(ago=90_000)),
        ("-90s", Since(ago=90_000)),
        ("-500ms", Since(ago=500)),
        ("-2d", Since(ago=172_800_000)),
        ("2023-11-14T22:13:20Z", Since(ms=1_700_000_000_000)),
        ("2023-11-14T23:13:20+01:00", Since(ms=1_700_000_000_000)),
        ("2023-11-14T23:13:20 01:00", Since(ms=1_700_000_000_000)),
        ("1900-01-01T00:00:00Z", Since(ms=0)),
    ],
)
def test_points_in_time(text, since):
    assert read_since(text) == since


@given(st.text())
def test_no_text_breaks_the_reader_of_times(text):
    with contextlib.suppress(BadSince):
        since = read_since(text)
        assert [since.ms, since.ago, since.after].count(None) == 2


def test_an_event_as_json_is_a_block_with_its_log_id():
    encoded = StreamForm("json", "urn:clacks:bus").encode(delivered(), "")
    assert encoded is not None
    lines = encoded.head.decode().splitlines()
    assert lines[:2] == ["id: 1700000000000-1", "event: PhoneStatus"]
    assert json.loads(lines[2].removeprefix("data: ")) == {
        "id": "1700000000000-1",
        "type": "PhoneStatus",
        "time": "2023-11-14T22:13:20.000Z",
        "data": {"CallerId": "1", "ReceiverId": "2", "Status": "busy"},
    }
    assert encoded.head.endswith(b"\n\n")


def test_an_event_as_a_cloud_event():
    encoded = StreamForm("cloudevents", "urn:clacks:bus").encode(delivered(), "")
    assert encoded is not None
    found = json.loads(encoded.head.decode().splitlines()[2].removeprefix("data: "))
    assert (found["specversion"], found["id"], found["source"]) == ("1.0", "e-1", "urn:clacks:bus")


def test_an_event_as_xml_keeps_its_lines():
    encoded = StreamForm("xml", "").encode(delivered(), "")
    assert encoded is not None
    text = "\n".join(
        line.removeprefix("data: ")
        for line in encoded.head.decode().splitlines()
        if line.startswith("data: ")
    )
    assert REGISTRY.receive(text).kind == "PhoneStatus"


@given(st.text())
def test_no_text_leaves_its_block(text):
    lines = block("x", text, "1").split("\n")
    assert lines[-2:] == ["", ""]
    assert all(line.startswith(("id: ", "event: ", "data: ")) for line in lines[:-2])


def test_a_subscription_that_fails_ends_the_stream_with_a_problem():
    stream = Asker().ask("GET", "/events")
    assert isinstance(stream, EventStream)
    text, close = stream.session.answer("events", Failed(Failure.LIMIT, "too many"))
    assert isinstance(text, Send)
    assert text.text.startswith("event: error\n")
    assert "too many" in text.text
    assert isinstance(close, Close)
    (said,) = stream.session.answer("events", Subscribed())
    assert said == Send(": subscribed\n\n")
    assert isinstance(list(stream.session.expired())[-1], Close)
