from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from clacks.common.errors import InvalidEvent
from clacks.common.event_document import EVENTS_NS, Event
from clacks.common.schema import SchemaRegistry
from tests.common.instances import events

DATA = Path(__file__).parent / "data" / "mapping"
REGISTRY = SchemaRegistry([DATA], plugins=False)
FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def receive(content: str) -> Event:
    return REGISTRY.receive(f'<Event xmlns="{EVENTS_NS}">{content}</Event>')


def value(member: str, text: str) -> Any:
    """The JSON value of one element of the test type with an element for each case."""
    fields = receive(f"<Mapping><{member}>{text}</{member}></Mapping>").to_json()
    return fields[member]


def back(member: str, json_value: Any) -> str | None:
    event = REGISTRY.from_json("Mapping", {member: json_value})
    return event.root[0].find(f"{{{EVENTS_NS}}}{member}").text  # type: ignore[union-attr]


def refusal(kind: str, fields: dict[str, Any], *, python: bool = False) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        (REGISTRY.from_dict if python else REGISTRY.from_json)(kind, fields)
    return caught.value


def test_the_schemas_of_this_test_are_in_order() -> None:
    assert REGISTRY.refused == ()


# From XML to JSON, by type (TrueNAS dialect, section 11)


@pytest.mark.parametrize(
    ("member", "text", "expected"),
    [
        ("boolean", "1", True),
        ("boolean", "false", False),
        ("int", " -7 ", -7),
        ("integer", "9007199254740991", 9007199254740991),
        ("integer", "9007199254740992", "9007199254740992"),
        ("integer", "-9007199254740992", "-9007199254740992"),
        ("integer", "+5", 5),
        ("decimal", "1.50", "1.50"),
        ("decimal", "7", "7"),
        ("float", "1.5e3", 1500.0),
        ("float", "INF", "INF"),
        ("float", "-INF", "-INF"),
        ("float", "NaN", "NaN"),
        ("double", "1e999", "INF"),
        ("dateTime", "2024-02-29T12:00:00Z", {"$date": 1709208000000}),
        ("dateTime", "2024-02-29T12:00:00.5+01:00", {"$date": 1709204400500}),
        ("dateTime", "1969-12-31T23:59:59.999Z", {"$date": -1}),
        ("dateTime", "2024-01-01T24:00:00Z", {"$date": 1704153600000}),
        ("dateTime", "2024-02-29T12:00:00", "2024-02-29T12:00:00"),
        ("dateTime", "2024-02-29T12:00:00.1234Z", "2024-02-29T12:00:00.1234Z"),
        ("dateTime", "2024-02-29T12:00:00.1230000Z", {"$date": 1709208000123}),
        ("dateTime", "12024-02-29T12:00:00Z", "12024-02-29T12:00:00Z"),
        ("dateTime", "-0044-03-15T12:00:00Z", "-0044-03-15T12:00:00Z"),
        ("dateTime", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("dateTime", "9999-12-31T24:00:00Z", "9999-12-31T24:00:00Z"),
        ("date", "2024-02-29", {"$type": "date", "$value": "2024-02-29"}),
        ("date", "2024-02-29Z", "2024-02-29Z"),
        ("date", "12024-02-29", "12024-02-29"),
        ("time", "12:30:00", {"$time": "12:30:00"}),
        ("time", "12:30:00.25", {"$time": "12:30:00.25"}),
        ("time", "24:00:00", "24:00:00"),
        ("time", "12:30:00Z", "12:30:00Z"),
        ("time", "12:30:00.1234567", "12:30:00.1234567"),
        ("duration", "P1D", "P1D"),
        ("gYear", "2024", "2024"),
        ("string", " a\n b ", " a\n b "),
        ("string", "", ""),
        ("token", " a\n b ", "a b"),
        ("normalized", "a b ", "a b "),
        ("uri", "http://h/", "http://h/"),
        ("binary", "QUJD", "QUJD"),
        ("union", "12", "12"),
        ("ints", "1 2\n3", [1, 2, 3]),
        ("ints", "", []),
        ("days", "2024-02-29 2024-03-01Z", [{"$type": "date", "$value": "2024-02-29"}, "2024-03-01Z"]),
        ("json", ' {"a": [1, null]} ', {"a": [1, None]}),
        ("json", "not json", "not json"),
        ("json", "NaN", "NaN"),
        ("json", "[1e999]", "[1e999]"),
        ("json", "[" * 100_000, "[" * 100_000),
    ],
)
def test_each_type_has_its_form_in_json(member: str, text: str, expected: Any) -> None:
    found = value(member, text)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("member", "json_value", "text"),
    [
        ("boolean", True, "true"), ("boolean", "0", "0"),
        ("int", 7, "7"), ("int", 7.0, "7"), ("int", "7", "7"), ("integer", 10**30, "1" + "0" * 30),
        ("decimal", "1.50", "1.50"), ("decimal", 1e-7, "0.0000001"), ("decimal", 3, "3"),
        ("float", 1.5, "1.5"), ("float", 1, "1"), ("float", "INF", "INF"), ("float", 1e300, "1e+300"),
        ("dateTime", {"$date": 1709208000000}, "2024-02-29T12:00:00Z"),
        ("dateTime", {"$date": 1709204400500}, "2024-02-29T11:00:00.5Z"),
        ("dateTime", {"$date": -1}, "1969-12-31T23:59:59.999Z"),
        ("dateTime", "2024-02-29T12:00:00+01:00", "2024-02-29T12:00:00+01:00"),
        ("date", {"$type": "date", "$value": "2024-02-29"}, "2024-02-29"),
        ("date", "2024-02-29Z", "2024-02-29Z"),
        ("time", {"$time": "12:30:00"}, "12:30:00"),
        ("ints", [1, "2"], "1 2"), ("ints", [], ""), ("ints", "1 2", "1 2"),
        ("days", [{"$type": "date", "$value": "2024-02-29"}], "2024-02-29"),
        ("string", "", ""), ("string", "$date", "$date"),
        ("json", {"a": "\0\ud800"}, '{"a":"\\u0000\\ud800"}'), ("json", None, "null"), ("json", "x", '"x"'),
    ],
)  # fmt: skip
def test_each_form_in_json_has_its_text(member: str, json_value: Any, text: str) -> None:
    assert back(member, json_value) == text


