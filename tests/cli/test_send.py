from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from clacks.cli.send import event_from
from clacks.common.errors import InvalidEvent
from clacks.common.schema import SchemaRegistry
from tests.cli.test_events import GOOD

REGISTRY = SchemaRegistry()


def test_an_event_is_put_together_in_the_order_of_the_schema() -> None:
    event = event_from("NodeLeave", ["Id=n1"], REGISTRY)
    assert event.to_dict() == {"Id": "n1"}
    event = event_from(
        "NodeStatus", ["Workers=3", "Id=a=b", "Load=0.5", "Latency=1", "Indexed=true"], REGISTRY
    )
    assert event.to_json() == {"Id": "a=b", "Load": 0.5, "Latency": 1.0, "Workers": 3, "Indexed": True}


def test_elements_inside_others_are_named_with_a_dot() -> None:
    event = event_from("UserSession", ["Id=c", "User.Name=jane", "User.Name=joe"], REGISTRY)
    assert event.to_json()["User"] == {"Name": ["jane", "joe"]}


def test_a_document_is_read_from_a_file(home: Path) -> None:
    Path("e.xml").write_text(GOOD)
    assert event_from("e.xml", [], REGISTRY).kind == "PhoneStatus"
    with pytest.raises(typer.BadParameter):
        event_from("e.xml", ["A=b"], REGISTRY)


@pytest.mark.parametrize(
    "values",
    [
        ["CallerId"],
        ["=x"],
        ["CallerId=1", "CallerId.x=2"],
        ["CallerId.x=2", "CallerId=1"],
        ["Status=1", "Status=2"],
    ],
)
def test_arguments_that_say_nothing_are_refused(values: list[str]) -> None:
    with pytest.raises((typer.BadParameter, InvalidEvent)):
        event_from("PhoneStatus", values, REGISTRY)


@pytest.mark.parametrize(
    ("what", "values", "word"),
    [
        ("PhoneStats", [], "PhoneStatus"),
        ("PhoneStatus", ["CallerId=1"], "ReceiverId"),
        ("PhoneStatus", ["CallrId=1"], "CallrId"),
        ("NodeStatus", ["Id=1", "Load=high", "Latency=1", "Workers=1"], "Load"),
    ],
)
def test_an_invalid_event_is_refused_before_anything_is_sent(
    run: Callable, what: str, values: list[str], word: str
) -> None:
    ended = run("send", what, *values, "--url", "amqp://a@localhost:1")
    assert ended.code == 4
    assert word in ended.err
    assert ended.err.count("\n") == 1
