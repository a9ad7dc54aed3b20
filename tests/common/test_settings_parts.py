from __future__ import annotations

from pathlib import Path

import pytest

from clacks.common.errors import SettingsError
from clacks.common.settings import Settings


def parse(text: str) -> Settings:
    return Settings.parse(text, file="/etc/clacks/settings.toml")


def test_without_tables_the_usual_holds() -> None:
    settings = parse("")
    assert settings.client.callers == ("*",)
    assert settings.sources.collectd.port == 25826
    assert settings.jobs == {}


def test_tables_are_read_and_relative_paths_start_at_the_file() -> None:
    settings = parse(
        """
        [client]
        id = "desk-1"
        commands = ["lamps.commands"]
        [sources.collectd]
        port = 0
        passwords = "collectd.users"
        [sources.host]
        realtime = 5
        """
    )
    assert (settings.client.id, settings.client.commands) == ("desk-1", ("lamps.commands",))
    assert settings.sources.collectd.passwords == Path("/etc/clacks/collectd.users")
    assert (settings.sources.host.realtime, settings.sources.host.state) == (5.0, 900.0)


def test_a_job_is_one_command_or_several() -> None:
    jobs = parse(
        """
        [jobs.backup]
        command = ["/usr/bin/rsync", "-a", "{what}", "/backup"]
        arguments = { what = "[a-z]+" }
        [jobs.upgrade]
        command = [["/usr/bin/apt-get", "update"], ["/usr/bin/apt-get", "-y", "upgrade"]]
        """
    ).jobs
    assert jobs["backup"].command == (("/usr/bin/rsync", "-a", "{what}", "/backup"),)
    assert [words[1] for words in jobs["upgrade"].command] == ["update", "-y"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("client = 3", "client: a table expected"),
        ("[client]\ncolour = 1", "client: unknown key 'colour'; known: callers, commands"),
        ("[client]\nsessions = 'wtmp'", 'client: sessions: "auto" or "logind"'),
        ("[sources.dog]", "sources: unknown key 'dog'"),
        ("[sources.collectd]\nport = 70000", "sources: collectd: port: a number from 0 to 65535"),
        ("[sources.host]\nrealtime = -1", "a number of seconds of at least 0"),
        ("[sources.host]\nrealtime = inf", "a number of seconds of at least 0"),
        ("[jobs]\nx = 1", "jobs: x: a table expected"),
        ("[jobs.'a b']", "'a b' is no name of a job"),
        ("[jobs.x]", "jobs: x: command is missing"),
        ("[jobs.x]\ncommand = 'rm -rf /'", "a list of words, or a list of such lists"),
        ("[jobs.x]\ncommand = ['{p}']\narguments = {p = 'a'}", "the program itself cannot be an argument"),
        ("[jobs.x]\ncommand = ['/bin/echo', '{p}']", "the command and its arguments do not fit: p"),
        ("[jobs.x]\ncommand = ['a']\narguments = {p = '['}", "p: no regular expression"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(text)
    assert reason in error.value.reason
