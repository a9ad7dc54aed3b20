from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from clacks.cli import output


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("A", "B"), [("1", "two\twords\n"), ("3", "4")])
    assert capsys.readouterr().out == "1\ttwo words \n3\t4\n"


@pytest.mark.slow
def test_a_terminal_gets_a_table_with_headings() -> None:
    code = "from clacks.cli import output; output.table(('Head', 'B'), [('[red]x[/red]', '4')])"
    main, other = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    environ.pop("NO_COLOR", None)
    subprocess.run([sys.executable, "-c", code], stdout=other, env=environ, check=True)
    os.close(other)
    text = os.read(main, 10_000).decode()
    os.close(main)
    assert "Head" in text
    assert "[red]x[/red]" in text  # what events hold is no markup


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.error("a\nb")
    assert capsys.readouterr().err == "clacks: a b\n"
