from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from clacks.common.components.proxy import json_argument
from clacks.common.errors import CommandError
from clacks.common.jsonrpc import INVALID_PARAMS
from clacks.common.schema import SchemaRegistry

LEAVE = '<Event xmlns="http://www.gonicus.de/Events"><NodeLeave><Id>Zoë</Id></NodeLeave></Event>'


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text", [1, "a"], {"a": [None]}])
def test_json_values_stay_as_they_are(value: Any) -> None:
    assert json_argument(value) == value


def test_bytes_are_utf_8_unless_they_say_otherwise() -> None:
    assert json_argument(LEAVE.encode()) == LEAVE
    assert json_argument(b"\xef\xbb\xbf" + LEAVE.encode()) == LEAVE
    assert json_argument(bytearray(LEAVE.encode())) == LEAVE


@pytest.mark.parametrize("encoding", ["iso-8859-1", "UTF-16", "utf-8", "us-ascii"])
def test_what_lxml_writes_in_any_encoding_is_understood(encoding: str) -> None:
    data = etree.tostring(etree.fromstring(LEAVE), encoding=encoding, xml_declaration=True)
    text = json_argument(data)
    assert "encoding" not in text
    assert SchemaRegistry().receive(text).to_dict() == {"Id": "Zoë"}


def test_trees_and_events_become_text() -> None:
    root = etree.fromstring(LEAVE)
    assert json_argument(root) == LEAVE
    assert json_argument(root.getroottree()) == LEAVE
    assert json_argument(SchemaRegistry().receive(LEAVE)) == LEAVE


def test_xml_inside_of_lists_and_objects_becomes_text_too() -> None:
    assert json_argument({"events": (LEAVE.encode(), 1)}) == {"events": [LEAVE, 1]}


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\xff", b"\x80abc", b'<?xml version="1.0" encoding="no-such"?><a/>']
)
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(CommandError) as error:
        json_argument(data)
    assert error.value.code == INVALID_PARAMS
