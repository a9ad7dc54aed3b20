from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from lxml import etree

from clacks.common.errors import InvalidEvent, MalformedEvent, SchemaError
from clacks.common.event_document import EVENTS_NS, Event
from clacks.common.schema import SchemaRegistry, builtin_folder, default_registry

KINDS = {
    "PhoneStatus", "AsteriskNotification", "ClientAnnounce", "ClientLeave", "ClientPoll", "CollectD",
    "NodeAnnounce", "NodeCapabilities", "NodeLeave", "NodeStatus", "UserSession", "PuppetReport",
    "ClientPing", "ClientSignature", "ObjectChanged", "BackendChange", "SchedulerUpdate", "Notification",
    "TopicMessage", "JobStatus", "RealtimeReport", "LifePreserver", "SystemState", "Bridge",
}  # fmt: skip
REGISTRY = SchemaRegistry(plugins=False)
EVENT = f"{{{EVENTS_NS}}}Event"


def event(content: str, namespace: str = EVENTS_NS) -> bytes:
    return f'<Event xmlns="{namespace}">{content}</Event>'.encode()


def phone(status: str = "busy") -> bytes:
    return event(
        f"<PhoneStatus><CallerId>01</CallerId><ReceiverId>02</ReceiverId><Status>{status}</Status></PhoneStatus>"
    )


def schema(content: str, attributes: str = "") -> str:
    return (
        f'<schema targetNamespace="{EVENTS_NS}" elementFormDefault="qualified" {attributes}\n'
        f' xmlns="http://www.w3.org/2001/XMLSchema" xmlns:e="{EVENTS_NS}">\n{content}\n</schema>'
    )


def simple(kind: str, of_type: str = "string") -> str:
    return schema(
        f'<element name="{kind}"><complexType><sequence>'
        f'<element name="Value" type="{of_type}"/></sequence></complexType></element>'
    )


