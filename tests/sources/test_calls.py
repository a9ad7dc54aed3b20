from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clacks.common.errors import InvalidEvent
from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.schema import SchemaRegistry
from clacks.sources.ami import Happened
from clacks.sources.calls import AskQueue, CallWatch, Fact, Notification, PhoneState, Plan, fact_event
from tests.sources.test_ami import ready

SCHEMAS = SchemaRegistry(plugins=False)
PLAN = Plan("49", "2932")


def conversation(name: str) -> bytes:
    """Return a conversation with the ends of lines of the wire.

    Asterisk is not packaged for Debian 12. The files were put together from the fields and the order that its
    own documentation gives for these events, and compared with published traces of Asterisk 13 and later.
    """
    text = (Path(__file__).parent / "data" / f"ami-{name}.txt").read_text()
    return text.replace("\n", "\r\n").encode()


def facts(name: str, watch: CallWatch | None = None) -> list[Fact]:
    watch = watch or CallWatch(PLAN)
    found: list[Fact] = []
    for place, event in enumerate(ready().receive(conversation(name))):
        assert isinstance(event, Happened)
        found += watch.take(event.name, event.fields, 1000.0 + place)
    return found


def test_an_answered_call_comes_in_and_ends_with_its_duration() -> None:
    found = facts("answered")
    notes = [fact for fact in found if isinstance(fact, Notification)]
    assert [note.type for note in notes] == ["IncomingCall", "IncomingCall", "CallEnded"]
    over = notes[-1]
    assert (over.identity, over.caller, over.called) == ("Jane Doe", ("+49301234567",), ("+492932201",))
    assert (over.duration, over.cause) == (3.0, "Normal Clearing")


def test_the_phones_are_told_to_ring_talk_and_end() -> None:
    states = [fact for fact in facts("answered") if isinstance(fact, PhoneState)]
    assert [(state.receiver, state.status) for state in states] == [
        ("201", "ringing"),
        ("202", "ringing"),
        ("201", "talking"),
        ("201", "ended"),
    ]
    assert {state.caller for state in states} == {"0301234567"}


def test_a_call_is_missed_once_though_several_phones_rang() -> None:
    notes = [fact for fact in facts("missed") if isinstance(fact, Notification)]
    assert [note.type for note in notes] == ["IncomingCall", "IncomingCall", "CallMissed"]
    assert notes[-1].called == ("+492932201", "+492932202")
    assert notes[-1].duration is None


@pytest.mark.parametrize(
    "dialled", ["201", "PJSIP/201", "PJSIP/201@trunk", "201@phones", "201/sip:201@192.0.2.7:5060"]
)
def test_a_phone_without_a_number_of_its_own_is_what_was_dialled(dialled: str) -> None:
    found = CallWatch(PLAN).take(
        "DialBegin",
        {
            "Uniqueid": "1.1",
            "Linkedid": "1.1",
            "CallerIDNum": "030123",
            "DestChannel": "PJSIP/201-1",
            "DestCallerIDNum": "<unknown>",
            "DialString": dialled,
        },
        1.0,
    )
    assert found[-1] == PhoneState("030123", "201", "ringing")


def test_a_caller_who_gives_up_while_it_rings_is_missed_once() -> None:
    watch = CallWatch(PLAN)
    caller = {"Uniqueid": "1.1", "Linkedid": "1.1", "CallerIDNum": "030123", "CallerIDName": "Jane"}
    phone = {"DestChannel": "PJSIP/201-1", "DestCallerIDNum": "201", "DestUniqueid": "1.2"}
    found: list[Fact] = []
    # The order in which Asterisk tells it: the phone that rang hangs up before the channel of the caller.
    for name, fields in (
        ("DialBegin", {**caller, **phone}),
        ("DialState", {**caller, **phone, "DialStatus": "RINGING"}),
        ("HangupRequest", {**caller, "Cause": "127"}),
        ("DialEnd", {**caller, **phone, "DialStatus": "CANCEL"}),
        ("Hangup", {"Uniqueid": "1.2", "Linkedid": "1.1", "Cause-txt": "Interworking, unspecified"}),
        ("Hangup", {**caller, "Cause-txt": "Interworking, unspecified"}),
    ):
        found += watch.take(name, fields, 1.0)
    assert [fact.type for fact in found if isinstance(fact, Notification)] == ["IncomingCall", "CallMissed"]
    assert [fact.status for fact in found if isinstance(fact, PhoneState)] == ["ringing", "ended"]


