from __future__ import annotations

import pytest
import typer

from clacks.cli.call import argument, arguments


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("true", True),
        ("null", None),
        ('{"a": [1]}', {"a": [1]}),
        ("text", "text"),
        ('"1"', "1"),
        ("", ""),
    ],
)
def test_an_argument_is_json_or_text(text: str, value: object) -> None:
    assert argument(text) == value


def test_arguments_are_positional_or_named() -> None:
    assert arguments(["1", "a:b", "<Event/>"]) == ([1, "a:b", "<Event/>"], {})
    assert arguments(["user:=jane", "n:=3"]) == ([], {"user": "jane", "n": 3})
    with pytest.raises(typer.BadParameter):
        arguments(["1", "a:=2"])
