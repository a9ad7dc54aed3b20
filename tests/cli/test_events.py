from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clacks.cli.events import skeleton
from clacks.common.errors import SettingsError
from clacks.common.schema import SchemaRegistry

GOOD = (
    '<Event xmlns="http://www.gonicus.de/Events"><PhoneStatus><CallerId>1</CallerId>'
    "<ReceiverId>2</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)


def test_list_has_every_type_with_a_sentence(run: Callable) -> None:
    rows = [row.split("\t") for row in run("events", "list").out.splitlines()]
    assert {row[0] for row in rows} == SchemaRegistry().kinds
    assert all(len(row) == 2 and row[1].endswith(".") for row in rows)


def test_show_tells_meaning_and_content(run: Callable) -> None:
    ended = run("events", "show", "NodeCapabilities")
    assert ended.out.startswith("NodeCapabilities\n\nSent by an agent")
    assert "\n  NodeMethod*\n    Name  string\n" in ended.out
    assert "Type  NORMAL | FIRSTRESULT | CUMMULATIVE" in ended.out
    assert "Gateway?  anyURI" in ended.out


def test_show_xsd_is_the_schema_itself(run: Callable) -> None:
    assert (
        run("events", "show", "PhoneStatus", "--xsd").out.encode()
        == SchemaRegistry().sources()["PhoneStatus"]
    )


def test_show_of_an_unknown_type_says_what_may_be_meant(run: Callable) -> None:
    ended = run("events", "show", "PhoneStats")
    assert ended.code == 4
    assert "PhoneStatus" in ended.err


def test_validate_tells_valid_from_invalid(run: Callable, home: Path) -> None:
    (home / "good.xml").write_text(GOOD)
    (home / "bad.xml").write_text(GOOD.replace("Status>busy</Status", "Stat>busy</Stat"))
    (home / "broken.xml").write_text("<Event")
    assert run("events", "validate", "good.xml").out == "good.xml: valid PhoneStatus\n"
    ended = run("events", "validate", "good.xml", "bad.xml", "broken.xml")
    assert ended.code == 4
    assert "bad.xml: PhoneStatus: /Event/PhoneStatus" in ended.out
    assert "broken.xml: not an event document" in ended.out
    assert ended.err == "clacks: 2 of 3 not valid\n"


def test_validate_reads_standard_input(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert run("events", "validate", "-").out == "-: valid PhoneStatus\n"


def test_validate_of_a_missing_file_is_one_line(run: Callable) -> None:
    ended = run("events", "validate", "none.xml")
    assert (ended.code, ended.err) == (2, "clacks: none.xml: No such file or directory\n")


def test_a_new_type_is_written_and_works_at_once(run: Callable, home: Path) -> None:
    ended = run("events", "new", "DoorOpened")
    assert (ended.code, ended.out) == (0, "events/DoorOpened.xsd\n")
    assert f"CLACKS_EVENTS={home}/events" in ended.err
    shown = run("events", "show", "DoorOpened", "--events", "events")
    assert (shown.code, shown.err) == (0, "")
    assert "Note?  string" in shown.out
    registry = SchemaRegistry(["events"])
    event = registry.from_json("DoorOpened", {"Id": "7", "Timestamp": "2024-01-01T00:00:00Z"})
    assert registry.receive(event.xml).kind == "DoorOpened"
    assert registry.refused == ()


def test_a_new_type_goes_to_the_folder_of_the_user(
    run: Callable, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLACKS_EVENTS", str(home / "mine"))
    assert run("events", "new", "DoorOpened").out == f"{home}/mine/DoorOpened.xsd\n"
    assert "DoorOpened" in run("events", "list").out
    ended = run("events", "new", "DoorOpened")
    assert ended.code == 4
    assert "already" in ended.err


@pytest.mark.parametrize("name", ["door", "Door/../x", "Door Opened", "D", "Ä"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        skeleton(name)


def test_an_existing_name_is_not_taken_again(run: Callable) -> None:
    assert run("events", "new", "PhoneStatus").code == 4


def test_a_refused_schema_is_warned_of(run: Callable, home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "Broken.xsd").write_text("<schema")
    ended = run("events", "list", "--events", "mine")
    assert ended.code == 0
    assert ended.err.count("Broken.xsd") == 1, "once, not by the log and by the command"
    assert "PhoneStatus" in ended.out


def test_asyncapi_writes_the_document_of_the_domain(run: Callable) -> None:
    document = json.loads(run("events", "asyncapi", "--url", "amqps://jane@example.org/org.example").out)
    assert document["asyncapi"] == "3.0.0"
    assert document["servers"]["bus"]["host"] == "example.org:5671"
    assert document["channels"]["PhoneStatus"]["address"] == "org.example.event.PhoneStatus"
