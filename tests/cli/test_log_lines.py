from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from clacks.cli.log_lines import JsonLines


def line(text: str, *values: object, error: bool = False) -> dict[str, Any]:
    record = logging.LogRecord(
        "clacks.net", logging.INFO, "f", 1, text, values, sys.exc_info() if error else None
    )
    record.created = 1_700_000_000.25
    written = JsonLines().format(record)
    assert "\n" not in written
    found: dict[str, Any] = json.loads(written)
    return found


def test_values_that_follow_the_text_become_fields() -> None:
    assert line("event rejected kind=%s path=%s n=%d share=%.1f", "A", "/Event/A", 3, 0.5) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "clacks.net",
        "message": "event rejected",
        "kind": "A",
        "path": "/Event/A",
        "n": 3,
        "share": 0.5,
    }


@pytest.mark.parametrize(
    ("text", "values", "message", "fields"),
    [
        ("ready", (), "ready", {}),
        ("100%% sure n=%d", (1,), "100% sure", {"n": 1}),
        ("rights not read again: %s", ("no file",), "rights not read again: no file", {}),
        (
            "filter fails user=%s (said once per %s)",
            ("ann", "subscription"),
            "filter fails (said once per subscription)",
            {"user": "ann"},
        ),
        ("odd message=%s level=%s", ("a", "b"), "odd", {"message_": "a", "level_": "b"}),
        (
            "odd values=%s",
            (float("nan"),),
            "odd",
            {"values": "nan"},
        ),
        ("two %s", (1, 2), "two %s", {"values": "(1, 2)"}),
        ("a b=%s", ("x\ny",), "a", {"b": "x\ny"}),
    ],
)
def test_what_is_no_field_stays_text(
    text: str, values: tuple[object, ...], message: str, fields: dict[str, object]
) -> None:
    found = line(text, *values)
    assert found["message"] == message
    assert {key: found[key] for key in found if key not in ("time", "level", "logger", "message")} == fields


def test_a_traceback_is_one_field() -> None:
    try:
        raise ValueError("on purpose")
    except ValueError:
        found = line("failed", error=True)
    assert found["exception"].endswith("ValueError: on purpose")