def write(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.xsd").write_text(text, "utf-8")


def registry_of(*folders: Path, builtin: bool = False) -> SchemaRegistry:
    return SchemaRegistry(folders, builtin=builtin, plugins=False)


def refusal(data: bytes | str, registry: SchemaRegistry = REGISTRY, **options: bool) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        registry.receive(data, **options)
    return caught.value


# The event types


def test_all_event_types_are_known_and_none_is_refused() -> None:
    assert REGISTRY.kinds == KINDS
    assert REGISTRY.refused == ()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_event_type_says_who_sends_it_and_what_follows(kind: str) -> None:
    text = REGISTRY.documentation(kind)
    assert "sent by" in text.lower() or "emitted" in text or text.startswith("Sent")
    assert {"conclude", "need"} & set(text.split())


def test_documentation_has_no_indentation() -> None:
    assert all(line == line.strip() for line in REGISTRY.documentation("JobStatus").splitlines())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_annotations_name_elements_that_exist(kind: str) -> None:
    annotations = REGISTRY.annotations(kind)
    members = REGISTRY.model(kind).type.members  # type: ignore[union-attr]
    for name in (annotations.key, annotations.operation):
        assert name is None or name in members
    assert set(annotations.operations.values()) <= {"added", "changed", "removed"}


def test_annotations_of_a_job() -> None:
    found = REGISTRY.annotations("JobStatus")
    assert (found.key, found.operation, found.state) == ("Id", "State", True)
    assert found.operations == {"WAITING": "added"}
    assert found.collection == "core.get_jobs"
    assert found.wildcard
    assert found.json == ("Arguments", "Progress/Extra", "Result", "ExcInfo", "MessageIds")


def test_realtime_reports_are_not_covered_by_the_wildcard() -> None:
    assert not REGISTRY.annotations("RealtimeReport").wildcard
    assert REGISTRY.annotations("PhoneStatus").wildcard


def test_phone_status_has_the_shape_of_the_reference_document() -> None:
    root = etree.fromstring(REGISTRY.sources()["PhoneStatus"])
    x = "{http://www.w3.org/2001/XMLSchema}"
    assert root.get("targetNamespace") == EVENTS_NS
    assert [child.tag for child in root] == [f"{x}complexType", f"{x}element"]
    assert [child.tag for child in root[0]] == [f"{x}annotation", f"{x}all"]
    assert [(e.get("name"), e.get("type")) for e in root[0][1]] == [
        ("CallerId", "string"), ("ReceiverId", "string"), ("Status", "string"),
    ]  # fmt: skip
    assert (root[1].get("name"), root[1].get("type")) == ("PhoneStatus", "e:PhoneStatus")


@pytest.mark.parametrize(
    "kind", ["TopicMessage", "JobStatus", "PuppetReport", "Notification", "LifePreserver"]
)
def test_types_with_foreign_text_declare_enc(kind: str) -> None:
    types = [REGISTRY.model(kind).type]
    found = False
    while types:
        current = types.pop()
        found = found or getattr(current, "encodes", False)
        types += [member.type for member in getattr(current, "members", {}).values()]
    assert found


# Receiving


def test_a_valid_document_becomes_an_event() -> None:
    received = REGISTRY.receive(phone())
    assert isinstance(received, Event)
    assert received.kind == "PhoneStatus"
    assert received.xml == phone()
    assert received.root.tag == f"{{{EVENTS_NS}}}Event"
    assert received.newer == ()
    assert repr(received) == "<Event PhoneStatus>"


def test_the_last_event_that_was_shared_is_had_again_by_its_document() -> None:
    registry = registry_of(builtin=True)
    first, second = (registry.receive(phone(status)) for status in ("busy", "free"))
    assert registry.shared(first.xml) is None
    registry.share(first)
    assert registry.shared(bytes(bytearray(first.xml))) is first
    assert registry.shared(second.xml) is None
    registry.share(second)
    assert registry.shared(first.xml) is None
    assert registry.shared(second.xml) is second


def test_an_event_is_not_shared_beyond_a_change_of_schemas_nor_if_it_is_large(tmp_path: Path) -> None:
    registry = registry_of(tmp_path, builtin=True)
    event = registry.receive(phone())
    registry.share(event)
    write(tmp_path, Another=simple("Another"))
    assert registry.reload()
    assert registry.shared(event.xml) is None
    large = registry.receive(phone("x" * 20_000))
    registry.share(large)
    assert registry.shared(large.xml) is None


def test_text_is_received_like_bytes() -> None:
    assert REGISTRY.receive(phone().decode()).xml == phone()


def test_prefixes_comments_and_instructions_do_not_matter() -> None:
    data = (
        f'<?xml version="1.0"?><!-- c --><e:Event xmlns:e="{EVENTS_NS}"><!-- c --><?p i?><e:NodeLeave>'
        "<e:Id>a<!-- c -->b</e:Id></e:NodeLeave></e:Event>"
    )
    assert REGISTRY.receive(data).to_dict() == {"Id": "ab"}


@pytest.mark.parametrize(
    ("data", "kind", "path", "reason"),
    [
        (b"<Event/>", "", "/Event", f"the root is Event, expected {EVENT}"),
        (event("", "urn:other"), "", "/Event", f"the root is {{urn:other}}Event, expected {EVENT}"),
        (f'<Other xmlns="{EVENTS_NS}"/>', "", "/Other", f"the root is {{{EVENTS_NS}}}Other, expected "),
        (event(""), "", "/Event", "no event, expected one"),
        (event("<NodeLeave/><NodeStatus/>"), "", "/Event", "2 events (NodeLeave, NodeStatus), expected one"),
        (event('<NodeLeave xmlns="urn:o"/>'), "NodeLeave", "/Event/NodeLeave", "the namespace is 'urn:o', "),
        (event('<NodeLeave xmlns=""/>'), "NodeLeave", "/Event/NodeLeave", "the namespace is None, expected"),
        (event("<PhoneState/>"), "PhoneState", "/Event/PhoneState",
         "unknown event type (did you mean PhoneStatus?)"),
        (event("<Xyzzy/>"), "Xyzzy", "/Event/Xyzzy", "unknown event type"),
        (event("x<NodeLeave><Id/></NodeLeave>"), "NodeLeave", "/Event", ""),
        (b'<Event xmlns="%s" a="b"><NodeLeave><Id/></NodeLeave></Event>' % EVENTS_NS.encode(), "NodeLeave",
         "/Event", ""),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(data: bytes | str, kind: str, path: str, reason: str) -> None:
    error = refusal(data)
    assert (error.kind, error.path) == (kind, path)
    assert error.reason.startswith(reason)
    assert error.line == 1


STATUS = "<Id>n</Id><Load>{0}</Load><Latency>0.1</Latency><Workers>{1}</Workers>"


@pytest.mark.parametrize(
    ("content", "path", "reason", "found", "expected"),
    [
        ("<PhoneStatus>\n<CallerID>1</CallerID></PhoneStatus>", "/Event/PhoneStatus/CallerID",
         "unknown element CallerID (did you mean CallerId?), expected CallerId or ReceiverId or Status",
         "CallerID", "CallerId or ReceiverId or Status"),
        ("\n<NodeLeave/>", "/Event/NodeLeave", "Id is missing", None, "Id"),
        ("<NodeLeave><Id/>\n<Id/></NodeLeave>", "/Event/NodeLeave/Id[2]", "Id occurs too often", "Id", None),
        ("<NodeLeave>\n<Id xmlns=''/></NodeLeave>", "/Event/NodeLeave/Id",
         "Id is in the namespace None", "Id", "Id"),
        ("<NodeStatus>\n" + STATUS.format("high", 1) + "</NodeStatus>", "/Event/NodeStatus/Load",
         "not a float: 'high'", "high", "float"),
        ("<NodeStatus>\n" + STATUS.format(1, 1.5) + "</NodeStatus>", "/Event/NodeStatus/Workers",
         "not an int: '1.5'", "1.5", "int"),
        ("<NodeStatus>\n" + STATUS.format(1, "1_0") + "</NodeStatus>", "/Event/NodeStatus/Workers",
         "'1_0' is not a valid value of the atomic type 'xs:int'", None, None),
        ("<NodeStatus>\n" + STATUS.format("1e", 1) + "</NodeStatus>", "/Event/NodeStatus/Load",
         "not a float: '1e'", "1e", "float"),
        ("<LifePreserver><Message/>\n<Priority>11</Priority><Class>snapshot</Class></LifePreserver>",
         "/Event/LifePreserver/Priority", "'11' is out of range: maxInclusive 10", "11", "maxInclusive 10"),
        ("<LifePreserver><Message/><Priority>1</Priority>\n<Class>snapshots</Class></LifePreserver>",
         "/Event/LifePreserver/Class",
         "'snapshots' is not one of snapshot, replication (did you mean snapshot?)",
         "snapshots", "snapshot or replication"),
        ("<Notification><Target/>\n<Body enc='rot13'/></Notification>",
         "/Event/Notification/Body", None, None, None),
        ("<Bridge><Connection/><Connection/>\n<Connection><b/></Connection></Bridge>",
         "/Event/Bridge/Connection[3]", None, None, None),
        ("<SystemState><Hostname/>\n<Pool/><Priority>1</Priority></SystemState>",
         "/Event/SystemState/Pool", None, None, None),
    ],
)  # fmt: skip
def test_an_invalid_event_is_refused_with_path_found_expected_and_line(
    content: str, path: str, reason: str | None, found: str | None, expected: str | None
) -> None:
    error = refusal(event(content))
    assert error.kind == content.strip().split(">")[0].strip("</\n")
    assert error.path == path
    if reason is not None:
        assert error.reason.startswith(reason)
        assert error.found == found
        assert expected is None or error.expected == expected
    assert error.line == 2


def test_all_errors_of_a_document_can_be_had() -> None:
    data = event("<NodeStatus><Id/><Load>x</Load><Latency>y</Latency>\n<Workers>z</Workers></NodeStatus>")
    errors = list(REGISTRY.iter_errors(data))
    assert [(e.path.rpartition("/")[2], e.line) for e in errors] == [
        ("Load", 1),
        ("Latency", 1),
        ("Workers", 2),
    ]
    assert list(REGISTRY.iter_errors(phone())) == []
    assert [e.reason for e in REGISTRY.iter_errors(event(""))] == ["no event, expected one"]
    assert len(list(REGISTRY.iter_errors(etree.fromstring(data)))) == 3


def test_iterating_errors_does_not_block_others() -> None:
    data = event("<NodeStatus><Id/><Load>x</Load><Latency>y</Latency><Workers>z</Workers></NodeStatus>")
    errors = REGISTRY.iter_errors(data)
    next(errors)
    assert refusal(data).path == "/Event/NodeStatus/Load"


def test_malformed_documents_are_told_from_invalid_ones() -> None:
    with pytest.raises(MalformedEvent):
        REGISTRY.receive(b"<Event>")
    with pytest.raises(MalformedEvent):
        list(REGISTRY.iter_errors(b"<!DOCTYPE Event><Event/>"))


def test_schema_hints_in_a_document_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, Hint=schema('<element name="Extra" type="string"/>'))
    hint = f'xsi:schemaLocation="{EVENTS_NS} {(tmp_path / "Hint.xsd").as_uri()}"'
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    good = f'<Event xmlns="{EVENTS_NS}" {xsi} {hint}><NodeLeave><Id/></NodeLeave></Event>'
    assert REGISTRY.receive(good).kind == "NodeLeave"
    error = refusal(good.replace("NodeLeave", "Extra"))
    assert error.reason == "unknown event type"


@pytest.mark.slow
def test_a_large_invalid_document_is_explained_in_bounded_time() -> None:
    logs = "<PuppetLog><Timestamp>1</Timestamp><Level>info</Level><Message>m</Message></PuppetLog>" * 20_000
    data = event(f"<PuppetReport><Id/>{logs}<Wrong/></PuppetReport>")
    start = os.times().user
    error = refusal(data)
    assert error.path == "/Event/PuppetReport/Wrong"
    assert os.times().user - start < 1.5


@pytest.mark.slow
def test_a_document_of_errors_gives_a_hundred() -> None:
    logs = "<PuppetLog><Wrong/></PuppetLog>" * 20_000
    errors = list(REGISTRY.iter_errors(event(f"<PuppetReport><Id/>{logs}</PuppetReport>")))
    assert len(errors) == 100


# Events of a newer schema


def test_unknown_elements_of_a_newer_schema_are_flagged() -> None:
    data = event(
        "<UserSession><Seat>1</Seat><Id>x</Id><User><Name>a</Name><Icon><Size>3</Size></Icon></User></UserSession>"
    )
    received = REGISTRY.receive(data, newer_ok=True)
    assert received.newer == ("/Event/UserSession/Seat", "/Event/UserSession/User/Icon")
    assert received.xml == data
    assert received.root[0][0].text == "1"
    assert received.to_dict() == {"Id": "x", "User": {"Name": ["a"]}}


def test_a_sending_border_refuses_unknown_elements() -> None:
    data = event("<NodeLeave><Id>x</Id><Reason>y</Reason></NodeLeave>")
    assert REGISTRY.receive(data, newer_ok=True).newer == ("/Event/NodeLeave/Reason",)
    assert refusal(data).path == "/Event/NodeLeave/Reason"


@pytest.mark.parametrize(
    "content",
    [
        "<NodeLeave><Reason>y</Reason></NodeLeave>",
        "<NodeLeave><Id>x</Id><Id>x</Id><Reason/></NodeLeave>",
        "<NodeLeave><Id>x</Id><Reason/>text</NodeLeave>",
        "<NodeLeave><Id>x</Id><Reason xmlns='urn:other'/></NodeLeave>",
        "<NodeLeave><Id>x</Id></NodeLeave><More/>",
        "<Newer><Id>x</Id></Newer>",
        "<NodeLeave><Id new='1'>x</Id></NodeLeave>",
    ],
)
def test_nothing_but_additional_elements_is_forgiven(content: str) -> None:
    refusal(event(content), newer_ok=True)


def test_a_valid_event_is_not_flagged() -> None:
    assert REGISTRY.receive(phone(), newer_ok=True).newer == ()


# Trees


def test_a_tree_is_taken_over() -> None:
    root = etree.fromstring(phone())
    made = REGISTRY.event(root)
    assert made.root is root
    assert made.xml == phone()


def test_comments_and_instructions_are_taken_out_of_a_tree() -> None:
    root = etree.fromstring(event("<NodeLeave><!-- c --><Id>a<!-- c -->b<?p i?>c</Id></NodeLeave>"))
    assert REGISTRY.event(root).root[0][0].text == "abc"


def test_a_part_of_a_larger_tree_is_copied() -> None:
    outer = etree.fromstring(b"<x>" + phone() + b"tail</x>")
    made = REGISTRY.event(outer[0])
    assert made.xml == phone()
    assert made.root.getparent() is None
    assert len(outer) == 1


def test_an_invalid_tree_is_refused() -> None:
    with pytest.raises(InvalidEvent) as caught:
        REGISTRY.event(etree.fromstring(phone().replace(b"Status>", b"State>")))
    assert caught.value.path == "/Event/PhoneState"


# Folders


def test_the_users_folder_adds_event_types(tmp_path: Path) -> None:
    write(tmp_path, Door=simple("Door"))
    registry = registry_of(tmp_path, builtin=True)
    assert registry.kinds == KINDS | {"Door"}
    assert registry.receive(event("<Door><Value>x</Value></Door>")).kind == "Door"


def test_a_folder_that_does_not_exist_is_reported_and_may_come_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    registry = registry_of(folder)
    assert registry.kinds == frozenset()
    assert [error.file for error in registry.refused] == [str(folder)]
    write(folder, Door=simple("Door"))
    assert registry.reload()
    assert registry.kinds == {"Door"}
    assert registry.refused == ()


def test_a_new_file_is_picked_up_without_restart(tmp_path: Path) -> None:
    write(tmp_path, Door=simple("Door"))
    registry = registry_of(tmp_path)
    assert not registry.stale()
    assert not registry.reload()
    before = registry.receive(event("<Door><Value>x</Value></Door>"))
    write(tmp_path, Window=simple("Window"))
    assert registry.stale()
    assert registry.kinds == {"Door"}
    assert registry.reload()
    assert registry.kinds == {"Door", "Window"}
    assert not registry.stale()
    assert before.to_dict() == {"Value": "x"}


def test_changed_and_removed_files_are_noticed(tmp_path: Path) -> None:
    write(tmp_path, Door=simple("Door"), Window=simple("Window"))
    registry = registry_of(tmp_path)
    registry.load()
    write(tmp_path, Door=simple("Door", "int"))
    os.utime(tmp_path / "Door.xsd", ns=(1, 1))
    assert registry.reload()
    assert refusal(event("<Door><Value>x</Value></Door>"), registry).expected == "int"
    (tmp_path / "Door.xsd").unlink()
    assert registry.reload()
    assert registry.kinds == {"Window"}


def test_other_files_and_hidden_ones_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, Door=simple("Door"))
    (tmp_path / "README.txt").write_text("x")
    (tmp_path / ".Draft.xsd").write_text("not yet")
    assert registry_of(tmp_path).refused == ()


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("<schema", "", 1),
        ("", "the document is empty", None),
        ("<!DOCTYPE schema [<!ENTITY x 'y'>]><schema/>", "a DTD is not allowed", 1),
        ("<other/>", "the root is other, expected an XML Schema", 1),
        (simple("Broken").replace(EVENTS_NS, "urn:other"), "targetNamespace is 'urn:other', expected", 2),
        ("\n" + simple("Other"), "element is Other, but the file is named Broken.xsd: expected Other.xsd", 4),
        (schema('<element name="Event" type="string"/>'), "element Event is the root of all events", 3),
        (schema('<element name="Broken" type="string"/>' * 2), "element Broken is defined twice", 3),
        (schema('<element name="Broken" type="nonsense"/>'), "", 3),
        (schema('\n<element name="Broken" type="e:Nowhere"/>'), "", 4),
        (schema('<element name="Broken">\n<complexType><sequense/></complexType></element>'), "", None),
        (
            schema('<import namespace="urn:x"/><element name="Broken" type="string"/>'),
            "import is not allowed",
            3,
        ),
        (schema('<redefine schemaLocation="x.xsd"/>'), "redefine is not allowed", 3),
        (schema('<include schemaLocation="missing.xsd"/>'), "includes missing.xsd, which does not exist", 3),
        (
            schema('\n<include schemaLocation="../x.xsd"/>'),
            "includes '../x.xsd', expected the name of a file",
            4,
        ),
        (
            schema('<include schemaLocation="/etc/x.xsd"/>'),
            "includes '/etc/x.xsd', expected the name of a file",
            3,
        ),
        (
            schema('<include schemaLocation="file:///x.xsd"/>'),
            "includes 'file:///x.xsd', expected the name",
            3,
        ),
        (schema('<include schemaLocation="http://127.0.0.1/x.xsd"/>'), "includes 'http://127", 3),
        (schema("<include/>"), "includes '', expected the name of a file", 3),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_the_others_stay(
    tmp_path: Path, text: str, reason: str, line: int | None
) -> None:
    write(tmp_path, Broken=text, Door=simple("Door"))
    registry = registry_of(tmp_path, builtin=True)
    assert registry.kinds == KINDS | {"Door"}
    (error,) = registry.refused
    assert error.file == str(tmp_path / "Broken.xsd")
    assert error.reason
    assert error.reason.startswith(reason)
    if line is not None:
        assert error.line in (line, line - 1)  # elements over several lines: their first or last
    assert str(error).startswith(f"{tmp_path}/Broken.xsd:{error.line}: " if error.line else f"{tmp_path}/")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Folder.xsd").mkdir()
    (error,) = registry_of(tmp_path).refused
    assert error.reason == "Is a directory"


@pytest.mark.parametrize(
    "shared", ['<complexType name="Thing"/>', '<simpleType name="Thing"><list itemType="int"/></simpleType>']
)
def test_of_two_files_that_define_one_name_the_first_has_it(tmp_path: Path, shared: str) -> None:
    write(
        tmp_path,
        Door=schema(f'{shared}\n<element name="Door" type="e:Thing"/>'),
        Window=schema('\n\n<complexType name="Thing"/><element name="Window" type="e:Thing"/>'),
    )
    registry = registry_of(tmp_path)
    assert registry.kinds == {"Door"}
    (error,) = registry.refused
    assert error.file == str(tmp_path / "Window.xsd")
    assert error.reason == f"type Thing is already defined in {tmp_path / 'Door.xsd'} (line 3)"
    assert error.line == 5


def test_nobody_redefines_a_builtin_event_type(tmp_path: Path) -> None:
    write(tmp_path, PhoneStatus=simple("PhoneStatus"))
    registry = registry_of(tmp_path, builtin=True)
    assert registry.receive(phone()).kind == "PhoneStatus"
    (error,) = registry.refused
    assert error.file == str(tmp_path / "PhoneStatus.xsd")
    assert str(builtin_folder() / "PhoneStatus.xsd") in error.reason


def test_a_copy_of_a_known_file_is_no_clash(tmp_path: Path) -> None:
    (tmp_path / "PhoneStatus.xsd").write_bytes((builtin_folder() / "PhoneStatus.xsd").read_bytes())
    assert registry_of(tmp_path, builtin=True).refused == ()


def test_a_file_may_include_others_of_its_folder(tmp_path: Path) -> None:
    number = (
        '<simpleType name="Number"><restriction base="int"><maxInclusive value="3"/></restriction>'
        "</simpleType>"
    )
    write(
        tmp_path,
        common=schema(f'<include schemaLocation="deeper.xsd"/>\n{number}'),
        deeper=schema(
            '<complexType name="Box"><sequence><element name="N" type="e:Number"/></sequence></complexType>'
        ),
        Door=schema('<include schemaLocation="common.xsd"/><element name="Door" type="e:Box"/>'),
        Window=schema('<include schemaLocation="common.xsd"/><element name="Window" type="e:Box"/>'),
    )
    registry = registry_of(tmp_path)
    assert registry.refused == ()
    assert registry.kinds == {"Door", "Window"}
    assert registry.receive(event("<Door><N>3</N></Door>")).to_dict() == {"N": 3}
    assert refusal(event("<Door><N>4</N></Door>"), registry).reason == "'4' is out of range: maxInclusive 3"
    assert set(registry.sources()) == {"common", "deeper", "Door", "Window"}


def test_files_of_one_name_in_two_folders_are_kept_apart(tmp_path: Path) -> None:
    for folder, kind, bound in (("a", "Door", 3), ("b", "Window", 5)):
        write(
            tmp_path / folder,
            common=schema(
                f'<simpleType name="{kind}Number"><restriction base="int"><maxInclusive value="{bound}"/>'
                "</restriction></simpleType>"
            ),
            **{
                kind: schema(
                    f'<include schemaLocation="common.xsd"/><element name="{kind}" type="e:{kind}Number"/>'
                )
            },
        )
    registry = registry_of(tmp_path / "a", tmp_path / "b")
    assert registry.refused == ()
    assert registry.receive(event("<Window>5</Window>")).to_dict() == {"#text": 5}
    assert refusal(event("<Door>5</Door>"), registry).expected == "maxInclusive 3"


def test_who_includes_a_refused_file_is_refused_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        common=schema("<nonsense"),
        Door=schema('<include schemaLocation="common.xsd"/><element name="Door" type="string"/>'),
        Window=simple("Window"),
    )
    registry = registry_of(tmp_path)
    assert registry.kinds == {"Window"}
    assert [error.reason for error in registry.refused][1:] == ["includes common.xsd, which is refused"]


