from __future__ import annotations

import subprocess
import sys

import pytest

from clacks.cli.title import without_passwords


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["up", "--user", "admin:secret"], ["up", "--user", "admin:***"]),
        (["up", "--user=admin:secret"], ["up", "--user=admin:***"]),
        (["up", "--user", "admin"], ["up", "--user", "admin"]),
        (["send", "--url", "amqps://a:secret@h/d", "X"], ["send", "--url", "amqps://a:***@h/d", "X"]),
        (["send", "--url=amqp://a:se:cr:et@h"], ["send", "--url=amqp://a:***@h"]),
        (["send", "--url", "amqp://h:5672/d"], ["send", "--url", "amqp://h:5672/d"]),
        (["up", "--user", "a:s1", "--user", "b:s2:x"], ["up", "--user", "a:***", "--user", "b:***"]),
        ([], []),
    ],
)
def test_passwords_are_starred(arguments: list[str], shown: list[str]) -> None:
    assert without_passwords(arguments) == shown


@pytest.mark.slow
def test_ps_does_not_show_the_password() -> None:
    code = (
        "import sys; from clacks.cli.title import hide_passwords; hide_passwords(sys.argv[1:]);"
        "print(open('/proc/self/cmdline').read())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, "up", "--user", "admin:very-secret"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "very-secret" not in out
    assert "admin:***" in out
