from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from lxml import etree, objectify

from clacks.common.errors import InvalidEvent, MalformedEvent
from clacks.common.event import EVENTS_NS, EventMaker, objectified
from clacks.common.limits import Limits
from clacks.common.schema import SchemaRegistry
from tests.common.test_schema import schema, simple, write

REGISTRY = SchemaRegistry(plugins=False)
e = EventMaker(REGISTRY)


def phone() -> etree._Element:
    return e.Event(e.PhoneStatus(e.CallerId("012345"), e.ReceiverId("12343424"), e.Status("busy")))


def refusal(build: Any, *args: Any, **kw: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        build(*args, **kw)
    return caught.value


def text(element: etree._Element, name: str) -> str | None:
    found = element.find(f".//{{{EVENTS_NS}}}{name}")
    assert found is not None
    return found.text


# The nested form


def test_the_event_of_the_reference_document_prints_as_expected() -> None:
    assert etree.tostring(phone(), pretty_print=True).decode() == (
        '<Event xmlns="http://www.gonicus.de/Events">\n'
        "  <PhoneStatus>\n"
        "    <CallerId>012345</CallerId>\n"
        "    <ReceiverId>12343424</ReceiverId>\n"
        "    <Status>busy</Status>\n"
        "  </PhoneStatus>\n"
        "</Event>\n"
    )


def test_the_result_is_an_lxml_element_with_the_default_prefix() -> None:
    root = phone()
    assert type(root) is etree._Element
    assert root.tag == f"{{{EVENTS_NS}}}Event"
    assert root.nsmap == {None: EVENTS_NS}
    assert {element.prefix for element in root.iter()} == {None}


def test_a_built_event_is_received() -> None:
    assert REGISTRY.receive(etree.tostring(phone(), pretty_print=True)).kind == "PhoneStatus"


def test_without_a_registry_the_default_one_serves() -> None:
    made = EventMaker()
    assert made.Event(made.NodeLeave(made.Id("x")))[0][0].text == "x"


@pytest.mark.parametrize(
    ("build", "path", "reason"),
    [
        (
            lambda: e.Event(e.PhoneState()),
            "/Event/PhoneState",
            "unknown event type (did you mean PhoneStatus?)",
        ),
        (lambda: e.Event(), "/Event", "no event, expected one"),
        (lambda: e.Event(e.ClientPoll(), e.ClientPoll()), "/Event", "2 events (ClientPoll, ClientPoll)"),
        (
            lambda: e.Event(e.PhoneStatus(e.CallerId("1"), e.ReceiverId("2"))),
            "/Event/PhoneStatus",
            "Status is missing",
        ),
        (
            lambda: e.Event(e.NodeLeave(e.ID("x"))),
            "/Event/NodeLeave/ID",
            "unknown element ID (did you mean Id?)",
        ),
        (lambda: e.Event(e.NodeLeave(e.Id("x"), e.Id("y"))), "/Event/NodeLeave/Id[2]", "Id occurs too often"),
        (lambda: e.Event(e.NodeLeave(e.Id("x"), "text")), "/Event/NodeLeave", ""),
        (lambda: e.Event(e.NodeLeave(e.Id("x", a="b"))), "/Event/NodeLeave/Id", ""),
        (lambda: e.Event(e.ClientPoll(), version="1"), "/Event", ""),
        (lambda: e.Event("ClientPoll"), "/Event", "no event, expected one"),
        (
            lambda: e.Event(e.NodeStatus(e.Id("x"), e.Load("high"), e.Latency(1), e.Workers(1))),
            "/Event/NodeStatus/Load",
            "not a float: 'high'",
        ),
    ],
)
def test_what_the_schema_refuses_is_raised_with_path_and_reason(build: Any, path: str, reason: str) -> None:
    error = refusal(build)
    assert error.path == path
    assert error.reason
    assert error.reason.startswith(reason)


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"), ("", ""), (5, "5"), (-(10**30), "-1" + "0" * 30), (True, "true"), (False, "false"),
        (1.5, "1.5"), (1e300, "1e+300"),
        (math.inf, "INF"), (-math.inf, "-INF"), (math.nan, "NaN"), (0.1, "0.1"),
        (Decimal("1.50"), "1.50"), (Decimal("1E+3"), "1000"), (Decimal("1E-7"), "0.0000001"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "2024-02-29T12:00:00Z"),
        (datetime(2024, 2, 29, 12, 0, 0, 5), "2024-02-29T12:00:00.000005"),
        (datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=-5))), "2024-02-29T12:00:00-05:00"),
        (datetime(1890, 1, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))), "1889-12-31T23:06:32Z"),
        (datetime(1, 1, 1), "0001-01-01T00:00:00"),
        (date(2024, 2, 29), "2024-02-29"), (time(0, 0, 0, 500_000), "00:00:00.5"),
        (time(12, 30), "12:30:00"), (time(12, 30, tzinfo=UTC), "12:30:00Z"),
        (timedelta(days=1, hours=2), "P1DT7200S"), (-timedelta(seconds=1.5), "-P0DT1.5S"),
        ([1, 2.5, "x"], "1 2.5 x"), ((), ""), (None, None), (Colour.RED, "red"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)  # fmt: skip