def test_a_wildcard_sees_the_elements_of_other_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        Box=schema(
            '<element name="Box"><complexType><sequence><any namespace="##targetNamespace"/></sequence>'
            "</complexType></element>"
        ),
        Door=simple("Door", "int"),
    )  # fmt: skip
    registry = registry_of(tmp_path)
    assert registry.receive(event("<Box><Door><Value>1</Value></Door></Box>")).kind == "Box"
    refusal(event("<Box><Door><Value>x</Value></Door></Box>"), registry)
    refusal(event("<Box><Other/></Box>"), registry)


def test_an_element_may_stand_for_one_of_another_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        Door=schema('<element name="Door" type="string"/>'),
        Zone=schema(
            '<include schemaLocation="Door.xsd"/><element name="Zone"><complexType><sequence>'
            '<element ref="e:Door"/></sequence></complexType></element>'
        ),
        Gate=schema(
            '<include schemaLocation="Door.xsd"/>'
            '<element name="Gate" type="string" substitutionGroup="e:Door"/>'
        ),
    )
    registry = registry_of(tmp_path)
    assert registry.refused == ()
    assert registry.receive(event("<Zone><Gate>x</Gate></Zone>")).kind == "Zone"
    assert registry.receive(event("<Zone><Door>x</Door></Zone>")).kind == "Zone"


