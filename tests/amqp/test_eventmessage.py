from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from clacks.amqp.eventmessage import ON_BEHALF_OF, EventEncoder
from clacks.amqp.messages import decode

NOW = datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC).timestamp()


def encoder() -> EventEncoder:
    return EventEncoder("ann", "urn:clacks:pc1", "0123456789abcdef-")


@pytest.mark.parametrize("size", [0, 10, 255, 256, 100_000])
def test_an_event_becomes_a_message_as_the_wire_wants_it(size: int) -> None:
    xml = b"x" * size
    message = decode(encoder().encode("PhoneStatus", xml, NOW))
    assert message.body == xml
    assert message.subject == "PhoneStatus"
    assert message.content_type == "application/xml"
    assert message.user_id == b"ann"
    assert message.properties == {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_type": "PhoneStatus",
        "cloudEvents_source": "urn:clacks:pc1",
        "cloudEvents_id": "0123456789abcdef-0000000001",
        "cloudEvents_time": "2026-03-04T05:06:07.089000Z",
    }


def test_both_ways_of_writing_give_the_same_message() -> None:
    fast, slow = encoder(), encoder()
    for _ in range(3):
        assert fast.encode("PhoneStatus", b"<x/>", NOW) == slow.encode_with("PhoneStatus", b"<x/>", NOW)


def test_what_is_sent_in_somebodys_name_says_so_in_both_ways_of_writing() -> None:
    fast, slow = encoder(), encoder()
    for user in ("ann", "u" * 300, "ann", "jürgen"):
        written = fast.encode("PhoneStatus", b"<x/>", NOW, user)
        assert written == slow.encode_with("PhoneStatus", b"<x/>", NOW, {ON_BEHALF_OF: user})
        assert decode(written).properties[ON_BEHALF_OF] == user
    for number in range(3000):
        fast.encode("PhoneStatus", b"<x/>", NOW, f"user{number}")
    assert len(fast._templates) <= 1000


def test_ids_differ_between_events_and_types() -> None:
    one = encoder()
    ids = [
        decode(one.encode(kind, b"", NOW)).properties["cloudEvents_id"] for kind in ("A", "B", "A", "C", "B")
    ]
    assert len(set(ids)) == 5


def test_the_time_follows_the_clock_into_the_next_second() -> None:
    one = encoder()
    times = [decode(one.encode("A", b"", NOW + d)).properties["cloudEvents_time"] for d in (0, 0.9, 1, 61)]
    assert [t[14:23] for t in times] == ["06:07.089", "06:07.989", "06:08.089", "07:08.089"]


def test_long_names_do_not_shift_the_gaps() -> None:
    one = EventEncoder("u" * 300, "urn:" + "s" * 300, "id-")
    message = decode(one.encode("K" * 300, b"body", NOW))
    assert message.properties["cloudEvents_id"] == "id-0000000001"
    assert message.properties["cloudEvents_time"] == "2026-03-04T05:06:07.089000Z"
    assert message.body == b"body"


def test_properties_and_expiry_travel_along() -> None:
    expires = datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    message = decode(
        encoder().encode_with("A", b"", NOW, {"room": "r1", "level": 3, "since": expires}, expires)
    )
    assert message.absolute_expiry_time == int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert message.properties["room"] == "r1"
    assert message.properties["level"] == 3
    assert message.properties["since"] == "2027-01-01T00:00:00Z"


def test_nobody_overwrites_what_the_bus_says() -> None:
    with pytest.raises(ValueError, match="cloudEvents_id"):
        encoder().encode_with("A", b"", NOW, {"cloudEvents_id": "mine"})


def test_without_a_login_there_is_no_user_id() -> None:
    assert decode(EventEncoder(None, "urn:x", "i").encode("A", b"", NOW)).user_id is None