def test_python_values_are_written_in_lexical_form(value: Any, expected: str | None) -> None:
    assert e.Value(value).text == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"bytes", "bytes are not text: decode them first"),
        (object(), "object has no form in XML"),
        (Decimal("Infinity"), "Infinity is no decimal"),
        (["a b"], "'a b' cannot be an item of a list: items are separated by white space"),
    ],
)
def test_values_without_a_lexical_form_are_refused_where_they_are_given(value: Any, reason: str) -> None:
    error = refusal(e.Value, value)
    assert (error.path, error.reason) == ("Value", reason)


def test_lists_of_elements_are_content() -> None:
    root = e.Event(e.UserSession(e.Id("x"), e.User([e.Name(name) for name in ("ann", "bob")])))
    assert [name.text for name in root[0][1]] == ["ann", "bob"]


def test_lists_of_values_are_list_types() -> None:
    root = e.Event(
        e.AsteriskNotification(
            e.Type("CallMissed"), e.Identity("x"), e.From(["+4912345"]), e.To([]), e.Timestamp(Decimal("1.5"))
        )
    )
    assert text(root, "From") == "+4912345"
    assert not text(root, "To")


def test_attributes_are_keywords_or_dictionaries() -> None:
    assert e.Usage(1.5, core=0).get("core") == "0"
    assert e.Usage({"core": 0}, 1.5).get("core") == "0"
    assert refusal(e.Usage, 1, core=b"x").path == "Usage/@core"


@pytest.mark.parametrize("body", ["a\0b", "\x1b[0m", "\ufffe", "\ud800"])
def test_text_that_xml_cannot_hold_becomes_base64(body: str) -> None:
    root = e.Event(e.Notification(e.Target("*"), e.Body(body)))
    assert root[0][1].get("enc") == "base64"
    assert REGISTRY.receive(etree.tostring(root)).to_dict()["Body"] == body


def test_text_that_xml_can_hold_stays_as_it_is() -> None:
    root = e.Event(e.Notification(e.Target("*"), e.Body("a\r\n\tb\U0001f600")))
    assert root[0][1].get("enc") is None
    assert REGISTRY.receive(etree.tostring(root)).to_dict()["Body"] == "a\r\n\tb\U0001f600"


def test_text_that_neither_xml_nor_the_type_can_hold_is_refused_clearly() -> None:
    error = refusal(lambda: e.Event(e.NodeLeave(e.Id("a\0"))))
    assert str(error) == (
        "NodeLeave: /Event/NodeLeave/Id: U+0000 cannot stand in XML, and this element has no enc"
    )
    with pytest.raises(InvalidEvent):
        e.Usage(1, core="\0")


def job(**more: Any) -> etree._Element:
    content = {
        "Id": 1, "Method": "m", "Arguments": ["vol1"], "State": "WAITING", "Progress": {}, "MessageIds": [],
        "Abortable": True, "Transient": False, **more,
    }  # fmt: skip
    return e.event("JobStatus", **content)