def test_nothing_is_fetched_for_a_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    sys.addaudithook(
        lambda name, args: opened.append(name) if name in ("socket.connect", "urllib.Request") else None
    )
    hints = 'xsi:schemaLocation="urn:x http://127.0.0.1:9/x.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    write(tmp_path, Door=schema('<element name="Door" type="int"/>', hints))
    registry = registry_of(tmp_path)
    refusal(event("<Door>x</Door>"), registry)
    assert opened == []


# XSD 1.1

EVEN = schema(
    '<element name="Even"><simpleType><restriction base="int">'
    '<assertion test="$value mod 2 = 0"/></restriction></simpleType></element>'
)


@pytest.mark.parametrize("versioned", [True, False])
def test_a_schema_of_xsd_1_1_works(tmp_path: Path, versioned: bool) -> None:
    text = EVEN
    if versioned:
        vc = 'vc:minVersion="1.1" xmlns:vc="http://www.w3.org/2007/XMLSchema-versioning"'
        text = EVEN.replace("<schema ", f"<schema {vc} ")
    write(tmp_path, Even=text, Door=simple("Door"))
    registry = registry_of(tmp_path)
    assert registry.refused == ()
    assert registry.type("Even").version == "1.1"
    assert registry.type("Door").version == "1.0"
    assert registry.receive(event("<Even>4</Even>")).to_dict() == {"#text": 4}
    error = refusal(event("<Even>5</Even>"), registry)
    assert error.path == "/Event/Even"
    assert error.line == 1


