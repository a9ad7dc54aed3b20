from __future__ import annotations

from pathlib import Path

import pytest

from clacks.common.errors import SettingsError
from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.settings import Settings, default_file, default_state_dir


def test_without_file_and_environment_the_defaults_hold(tmp_path: Path) -> None:
    settings = Settings.load(environ={"HOME": str(tmp_path)})
    assert (settings.url, settings.domain, settings.host) == (None, "org.clacks", "localhost")
    assert (settings.port, settings.tls_port) == (5672, 5671)
    assert settings.limits == DEFAULT_LIMITS
    assert settings.rights_file == settings.state_dir / "rights.toml"
    assert settings.credentials_file == settings.state_dir / "credentials.toml"


def test_a_file_says_otherwise_and_the_environment_has_the_last_word(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'url = "amqps://jane@host"\ndomain = "org.example"\nport = 0\nanonymous = true\n'
        f'events = ["mine", "{tmp_path}/abs"]\nrights = "r.toml"\n'
        "[limits]\nqueue_events = 7\nidle_timeout = 2\n"
    )
    settings = Settings.load(
        file, environ={"CLACKS_PORT": "99", "CLACKS_ANONYMOUS": "no", "CLACKS_NODE": "n1"}
    )
    assert settings.url is not None
    assert (settings.url.host, settings.url.domain, settings.url.tls) == ("host", "org.example", True)
    assert (settings.port, settings.anonymous, settings.node) == (99, False, "n1")
    assert settings.events == (tmp_path / "mine", tmp_path / "abs")
    assert settings.rights_file == tmp_path / "r.toml"
    assert (settings.limits.queue_events, settings.limits.idle_timeout) == (7, 2)
    assert settings.limits.links == DEFAULT_LIMITS.links


def test_event_folders_in_the_environment_are_separated_like_paths() -> None:
    assert Settings.parse("", environ={"CLACKS_EVENTS": "/a:/b:"}).events == (Path("/a"), Path("/b"))


def test_a_url_in_the_environment_takes_the_domain_of_the_settings() -> None:
    settings = Settings.parse("", environ={"CLACKS_URL": "amqp://h", "CLACKS_DOMAIN": "org.x"})
    assert settings.url is not None
    assert settings.url.domain == "org.x"
    settings = Settings.parse("", environ={"CLACKS_URL": "amqp://h/org.y", "CLACKS_DOMAIN": "org.x"})
    assert settings.url is not None
    assert settings.url.domain == "org.y"


def test_a_password_in_the_url_is_kept_and_not_shown() -> None:
    settings = Settings.parse('url = "amqp://a:secret@h"')
    assert settings.url is not None
    assert settings.url.password == "secret"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("colour = 1", "unknown key 'colour'"),
        ("port = 70000", "port: a number from 0 to 65535"),
        ("port = true", "port: a number"),
        ("port = '1'", "port: a number"),
        ("anonymous = 1", "true or false"),
        ("host = 1", "a text"),
        ("url = 1", "url: a URL"),
        ("url = 'http://u:hidden@h'", "amqp://"),
        ("domain = 'a b'", "domain: the path must be a domain"),
        ("events = 1", "list of folders"),
        ("events = [1]", "a text"),
        ("limits = 1", "a table"),
        ("[limits]\nlinkz = 1", "unknown limit 'linkz'"),
        ("[limits]\nlinks = 0", "positive"),
        ("[limits]\nlinks = 1.5", "positive"),
        ("[limits]\nlinks = true", "positive"),
        ("workers = 0", "from 1"),
        ("port = ", "Invalid value"),
    ],
)
def test_a_wrong_setting_is_refused_with_file_and_reason(text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word) as caught:
        Settings.parse(text, file="s.toml")
    assert str(caught.value).startswith("s.toml: ")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CLACKS_PORT", "x"),
        ("CLACKS_PORT", "-1"),
        ("CLACKS_ANONYMOUS", "perhaps"),
        ("CLACKS_TRUST_USERS", "2"),
        ("CLACKS_URL", "nowhere"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.parse("", environ={variable: value})


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        Settings.load(tmp_path / "none.toml", environ={})
    with pytest.raises(SettingsError, match="No such file"):
        Settings.load(environ={"CLACKS_SETTINGS": str(tmp_path / "none.toml"), "HOME": str(tmp_path)})
    (tmp_path / "b.toml").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="UTF-8"):
        Settings.load(tmp_path / "b.toml", environ={})


def test_the_file_of_the_user_is_found(tmp_path: Path) -> None:
    own = tmp_path / ".config" / "clacks" / "settings.toml"
    own.parent.mkdir(parents=True)
    own.write_text("port = 5")
    assert default_file({"HOME": str(tmp_path)}) == own
    assert Settings.load(environ={"HOME": str(tmp_path)}).port == 5


def test_state_is_kept_where_xdg_says(tmp_path: Path) -> None:
    assert default_state_dir({"XDG_STATE_HOME": "/x", "HOME": "/h"}, root=False) == Path("/x/clacks")
    named = {"CLACKS_STATE_DIR": "/c", "XDG_STATE_HOME": "/x"}
    assert default_state_dir(named, root=True) == Path("/c") == Settings.parse("", environ=named).state_dir
    assert default_state_dir({"XDG_STATE_HOME": "relative", "HOME": "/h"}, root=False) == Path(
        "/h/.local/state/clacks"
    )


def test_changed_leaves_out_what_is_none() -> None:
    settings = Settings().changed(port=1, host=None)
    assert (settings.port, settings.host) == (1, "localhost")
