from __future__ import annotations

import logging
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from clacks.common.command import Command, CommandTable
from clacks.common.jsonrpc import Request
from clacks.common.plugins import PluginContext, load_plugins, register_plugins
from clacks.common.schema import SchemaRegistry

CONTEXT = PluginContext("one", SchemaRegistry(plugins=False), lambda event: None)

PLUGIN = """
from clacks.common.command import Command

@Command
def one() -> int:
    return 1

@Command(name="lamp.two")
def two() -> int:
    return 2

def hidden() -> int:
    return 3

class Lamp:
    @Command
    def dim(self, percent: int) -> int:
        return percent
"""


class Bell:
    @Command
    def ring(self) -> str:
        return "ding"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path  # type: ignore[misc]
    for name in set(sys.modules) - known:
        del sys.modules[name]


def load(*modules: str, installed: list[EntryPoint] | None = None) -> tuple[CommandTable, list[str]]:
    table = CommandTable("test")
    _, failures = register_plugins(table.register, "clacks.test", modules, CONTEXT, installed=installed)
    return table, [str(failure) for failure in failures]


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "clacks.test")


def run(table: CommandTable, method: str, *params: Any) -> Any:
    return table.run(Request(method, params), "jane")


def test_the_marked_functions_and_the_classes_of_a_module_are_commands(folder: Path) -> None:
    (folder / "plug_one.py").write_text(PLUGIN)
    table, failures = load("plug_one")
    assert failures == []
    assert set(table.commands) == {"one", "lamp.two", "dim"}
    assert run(table, "lamp.two") == 2


def test_an_entry_point_names_a_function_a_class_or_a_module(folder: Path) -> None:
    (folder / "plug_two.py").write_text(PLUGIN + "lamp = Lamp()\n")
    for value, names in {
        "plug_two:one": {"one"},
        "plug_two:Lamp": {"dim"},
        "plug_two:lamp": {"dim"},
        "plug_two": {"one", "lamp.two", "dim"},
    }.items():
        table, failures = load(installed=[entry("x", value)])
        assert (set(table.commands), failures) == (names, [])
    assert run(load(installed=[entry("x", "plug_two:Lamp")])[0], "dim", 4) == 4


def test_a_plug_in_that_fails_is_reported_and_keeps_none_from_being_loaded(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "plug_bad.py").write_text("raise RuntimeError('no lamp here')")
    (folder / "plug_exit.py").write_text("raise SystemExit(3)")
    (folder / "plug_good.py").write_text(PLUGIN)
    with caplog.at_level(logging.ERROR):
        table, failures = load("plug_bad", "plug_exit", "plug_missing", "plug_good", "json")
    assert set(table.commands) == {"one", "lamp.two", "dim"}
    assert failures == [
        "plug-in plug_bad: RuntimeError: no lamp here",
        "plug-in plug_exit: SystemExit: 3",
        "plug-in plug_missing: ModuleNotFoundError: No module named 'plug_missing'",
        "plug-in json: TypeError: it has no command; mark functions with @Command",
    ]
    assert len(caplog.records) == 4


def test_a_command_that_is_there_already_is_refused_and_not_replaced(folder: Path) -> None:
    (folder / "plug_three.py").write_text(PLUGIN)
    table = CommandTable("test")
    table.register(Bell())
    (folder / "plug_ring.py").write_text(PLUGIN.replace("lamp.two", "ring"))
    _, failures = register_plugins(table.register, "clacks.test", ["plug_ring"], CONTEXT)
    assert "there is already a command 'ring'" in str(failures[0])
    assert run(table, "ring") == "ding"


def test_a_class_whose_constructor_takes_one_gets_the_context(folder: Path) -> None:
    text = PLUGIN.replace(
        "    @Command\n    def dim",
        "    def __init__(self, context):\n        self.context = context\n\n    @Command\n    def dim",
    )
    (folder / "plug_four.py").write_text(text.replace("return percent", "return self.context.node"))
    [plugin], failures = load_plugins("clacks.test", ["plug_four"], CONTEXT, installed=[])
    assert failures == []
    *functions, lamp = plugin.sources
    assert [getattr(function, "__name__", None) for function in functions] == ["one", "two"]
    assert lamp.context is CONTEXT  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1", "TypeError: it has no command; mark functions with @Command"),
        ("def f(:", "SyntaxError: "),
        ("from clacks.common.command import Command", "TypeError: it has no command"),
        (
            "from clacks.common.command import Command\nclass A:\n def __init__(self):\n  1/0\n"
            " @Command\n def f(self): ...",
            "ZeroDivisionError: division by zero",
        ),
    ],
)
def test_the_reason_is_told(folder: Path, text: str, reason: str) -> None:
    (folder / "plug_wrong.py").write_text(text)
    found, [failure] = load_plugins("clacks.test", ["plug_wrong"], CONTEXT, installed=[])
    assert found == []
    assert failure.reason.startswith(reason)