def test_elements_that_hold_json_take_json_values() -> None:
    assert e.Arguments(["vol1", None]).text == '["vol1",null]'
    assert e.Arguments({"a": 1}).text == '{"a":1}'
    assert e.Arguments("text").text == '"text"'
    assert refusal(e.Arguments, {1, 2}).path == "Arguments"
    assert text(job(Result={"\0": 1.5}), "Result") == '{"\\u0000":1.5}'


def test_a_name_that_is_json_in_one_type_only_takes_values_by_their_kind(tmp_path: Path) -> None:
    write(tmp_path, Plain=schema('<element name="Plain"><complexType><sequence><element name="Arguments" '
                                 'type="string"/></sequence></complexType></element>'))  # fmt: skip
    maker = EventMaker(SchemaRegistry([tmp_path], plugins=False))
    assert maker.registry.is_json("Arguments") is None
    assert maker.Event(maker.Plain(maker.Arguments("text")))[0][0].text == "text"
    assert maker.Arguments(["a"]).text == '["a"]'


def test_elements_that_come_to_hold_json_take_json_values(tmp_path: Path) -> None:
    maker = EventMaker(SchemaRegistry([tmp_path], plugins=False))
    assert maker.Value([1, 2]).text == "1 2"
    json = '<annotation><appinfo><j:json xmlns:j="urn:clacks:annotations"/></appinfo></annotation>'
    write(tmp_path, Door=simple("Door").replace('type="string"/>', f'type="string">{json}</element>'))
    assert maker.registry.reload()
    assert maker.Value([1, 2]).text == "[1,2]"


def test_elements_whose_names_are_taken_are_made_by_index() -> None:
    assert e["event"]("x").tag == f"{{{EVENTS_NS}}}event"
    assert e["Event"]().tag == f"{{{EVENTS_NS}}}Event"
    with pytest.raises(ValueError, match="Invalid tag name"):
        e["not a name"]
    assert not hasattr(e, "__deepcopy__")


# The keyword form

STATUS = {"Id": "x", "Load": 1, "Latency": 1, "Workers": 1}


def test_the_keyword_form_builds_in_schema_order() -> None:
    root = e.event("NodeStatus", Workers=3, Latency=0.5, Load=1, Id="n")
    assert [etree.QName(child).localname for child in root[0]] == ["Id", "Load", "Latency", "Workers"]
    assert etree.tostring(phone()) == etree.tostring(
        e.event("PhoneStatus", Status="busy", ReceiverId="12343424", CallerId="012345")
    )


def test_nested_content_is_dictionaries_and_lists() -> None:
    columns = ("Size", "Alloc", "Free", "Frag", "ExpandSz", "Dedup", "AltRoot", "Capacity", "Health")
    root = e.event(
        "SystemState",
        Hostname="h",
        Priority=3,
        Updates={"Status": "noupdates"},
        Pool=[{"@name": name, **dict.fromkeys(columns, "-")} for name in ("a", "b")],
    )  # fmt: skip
    assert [pool.get("name") for pool in root[0][1:3]] == ["a", "b"]
    root = job(Detail=[{"@name": "x", "#text": "a\0"}], TimeStarted=datetime(2024, 1, 1, tzinfo=UTC))
    assert text(root, "TimeStarted") == "2024-01-01T00:00:00Z"
    assert root[0][-1].attrib == {"name": "x", "enc": "base64"}


