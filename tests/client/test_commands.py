from __future__ import annotations

from typing import Any

import pytest

from clacks.client.commands import BasicCommands, NotifyCommand
from clacks.common.command import CommandTable
from clacks.common.errors import CommandError
from clacks.common.jsonrpc import INVALID_PARAMS, Request

SHOWN: list[tuple[Any, ...]] = []


def show(*words: Any) -> bool:
    SHOWN.append(words)
    return words[0] != "blind"


@pytest.fixture
def table() -> CommandTable:
    SHOWN.clear()
    made = CommandTable("client")
    made.register(BasicCommands(lambda: made.commands, lambda: ("blind", "jane")))
    made.register(NotifyCommand(lambda: ("blind", "jane"), show))
    return made


def call(table: CommandTable, method: str, *params: Any) -> Any:
    return table.run(Request(method, params), "agent")


def test_it_tells_its_methods_and_who_is_logged_on(table: CommandTable) -> None:
    methods = call(table, "getMethods")
    assert set(methods) == {"getMethods", "getUsers", "notify"}
    assert methods["notify"]["signature"].startswith("notify(user: text, title: text, body: text")
    assert call(table, "getUsers") == ["blind", "jane"]


def test_a_text_goes_to_the_user_named_and_to_nobody_else(table: CommandTable) -> None:
    assert call(table, "notify", "jane", "Hello", "You", "face-smile", 500) == ["jane"]
    assert SHOWN == [("jane", "Hello", "You", "face-smile", 500)]


def test_an_asterisk_means_all_and_those_without_a_desktop_are_not_named(table: CommandTable) -> None:
    assert call(table, "notify", "*", "Hello", "All") == ["jane"]
    assert [words[0] for words in SHOWN] == ["blind", "jane"]


def test_who_is_not_logged_on_is_not_tried(table: CommandTable) -> None:
    assert call(table, "notify", "root", "Hello", "You") == []
    assert SHOWN == []


@pytest.mark.parametrize(
    "params", [("jane", "x" * 10_001, ""), ("jane", "a\0", ""), ("jane", "", "", "", -2)]
)
def test_what_no_desktop_should_get_is_refused(table: CommandTable, params: tuple[Any, ...]) -> None:
    with pytest.raises(CommandError) as error:
        call(table, "notify", *params)
    assert error.value.code == INVALID_PARAMS
    assert SHOWN == []