def test_a_date_that_breaks_xmlschema_is_refused_not_raised(tmp_path: Path) -> None:
    vc = 'vc:minVersion="1.1" xmlns:vc="http://www.w3.org/2007/XMLSchema-versioning"'
    write(tmp_path, Time=simple("Time", "dateTime").replace("<schema ", f"<schema {vc} "))
    registry = registry_of(tmp_path)
    error = refusal(event("<Time><Value>99999999999-01-01T00:00:00Z</Value></Time>"), registry)
    assert error.reason.startswith("cannot be validated: ")


def test_references_without_their_id_are_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        Link=schema(
            '<element name="Link"><complexType><sequence><element name="A" type="ID" maxOccurs="unbounded"/>'
            '<element name="B" type="IDREF"/></sequence></complexType></element>'
        ),
    )
    registry = registry_of(tmp_path)
    assert registry.receive(event("<Link><A>x</A><B>x</B></Link>")).kind == "Link"
    refusal(event("<Link><A>x</A><B>y</B></Link>"), registry)
    refusal(event("<Link><A>x</A><A>x</A><B>x</B></Link>"), registry)


# Plug-ins and defaults


def test_plug_ins_bring_event_types(tmp_path: Path) -> None:
    package = tmp_path / "door_events"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('a plug-in is not imported for its schemas')")
    write(package, Door=simple("Door"))
    (tmp_path / "window_events.py").write_text("")
    info = tmp_path / "door-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: door\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clacks.events]\ndoor = door_events\ngone = no_such_module\n")
    program = """
        from clacks.common.schema import SchemaRegistry
        registry = SchemaRegistry()
        print("Door" in registry.kinds, "PhoneStatus" in registry.kinds, *registry.refused, sep="|")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == (
        "True|True|entry point gone = no_such_module: no package or module no_such_module"
    )


def test_the_default_registry_knows_the_folders_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", Door=simple("Door"))
    write(tmp_path / "b", Window=simple("Window"))
    monkeypatch.setenv("CLACKS_EVENTS", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
    default_registry.cache_clear()
    try:
        assert default_registry().kinds >= {"Door", "Window", "PhoneStatus"}
        assert default_registry() is default_registry()
    finally:
        default_registry.cache_clear()


@pytest.mark.slow
def test_valid_events_do_not_import_xmlschema() -> None:
    program = f"""
        import sys
        from clacks.common.event import EventMaker
        from clacks.common.schema import SchemaRegistry
        registry = SchemaRegistry()
        registry.receive({phone()!r}).to_json()
        e = EventMaker(registry)
        e.Event(e.NodeLeave(e.Id("x")))
        e.event("NodeLeave", Id="x")
        assert registry.documentation("JobStatus") and registry.annotations("JobStatus").key
        assert "xmlschema" not in sys.modules and "elementpath" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


