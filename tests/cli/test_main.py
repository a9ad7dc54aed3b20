from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from clacks.cli import main as main_module
from clacks.cli.main import COMMANDS, main
from clacks.common.errors import QuerySyntaxError

CLACKS = [sys.executable, "-m", "clacks.cli.main"]


def test_help_names_every_command(run: Callable) -> None:
    ended = run("--help")
    assert ended.code == 0
    for name, line in COMMANDS.items():
        assert name in ended.out
        assert line in ended.out


@pytest.mark.slow
def test_help_imports_nothing_that_it_does_not_use() -> None:
    code = (
        "import sys; from clacks.cli.main import main; main(['--help']);"
        "ours = ('clacks', 'lxml', 'proton', 'rich', 'xmlschema');"
        "print('|'.join(name for name in sys.modules if name.startswith(ours)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(out.splitlines()[-1].split("|"))
    assert loaded == {
        "clacks",
        "clacks.cli",
        "clacks.cli.main",
        "clacks.cli.title",
        "clacks.cli.output",
        "clacks.cli.exits",
        "clacks.common",
        "clacks.common.errors",
    }


@pytest.mark.slow
def test_help_answers_in_three_tenths_of_a_second() -> None:
    # CPU time of the command, as other tests run beside it.
    best = 10.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*CLACKS, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert best < 0.3


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Callable, name: str) -> None:
    ended = run(name, "--help")
    assert ended.code == 0
    assert f"clacks {name}" in ended.out


def test_version_is_that_of_the_package(run: Callable) -> None:
    from importlib.metadata import version

    assert run("--version").out == f"clacks {version('clacks')}\n"


def test_no_command_shows_help_and_fails(run: Callable) -> None:
    ended = run()
    assert ended.code == 2
    assert "Commands:" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("--nonsense",),
        ("send",),
        ("listen", "--count", "x"),
        ("listen", "--format", "yaml"),
        ("query", "f", "--var"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(run: Callable, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert ended.err.startswith("clacks: ")
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_a_fault_is_told_in_one_line_and_shown_with_debug(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("line one\nline two")

    from clacks.cli import users

    monkeypatch.setattr(users.app.registered_commands[2], "callback", broken)
    ended = run("users", "list")
    assert ended.code == 1
    assert (
        ended.err == "clacks: a fault in Clacks: ZeroDivisionError: line one line two (--debug shows where)\n"
    )
    with pytest.raises(ZeroDivisionError):
        main(["users", "list", "--debug"])


def test_a_query_error_shows_the_place(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from clacks.cli import users

    def broken() -> None:
        raise QuerySyntaxError("XPST0003", "that is no query", 1, 3, source="1 +")

    monkeypatch.setattr(users.app.registered_commands[2], "callback", broken)
    ended = run("users", "list")
    assert ended.code == 5
    assert ended.err == "clacks: XPST0003: that is no query (line 1, column 3)\n1 +\n  ^\n"


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module, "_run", interrupted)
    assert main(["users", "list"]) == 130


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    ended = subprocess.run(
        [
            "bash",
            "-c",
            f"{' '.join(CLACKS)} events show JobStatus --xsd | (exec <&-; sleep 1); echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "141"
    assert ended.stderr == ""


def test_a_settings_file_can_be_named(run: Callable, home: object) -> None:
    ended = run("--settings", "none.toml", "users", "list")
    assert ended.code == 3
    assert "none.toml: No such file" in ended.err
    assert "CLACKS_SETTINGS" not in os.environ
