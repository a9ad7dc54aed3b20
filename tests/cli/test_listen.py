from __future__ import annotations

import json

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


def test_an_event_is_shown_as_xml_or_json() -> None:
    event = SchemaRegistry().receive(GOOD)
    assert "\n    <CallerId>1</CallerId>\n" in formatted(event, Format.XML)
    assert json.loads(formatted(event, Format.JSON)) == {
        "PhoneStatus": {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}
    }
    assert "\n" not in formatted(event, Format.JSON)