@pytest.mark.parametrize(
    ("member", "json_value", "reason"),
    [
        ("boolean", 1, "not a boolean: 1"), ("boolean", "yes", "not a boolean: 'yes'"),
        ("int", True, "not an integer: true"),
        ("int", 1.5, "not an integer: 1.5"),
        ("int", None, "not an integer: null"),
        ("int", "x", "not an int: 'x'"),
        ("int", [1], "not an integer: an array"),
        ("int", {}, "not an integer: an object"),
        ("int", math.inf, "not an integer: INF"), ("decimal", math.nan, "not a decimal: NaN"),
        ("float", True, "not a number: true"),
        ("string", 1, "not a text: 1"),
        ("string", {"#text": "x"}, "not a text"),
        ("dateTime", {"$date": "x"}, "not a dateTime: an object"),
        ("dateTime", {"$date": 10**18}, "not a dateTime: "),
        ("dateTime", {"$date": 1, "x": 1}, "not a dateTime: an object"),
        ("dateTime", {"$date": True}, "not a dateTime"),
        ("dateTime", "yesterday", "not a dateTime: 'yesterday'"), ("dateTime", 5, "not a dateTime: 5"),
        ("date", {"$date": 5}, "not a date: an object"), ("time", {"$time": 5}, "not a time: an object"),
        ("ints", [1, "2 3"], "'2 3' cannot be an item of a list"), ("ints", [""], "'' cannot be an item"),
        ("ints", [1, None], "not an integer: null"), ("ints", 5, "not an array: 5"),
        ("string", "a\0b", "U+0000 cannot stand in XML, and this element has no enc"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(member: str, json_value: Any, reason: str) -> None:
    error = refusal("Mapping", {member: json_value})
    assert error.path == f"/Event/Mapping/{member}"
    assert error.reason.startswith(reason)


# Structure


def test_elements_become_members_and_repeated_ones_arrays() -> None:
    event = receive("<SystemState><Hostname>h</Hostname><Priority>3</Priority></SystemState>")
    assert event.to_json() == {"Hostname": "h", "Pool": [], "Priority": 3}


def test_attributes_have_an_at_sign_and_text_beside_them_a_hash() -> None:
    event = receive(
        "<RealtimeReport><VirtualMemory><Total>1</Total><Available>1</Available><Used>1</Used><Free>1</Free>"
        '<Percent>5.0</Percent></VirtualMemory><Cpu><Usage core="0">1.5</Usage></Cpu>'
        '<Interface name="lo"><ReceivedBytes>1</ReceivedBytes><ReceivedBytesLast>1</ReceivedBytesLast>'
        "<SentBytes>1</SentBytes><SentBytesLast>18446744073709551616</SentBytesLast></Interface></RealtimeReport>"
    )
    fields = event.to_json()
    assert fields["Cpu"] == {"Usage": [{"@core": "0", "#text": "1.5"}], "Temperature": []}
    assert fields["Interface"][0]["@name"] == "lo"
    assert fields["Interface"][0]["SentBytesLast"] == "18446744073709551616"
    assert REGISTRY.from_json("RealtimeReport", fields).xml == event.xml


def test_members_come_in_the_order_of_the_schema() -> None:
    event = receive(
        "<PhoneStatus><Status>s</Status><ReceiverId>r</ReceiverId><CallerId>c</CallerId></PhoneStatus>"
    )
    assert list(event.to_json()) == ["CallerId", "ReceiverId", "Status"]
    backwards = {"Status": "s", "ReceiverId": "r", "CallerId": "c"}
    names = [etree.QName(child).localname for child in REGISTRY.from_json("PhoneStatus", backwards).root[0]]
    assert names == ["CallerId", "ReceiverId", "Status"]


def test_nil_is_null() -> None:
    nil = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"'
    event = receive(f"<Mapping><nillable {nil}/><annotated {nil} since='2024-01-01'/></Mapping>")
    fields = event.to_json()
    assert fields["nillable"] is None
    assert fields["annotated"] == {"@since": {"$type": "date", "$value": "2024-01-01"}, "#nil": True}
    assert REGISTRY.from_json("Mapping", fields).to_json() == fields


def test_an_empty_element_has_its_default() -> None:
    assert value("defaulted", "") == 5


@pytest.mark.parametrize("member", ["mixed", "wild", "repeatedChoice", "twice", "anything"])
def test_what_members_cannot_hold_is_xml(member: str) -> None:
    inner = {
        "mixed": "a &lt; <b>bold</b> tail",
        "wild": '<x xmlns="urn:other">1</x>',
        "repeatedChoice": "<a>1</a><b>2</b><a>3</a>",
        "twice": "<a>1</a><b>2</b><a>3</a>",
        "anything": '<q xmlns="">x</q>',
    }[member]
    event = receive(f"<Mapping><{member}>{inner}</{member}></Mapping>")
    fields = event.to_json()
    assert set(fields[member]) == {"#xml"}
    again = REGISTRY.from_json("Mapping", fields)
    assert etree.tostring(again.root, method="c14n") == etree.tostring(event.root, method="c14n")
    assert again.to_json() == fields


def test_xml_for_such_content_must_be_well_formed() -> None:
    error = refusal("Mapping", {"mixed": {"#xml": "<b>"}})
    assert error.path == "/Event/Mapping/mixed/#xml"
    assert (
        refusal("Mapping", {"mixed": {"#xml": "</x><x>"}}).reason
        == "Extra content at the end of the document"
    )
    assert refusal("Mapping", {"mixed": {"#xml": 5}}).reason == "not a text: 5"
    assert "did you mean #xml" in refusal("Mapping", {"mixed": {"xml": ""}}).reason


def test_a_derived_type_keeps_its_name() -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    event = receive(f'<Mapping><base {xsi} xsi:type="MappingDerived"><a>1</a><b>2</b></base></Mapping>')
    fields = event.to_json()
    assert fields["base"]["@{http://www.w3.org/2001/XMLSchema-instance}type"] == "MappingDerived"
    assert REGISTRY.from_json("Mapping", fields).to_json() == fields


def test_recursive_content_is_nested() -> None:
    event = receive("<Mapping><tree><name>a</name><tree><name>b</name></tree></tree></Mapping>")
    assert event.to_json()["tree"] == {"name": "a", "tree": [{"name": "b", "tree": []}]}


def test_content_beyond_the_depth_is_xml() -> None:
    text = "<name>x</name>"
    for _ in range(150):
        text = f"<name>x</name><tree>{text}</tree>"
    event = receive(f"<Mapping><tree>{text}</tree></Mapping>")
    assert REGISTRY.from_json("Mapping", event.to_json()).xml == event.xml


def test_groups_and_extensions_are_flattened() -> None:
    event = receive("<Mapping><extended kind='k'><a>1</a><first>f</first><more>m</more></extended></Mapping>")
    fields = event.to_json()
    assert fields["extended"] == {"@kind": "k", "a": 1, "first": "f", "more": "m"}
    assert REGISTRY.from_json("Mapping", fields).xml.count(b"<more>") == 1


def test_an_event_with_simple_content_has_its_text() -> None:
    event = receive("<MappingText>5</MappingText>")
    assert event.to_json() == {"#text": 5}
    assert event.to_dict() == {"#text": 5}
    assert REGISTRY.from_json("MappingText", {"#text": 5}).xml == event.xml


def test_text_in_base64_is_the_text_behind_it() -> None:
    event = receive(
        '<TopicMessage><Id>1-1</Id><Topic>t</Topic><Message enc="base64">YQBi</Message>'
        "<Timestamp>1</Timestamp></TopicMessage>"
    )
    assert event.to_json()["Message"] == "a\0b"
    assert REGISTRY.from_json("TopicMessage", event.to_json()).xml == event.xml


def test_text_that_pretends_to_be_base64_stays_what_it_is() -> None:
    event = receive(
        '<TopicMessage><Id>1-1</Id><Topic>t</Topic><Message enc="base64">?</Message>'
        "<Timestamp>1</Timestamp></TopicMessage>"
    )
    assert event.to_json()["Message"] == {"@enc": "base64", "#text": "?"}
    assert REGISTRY.from_json("TopicMessage", event.to_json()).xml == event.xml


@pytest.mark.parametrize("text", ["\0", "\x1b[31mred", "\ufffe", "\ud800", "a\r\nb", "\U0001f600", ""])
def test_every_text_travels_in_types_with_enc(text: str) -> None:
    fields = {"Target": "*", "Body": text}
    event = REGISTRY.from_json("Notification", fields)
    assert REGISTRY.receive(event.xml).to_json() == fields


@pytest.mark.parametrize(
    ("fields", "path", "reason"),
    [
        ({"Id": 1}, "/Event/NodeLeave/Id", "not a text: 1"),
        ({}, "/Event/NodeLeave", "Id is missing"),
        ({"Id": None}, "/Event/NodeLeave/Id", "not a text: null"),
        ({"Id": "x", "id": "y"}, "/Event/NodeLeave/id", "unknown member id (did you mean Id?)"),
        ({"Id": "x", "@a": "y"}, "/Event/NodeLeave/@a", "unknown attribute a"),
        ({"Id": ["x"]}, "/Event/NodeLeave/Id", "not a text: an array"),
    ],
)
def test_wrong_members_are_refused_with_their_path(fields: dict[str, Any], path: str, reason: str) -> None:
    error = refusal("NodeLeave", fields)
    assert (error.kind, error.path, error.reason) == ("NodeLeave", path, reason)


def test_errors_inside_of_arrays_are_numbered() -> None:
    log = {"Timestamp": 1.0, "Level": "info", "Message": "m"}
    error = refusal("PuppetReport", {"Id": "x", "PuppetLog": [log, {**log, "Line": "x", "Lin": 1}]})
    assert error.path == "/Event/PuppetReport/PuppetLog[2]/Lin"
    error = refusal("PuppetReport", {"Id": "x", "PuppetLog": log})
    assert error.reason.startswith("not an array: ")
    error = refusal("PuppetReport", {"Id": "x", "PuppetLog": [5]})
    assert error.reason == "not an object: 5"
    assert refusal("PuppetReport", {"Id": "x", "PuppetLog": []}).reason == "PuppetLog is missing"


def test_the_schema_has_the_last_word() -> None:
    error = refusal("LifePreserver", {"Message": "m", "Priority": 11, "Class": "snapshot"})
    assert error.path == "/Event/LifePreserver/Priority"


def test_an_unknown_kind_is_refused() -> None:
    assert refusal("NodeLeft", {}).reason == "unknown event type (did you mean NodeLeave?)"


def test_hostile_json_is_bounded() -> None:
    nested: dict[str, Any] = {"name": "x"}
    for _ in range(5000):
        nested = {"name": "x", "tree": [nested]}
    assert refusal("Mapping", {"tree": nested}).reason == "nested more than 100 deep"
    many = refusal("Bridge", {"Connection": ["x"] * 50_000 + [5]})
    assert many.path == "/Event/Bridge/Connection[50001]"


def test_a_job_of_the_truenas_dialect_fits() -> None:
    fields = {
        "Id": 79, "Method": "zfs.pool.scrub", "Arguments": ["vol1", "START"], "State": "RUNNING",
        "Progress": {"Percent": 0.001258680822502356, "Description": "Scrubbing", "Extra": None},
        "Result": None, "TimeStarted": {"$date": 1571297741181}, "MessageIds": [], "Abortable": True,
        "Transient": False,
    }  # fmt: skip
    event = REGISTRY.from_json("JobStatus", fields)
    assert event.root[0].findtext(f"{{{EVENTS_NS}}}TimeStarted") == "2019-10-17T07:35:41.181Z"
    again = event.to_json()
    assert again["Arguments"] == ["vol1", "START"]
    assert again["Progress"] == {"Percent": "0.001258680822502356", "Description": "Scrubbing", "Extra": None}
    assert (again["Command"], again["Detail"]) == ([], [])


# Python values


def test_python_values_are_typed() -> None:
    event = receive(
        "<Mapping><boolean>1</boolean><int>7</int><integer>9007199254740993</integer><decimal>1.50</decimal>"
        "<float>INF</float><dateTime>2024-02-29T12:00:00.123456+01:00</dateTime><date>2024-02-29</date>"
        "<time>12:30:00.5</time><duration>P1D</duration><binary>QUJD</binary><hex>0a</hex><ints>1 2</ints>"
        "<json>[1]</json></Mapping>"
    )
    assert event.to_dict() == {
        "boolean": True,
        "int": 7,
        "integer": 9007199254740993,
        "decimal": Decimal("1.50"),
        "float": math.inf,
        "dateTime": datetime(2024, 2, 29, 12, 0, 0, 123456, timezone(timedelta(hours=1))),
        "date": date(2024, 2, 29),
        "time": time(12, 30, 0, 500000),
        "duration": "P1D",
        "binary": b"ABC",
        "hex": b"\x0a",
        "ints": [1, 2],
        "json": [1],
        "trees": [],
    }
    again = REGISTRY.from_dict("Mapping", event.to_dict())
    assert again.to_dict() == event.to_dict()


def test_what_python_cannot_hold_exactly_is_text() -> None:
    event = receive(
        "<Mapping><integer>" + "9" * 5000 + "</integer><dateTime>12024-01-01T00:00:00Z</dateTime></Mapping>"
    )
    assert event.to_dict()["dateTime"] == "12024-01-01T00:00:00Z"
    assert event.to_dict()["integer"] == "9" * 5000
    assert REGISTRY.from_dict("Mapping", event.to_dict()).xml == event.xml


def test_none_leaves_an_optional_element_out() -> None:
    event = REGISTRY.from_dict(
        "ObjectChanged", {"UUID": None, "ModificationTime": "1", "ChangeType": "update"}
    )
    assert event.to_dict() == {"ModificationTime": "1", "ChangeType": "update"}
    assert refusal("NodeLeave", {"Id": None}, python=True).reason == "Id is missing"


def test_one_python_value_stands_for_a_list_of_one() -> None:
    assert REGISTRY.from_dict("Bridge", {"Connection": "a"}).to_dict() == {"Connection": ["a"]}


@pytest.mark.parametrize(
    ("member", "python", "reason"),
    [
        ("int", 1.5, "not an integer: 1.5"),
        ("int", math.nan, "not an integer: nan"),
        ("string", b"x", "bytes are not"),
        ("string", object(), "object has no form in XML"), ("decimal", Decimal("NaN"), "NaN is no decimal"),
        ("decimal", Decimal("1e9999"), "a decimal of more than 4000 digits"),
        ("json", {1, 2}, "no JSON value"),
        ("json", math.nan, "Out of range"),
    ],
)  # fmt: skip
def test_python_values_without_a_form_are_refused(member: str, python: Any, reason: str) -> None:
    error = refusal("Mapping", {member: python}, python=True)
    assert error.path == f"/Event/Mapping/{member}"
    assert error.reason.startswith(reason)


# Properties


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(REGISTRY.kinds - {"Mapping", "MappingText"}))
def test_events_survive_the_way_to_json_and_back(kind: str) -> None:
    @FEW
    @given(events(REGISTRY, kind))
    def check(root: etree._Element) -> None:
        event = REGISTRY.receive(etree.tostring(root, encoding="UTF-8"))
        fields = event.to_json()
        wire = json.loads(json.dumps(fields, allow_nan=False))
        again = REGISTRY.from_json(kind, wire)
        assert again.to_json() == fields
        assert REGISTRY.receive(again.xml).to_json() == fields

    check()


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(REGISTRY.kinds - {"Mapping", "MappingText"}))
def test_events_survive_the_way_to_python_and_back(kind: str) -> None:
    @FEW
    @given(events(REGISTRY, kind))
    def check(root: etree._Element) -> None:
        event = REGISTRY.receive(etree.tostring(root, encoding="UTF-8"))
        values = event.to_dict()
        again = REGISTRY.from_dict(kind, values)
        assert repr(again.to_dict()) == repr(values)  # repr: NaN is not equal to itself
        assert again.to_json() == event.to_json()

    check()


def test_a_moment_is_written_in_utc() -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    assert back("dateTime", {"$date": int(moment.timestamp() * 1000)}) == "2024-01-01T00:00:00Z"