@pytest.mark.parametrize(
    ("kind", "content", "path", "reason"),
    [
        ("NodeLeft", {}, "/Event/NodeLeft", "unknown event type (did you mean NodeLeave?)"),
        ("NodeLeave", {}, "/Event/NodeLeave", "Id is missing"),
        ("NodeLeave", {"Id": "x", "Ids": 1}, "/Event/NodeLeave/Ids", "unknown member Ids (did you mean Id?)"),
        ("NodeStatus", {**STATUS, "Workers": 1.5}, "/Event/NodeStatus/Workers", "not an integer: 1.5"),
        ("NodeStatus", {**STATUS, "Load": "a"}, "/Event/NodeStatus/Load", "not a float: 'a'"),
        ("ClientPoll", {"Id": 1}, "/Event/ClientPoll/Id", "unknown member Id"),
    ],
)  # fmt: skip
def test_the_keyword_form_refuses_with_path_and_reason(
    kind: str, content: dict[str, Any], path: str, reason: str
) -> None:
    error = refusal(e.event, kind, **content)
    assert error.path == path
    assert error.reason.startswith(reason)


def test_events_without_content_can_be_built() -> None:
    assert (
        etree.tostring(e.event("ClientPoll")) == f'<Event xmlns="{EVENTS_NS}"><ClientPoll/></Event>'.encode()
    )


# Schemas that come later, limits


def test_a_schema_that_comes_later_is_noticed(tmp_path: Path) -> None:
    maker = EventMaker(SchemaRegistry([tmp_path], plugins=False))
    with pytest.raises(InvalidEvent):
        maker.Event(maker.Door(maker.Value("x")))
    write(tmp_path, Door=simple("Door"))
    assert maker.Event(maker.Door(maker.Value("x")))[0][0].text == "x"
    write(tmp_path, Window=simple("Window"))
    assert maker.event("Window", Value="x")[0][0].text == "x"


def test_an_event_too_large_to_be_received_is_not_made() -> None:
    small = EventMaker(SchemaRegistry(plugins=False, limits=Limits(message_size=200)))
    with pytest.raises(MalformedEvent):
        small.Event(small.NodeLeave(small.Id("x" * 200)))


# Objects


def received(root: etree._Element) -> Any:
    return objectified(REGISTRY.receive(etree.tostring(root)))


def test_a_callback_reads_members_as_attributes() -> None:
    data = received(phone())
    assert data.PhoneStatus.CallerId == "012345"
    assert str(data.PhoneStatus.CallerId) == "012345"
    assert data.tag == f"{{{EVENTS_NS}}}Event"
    assert etree.tostring(data) == etree.tostring(phone())
    assert isinstance(data, objectify.ObjectifiedElement)


def test_members_have_the_types_of_the_schema() -> None:
    data = received(e.event("NodeStatus", Id="7", Load=1, Latency=0.5, Workers=3, Indexed=True)).NodeStatus
    assert data.Id == "7"
    assert data.Id + "x" == "7x"
    assert data.Load == 1.0
    assert isinstance(data.Load.pyval, float)
    assert data.Workers + 1 == 4
    assert data.Indexed.pyval is True
    assert data.Indexed


def test_repeated_members_are_sequences() -> None:
    data = received(e.event("UserSession", Id="x", User={"Name": ["ann", "true"]}))
    assert [str(name) for name in data.UserSession.User.Name] == ["ann", "true"]


def test_text_in_base64_reads_as_the_text_behind_it() -> None:
    body = received(e.event("Notification", Target="*", Body="a\0b", Title="5")).Notification
    assert str(body.Body) == "a\0b"
    assert body.Body.pyval == "a\0b"
    assert body.Body == "a\0b"
    assert body.Title == "5"
    assert hash(body.Title) == hash("5")


def test_elements_of_a_newer_schema_are_there() -> None:
    data = f'<Event xmlns="{EVENTS_NS}"><NodeLeave><Id>1</Id><New>5</New></NodeLeave></Event>'
    event = REGISTRY.receive(data, newer_ok=True)
    assert objectified(event).NodeLeave.New == 5


def test_each_callback_has_a_tree_of_its_own() -> None:
    event = REGISTRY.receive(etree.tostring(phone()))
    first = objectified(event)
    first.PhoneStatus.Status = "idle"
    assert objectified(event).PhoneStatus.Status == "busy"
    assert b"busy" in event.xml


def test_an_objectified_event_can_be_sent_on() -> None:
    data = received(phone())
    assert REGISTRY.event(data).kind == "PhoneStatus"
    assert type(REGISTRY.event(data).root) is etree._Element
