from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import typer

from clacks.cli.listen import Format, formatted, type_query
from clacks.common.schema import SchemaRegistry
from tests.cli.test_events import GOOD


def test_types_become_a_query() -> None:
    assert type_query([]) == "."
    assert type_query(["A", "B"]).endswith("./f:Event/f:A or ./f:Event/f:B")
    for name in ("A b", "", "A'", "1A", "*"):
        with pytest.raises((typer.BadParameter, IndexError)):
            type_query([name])


@pytest.mark.net
def test_a_type_that_nobody_knows_is_warned_of(run: Callable) -> None:
    ended = run("listen", "--type", "FoneStatus", "--url", "amqp://jane:x@127.0.0.1:1")
    assert "no event type FoneStatus is known here" in ended.err
    known = run("listen", "--type", "PhoneStatus", "--url", "amqp://jane:x@127.0.0.1:1")
    assert "no event type" not in known.err
    assert ended.code == known.code == 6


def test_an_event_is_shown_as_xml_or_json() -> None:
    event = SchemaRegistry().receive(GOOD)
    assert "\n    <CallerId>1</CallerId>\n" in formatted(event, Format.XML)
    assert json.loads(formatted(event, Format.JSON)) == {
        "PhoneStatus": {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}
    }
    assert "\n" not in formatted(event, Format.JSON)