def test_a_group_that_rings_through_local_channels_is_one_call() -> None:
    watch = CallWatch(PLAN)
    outer = {"Uniqueid": "1.1", "Linkedid": "1.1", "CallerIDNum": "030123", "CallerIDName": "Jane"}
    inner = {"Uniqueid": "1.3", "Linkedid": "1.1", "CallerIDNum": "<unknown>", "DestCallerIDNum": "201"}
    proxy, phone = {"DestChannel": "Local/201@group-1;1"}, {"DestChannel": "PJSIP/201-1"}
    found = watch.take("DialBegin", {**outer, **proxy}, 1.0)
    assert found == []
    found += watch.take("DialBegin", {**inner, **phone}, 2.0)
    found += watch.take("DialEnd", {**inner, **phone, "DialStatus": "ANSWER"}, 3.0)
    found += watch.take("DialEnd", {**outer, **proxy, "DialStatus": "ANSWER"}, 3.1)
    found += watch.take("Hangup", {"Uniqueid": "1.3", "Linkedid": "1.1"}, 9.0)
    found += watch.take("Hangup", {"Uniqueid": "1.1", "Linkedid": "1.1"}, 9.0)
    notes = [fact for fact in found if isinstance(fact, Notification)]
    assert [(note.type, note.identity, note.duration) for note in notes] == [
        ("IncomingCall", "Jane", None),
        ("CallEnded", "Jane", 6.0),
    ]


def test_queues_tell_their_members_and_how_many_wait_only_when_that_changes() -> None:
    found = facts("queue")
    assert found[0] == AskQueue("support")
    notes = [fact for fact in found if isinstance(fact, Notification)]
    assert [note.queue for note in notes] == [
        {"Name": "support", "Member": "Bob", "Status": "ringing"},
        {"Name": "support", "Member": "Bob", "Status": "not in use, paused"},
        {"Name": "support", "Calls": 1, "HoldTime": 12},
    ]


@pytest.mark.parametrize("name", ["answered", "missed", "queue"])
def test_each_fact_is_a_valid_event(name: str) -> None:
    for fact in facts(name):
        if not isinstance(fact, AskQueue):
            event = fact_event(SCHEMAS, fact)
            assert event.kind in ("AsteriskNotification", "PhoneStatus")


def test_calls_that_never_end_are_forgotten_at_last() -> None:
    watch = CallWatch(PLAN, replace(DEFAULT_LIMITS, ami_channels=100))
    for number in range(1000):
        watch.take("DialBegin", {"Uniqueid": str(number), "CallerIDNum": "1"}, 1.0)
        watch.take("QueueSummary", {"Queue": str(number), "Callers": "1"}, 1.0)
    assert len(watch._calls) == len(watch._queues) == 100
    assert watch.take("Hangup", {"Uniqueid": "5"}, 2.0) == []


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("DialBegin", {}),
        ("DialEnd", {"DialStatus": "ANSWER"}),
        ("Hangup", {}),
        ("QueueMemberStatus", {}),
        ("QueueCallerJoin", {}),
        ("QueueSummary", {"Queue": "q", "Callers": "-1"}),
        ("QueueSummary", {"Queue": "q", "Callers": "9" * 400}),
        ("Nonsense", {"Uniqueid": "1"}),
    ],
)
def test_events_without_what_they_should_have_mean_nothing(name: str, fields: dict[str, str]) -> None:
    assert CallWatch(PLAN).take(name, fields, 1.0) == []


def test_a_name_that_xml_cannot_hold_makes_no_event() -> None:
    with pytest.raises(InvalidEvent):
        fact_event(SCHEMAS, PhoneState("1\x02", "2", "ringing"))


@pytest.mark.parametrize(
    ("plan", "text", "number"),
    [
        (Plan(), "+49 30 1234", "+49301234"),
        (Plan(), "0049301234", "+49301234"),
        (Plan(), "0301234", None),
        (Plan("1", "", ""), "2125550100", None),
        (Plan("1", "212", ""), "5550100", "+12125550100"),
        (Plan("49"), "201", None),
        (Plan("49", "2932"), "201", "+492932201"),
        (Plan("49", "2932"), "<unknown>", None),
        (Plan("49", "2932"), "", None),
        (Plan("49", "2932"), "+12", None),
        (Plan("49", "2932"), "0" * 40, None),
    ],
)
def test_numbers_become_international_where_that_can_be_known(
    plan: Plan, text: str, number: str | None
) -> None:
    assert plan.number(text) == number