def test_unknown_kinds_are_told_with_a_suggestion() -> None:
    with pytest.raises(InvalidEvent) as caught:
        REGISTRY.documentation("NodeState")
    assert caught.value.reason == "unknown event type (did you mean NodeStatus?)"


def test_sources_are_the_texts_of_the_files() -> None:
    sources = REGISTRY.sources()
    assert set(sources) == KINDS
    assert sources["JobStatus"] == (builtin_folder() / "JobStatus.xsd").read_bytes()


# Threads


def test_one_registry_serves_several_threads() -> None:
    registry = SchemaRegistry(plugins=False)
    bad = event("<NodeStatus><Id/><Load>x</Load><Latency>1</Latency><Workers>1</Workers></NodeStatus>")
    worse = event("<NodeStatus><Id/><Load>1</Load><Latency>1</Latency><Workers>1_0</Workers></NodeStatus>")
    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(60):
            if registry.receive(phone(str(number))).to_dict()["Status"] != str(number):
                wrong.append("status")
            for data, path in ((bad, "/Event/NodeStatus/Load"), (worse, "/Event/NodeStatus/Workers")):
                try:
                    registry.receive(data)
                    wrong.append("accepted")
                except InvalidEvent as error:
                    if error.path != path:
                        wrong.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []


def test_schema_errors_are_event_errors() -> None:
    error = SchemaError("x.xsd", "wrong", 3)
    assert str(error) == "x.xsd:3: wrong"
