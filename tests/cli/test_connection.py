from __future__ import annotations

import io
from pathlib import Path

import pytest

from clacks.cli import connection
from clacks.cli.connection import bus_url, new_password, read_password_file
from clacks.common.errors import SettingsError
from clacks.common.settings import Settings

NONE = Settings.parse("")


def test_the_option_counts_before_the_settings() -> None:
    settings = Settings.parse('url = "amqp://a:x@settings"')
    assert bus_url("amqp://option", settings, environ={}).host == "option"
    assert bus_url(None, settings, environ={}).host == "settings"
    with pytest.raises(SettingsError, match="no bus is named"):
        bus_url(None, NONE, environ={})


def test_the_domain_of_the_settings_is_the_default_of_the_option() -> None:
    assert bus_url("amqp://h", Settings.parse("domain='org.x'"), environ={}).domain == "org.x"


def test_passwords_come_from_file_then_environment_then_url(tmp_path: Path) -> None:
    file = tmp_path / "p"
    file.write_text("from file\nsecond line\n")
    file.chmod(0o600)
    settings = Settings.parse('url = "amqp://a:fromurl@h"')
    environ = {"CLACKS_PASSWORD": "from environment"}
    assert bus_url(None, settings, password_file=file, environ=environ).password == "from file"
    assert bus_url(None, settings, environ=environ).password == "from environment"
    assert bus_url(None, settings, environ={}).password == "fromurl"


def test_without_a_user_no_password_is_asked_for() -> None:
    assert bus_url("amqp://h", NONE, environ={"CLACKS_PASSWORD": "x"}).password is None


def test_a_password_on_the_command_line_is_for_this_machine_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert bus_url("amqp://a:secret@localhost", NONE, environ={}).password == "secret"
    assert "warning" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="CLACKS_PASSWORD") as caught:
        bus_url("amqps://a:secret@example.org", NONE, environ={})
    assert "secret" not in str(caught.value)


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    with pytest.raises(SettingsError, match="CLACKS_PASSWORD"):
        bus_url("amqp://a@h", NONE, environ={})


def test_a_new_password_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one", "one", "one", "two"])
    monkeypatch.setattr(connection, "ask_password", lambda question: next(answers))
    assert new_password("a", environ={}) == "one"
    with pytest.raises(SettingsError, match="differ"):
        new_password("a", environ={})


def test_a_password_file_that_others_read_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p"
    file.write_text("secret\r\n")
    file.chmod(0o644)
    assert read_password_file(file) == "secret"
    err = capsys.readouterr().err
    assert "chmod 600" in err
    assert "secret" not in err


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\n"])
def test_a_password_file_without_a_password_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "p"
    file.write_bytes(content)
    with pytest.raises(SettingsError):
        read_password_file(file)
