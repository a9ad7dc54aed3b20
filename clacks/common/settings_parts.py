"""The tables of the settings file for one service each: ``[client]``, ``[sources.NAME]``, ``[jobs.NAME]``.

Each is a frozen dataclass whose fields say how they are read. An unknown key is an error here, too.
"""

# ruff: noqa: RUF009 - what stands as default is dataclasses.field, with the reader beside it

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from clacks.common.errors import SettingsError

__all__ = [
    "AsteriskSettings",
    "ClientSettings",
    "CollectdSettings",
    "HostSettings",
    "JobSettings",
    "JobsSettings",
    "LogSettings",
    "PuppetSettings",
    "SourcesSettings",
    "WebSettings",
    "read_jobs",
    "read_table",
]

Reader: TypeAlias = Callable[[Any, Path], Any]
Table = TypeVar("Table")


def _wrong(expected: str, value: Any) -> SettingsError:
    return SettingsError("", f"{expected} expected, not {value!r}")


def _text(value: Any, base: Path) -> str:
    if not isinstance(value, str):
        raise _wrong("a text", value)
    return value


def _texts(value: Any, base: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong("a list of texts", value)
    return tuple(value)


def _path(value: Any, base: Path) -> Path:
    return base / Path(_text(value, base)).expanduser()


def _flag(value: Any, base: Path) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _whole(low: int, high: int) -> Reader:
    def read(value: Any, base: Path) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _wrong(f"a number from {low} to {high}", value)
        return value

    return read


def _seconds(low: float) -> Reader:
    def read(value: Any, base: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < float("inf"):
            raise _wrong(f"a number of seconds of at least {low:g}", value)
        return float(value)

    return read


def _one_of(*words: str) -> Reader:
    def read(value: Any, base: Path) -> str:
        if value not in words:
            raise _wrong(" or ".join(f'"{word}"' for word in words), value)
        return str(value)

    return read


def _map(value: Any, base: Path) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _wrong("a table of texts", value)
    return value


def _setting(read: Reader, default: Any) -> Any:
    if default.__hash__ is None:  # dataclasses take no such value as a default
        return field(default_factory=lambda: default, metadata={"read": read})
    return field(default=default, metadata={"read": read})


def _part(kind: type[Any]) -> Any:
    return field(default_factory=kind, metadata={"read": lambda value, base: read_table(kind, value, base)})


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The table ``[client]``."""

    id: str = _setting(_text, "")
    """Its id on the bus; if not said, one is made up at the first start and kept in the state folder."""

    name: str = _setting(_text, "")
    """Its name for people; the host name if not said."""

    commands: tuple[str, ...] = _setting(_texts, ())
    """Python modules with commands of its own, beside those of installed plug-ins."""

    callers: tuple[str, ...] = _setting(_texts, ("*",))
    """Logins whose calls it carries out, as globs. The broker lets only logins send to a client that have the
    right for it, which are the agents; a list here guards against a broker that does not."""

    sessions: str = _setting(_one_of("auto", "logind", "utmp", "none"), "auto")
    """Where it learns who is logged on: systemd-logind, utmp, the first of these there is, or nowhere."""

    utmp: Path = _setting(_path, Path("/var/run/utmp"))
    """The file of the sessions where there is no systemd-logind."""

    notify: bool = _setting(_flag, True)
    """Whether it offers the command ``notify``, which shows a text to a user who is logged on."""


@dataclass(frozen=True, slots=True)
class CollectdSettings:
    """The table ``[sources.collectd]``."""

    host: str = _setting(_text, "localhost")
    """Address that it listens on for the packets of collectd's network plugin (UDP)."""

    port: int = _setting(_whole(0, 65535), 25826)
    """Port that it listens on; 0 takes a free one."""

    security: str = _setting(_one_of("none", "sign", "encrypt"), "none")
    """What a packet must be at least: anything, signed, or encrypted."""

    passwords: Path | None = _setting(_path, None)
    """File with ``user: password`` in each line, collectd's ``AuthFile``: for what is signed or encrypted."""

    plugins: tuple[str, ...] = _setting(_texts, ("*",))
    """Plugins of collectd whose measurements become events, as globs."""


@dataclass(frozen=True, slots=True)
class PuppetSettings:
    """The table ``[sources.puppet]``."""

    reports: Path = _setting(_path, Path("/var/cache/puppet/reports"))
    """Folder in which Puppet stores its reports (``reportdir``), one folder for each host."""

    id: str = _setting(_text, "")
    """Id of the events; the host that the report names if not said."""

    level: str = _setting(
        _one_of("debug", "info", "notice", "warning", "err", "alert", "emerg", "crit"), "debug"
    )
    """The least level of the log lines that go into an event."""

    look_again: float = _setting(_seconds(0.05), 2.0)
    """Seconds between two looks at the folder."""


@dataclass(frozen=True, slots=True)
class AsteriskSettings:
    """The table ``[sources.asterisk]``."""

    host: str = _setting(_text, "localhost")
    """Where Asterisk's manager interface listens."""

    port: int = _setting(_whole(1, 65535), 5038)
    """Its port; with TLS usually 5039."""

    tls: bool = _setting(_flag, False)
    """Whether the port wants TLS. Without it not the secret is sent but the answer to a challenge (MD5)."""

    ca_file: Path | None = _setting(_path, None)
    """Certificates of the authorities to trust instead of the system's."""

    user: str = _setting(_text, "clacks")
    """The user of manager.conf."""

    password_file: Path | None = _setting(_path, None)
    """File whose first line is its secret; else the variable CLACKS_ASTERISK_PASSWORD."""

    country: str = _setting(_text, "")
    """Country code such as ``49``: makes international numbers of national ones."""

    area: str = _setting(_text, "")
    """Area code without trunk prefix, such as ``2932``: makes national numbers of local ones."""

    trunk: str = _setting(_text, "0")
    """What is dialled before a national number, and twice before an international one."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """The table ``[sources.host]``."""

    id: str = _setting(_text, "")
    """Id of the NodeStatus events; the host name if not said."""

    status: bool = _setting(_flag, False)
    """Whether it sends NodeStatus, every 10 s: only for a machine without an agent, which sends its own."""

    realtime: float = _setting(_seconds(0.0), 2.0)
    """Seconds between two RealtimeReport; 0 sends none."""

    state: float = _setting(_seconds(0.0), 900.0)
    """Seconds between two SystemState; 0 sends none. A change of host name or pools is sent at once."""

    zpool: str = _setting(_text, "zpool")
    """The program that lists ZFS pools; empty to leave them out."""


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """The table ``[sources.jobs]``."""

    queue: str = _setting(_text, "jobs")
    """Command queue that ``clacks source jobs`` serves: ``{domain}.command.jobs``."""

    at_once: int = _setting(_whole(1, 64), 2)
    """Jobs that run side by side; others wait."""

    waiting: int = _setting(_whole(1, 10_000), 100)
    """Jobs that may wait; one more is refused."""

    kept: int = _setting(_whole(0, 10_000), 100)
    """Jobs that are over and still shown by ``getJobs``."""

    logs: Path | None = _setting(_path, None)
    """Folder for the whole logs of jobs; without it only the end of a log is kept, in the events."""


@dataclass(frozen=True, slots=True)
class SourcesSettings:
    """The tables ``[sources.NAME]``."""

    collectd: CollectdSettings = _part(CollectdSettings)
    puppet: PuppetSettings = _part(PuppetSettings)
    asterisk: AsteriskSettings = _part(AsteriskSettings)
    host: HostSettings = _part(HostSettings)
    jobs: JobsSettings = _part(JobsSettings)


_JOB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _commands(value: Any, base: Path) -> tuple[tuple[str, ...], ...]:
    lists = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    for words in lists:
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise _wrong("a list of words, or a list of such lists", value)
        if _PLACE.search(words[0]):
            raise SettingsError("", f"the program itself cannot be an argument: {words[0]!r}")
    return tuple(tuple(words) for words in lists)


def _patterns(value: Any, base: Path) -> Mapping[str, str]:
    for name, pattern in _map(value, base).items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise SettingsError("", f"{name}: no regular expression: {error}") from error
    return dict(value)


@dataclass(frozen=True, slots=True)
class JobSettings:
    """A table ``[jobs.NAME]``: one job that ``runJob`` may start by its name."""

    command: tuple[tuple[str, ...], ...] = _setting(_commands, ())
    """The program and its arguments, as a list; or a list of such lists, which run one after the other until
    one fails. No shell reads them. ``{name}`` stands for an argument of the call."""

    arguments: Mapping[str, str] = field(default_factory=dict, metadata={"read": _patterns})
    """The arguments of a call, each with the regular expression that all of its text must match."""

    description: str = _setting(_text, "")
    """What it does, for people."""

    timeout: float = _setting(_seconds(0.1), 3600.0)
    """Seconds after which it is ended as failed."""

    abortable: bool = _setting(_flag, True)
    """Whether ``abortJob`` may end it while it runs."""

    directory: Path = _setting(_path, Path("/"))
    """Working directory of its programs."""

    environment: Mapping[str, str] = field(default_factory=dict, metadata={"read": _map})
    """Environment of its programs, beside PATH, HOME, LANG; nothing else is passed on."""

    def places(self) -> frozenset[str]:
        """Return the names of the arguments that its command uses."""
        return frozenset(name for words in self.command for word in words for name in _PLACE.findall(word))


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The table ``[log]``: the event log and the key/value store of the agent that records."""

    record: bool | None = _setting(_flag, None)
    """Whether the agent records. If not said, the one of ``clacks up`` does, so that ``stored=True``, replay
    and the key/value store work without more ado. ``clacks agent`` does not: a domain has one recorder."""

    store: str = _setting(_text, "")
    """Where: ``sqlite:PATH``, ``redis://``, ``rediss://`` or ``unix://``; ``log.sqlite`` in the state folder
    if not said."""

    sync: str = _setting(_one_of("full", "normal"), "full")
    """When SQLite answers: ``full`` when it is on the disk, ``normal`` when the operating system has it,
    which survives everything but a loss of power."""

    types: tuple[str, ...] = _setting(_texts, ("*",))
    """Event types that are recorded, as globs. What is published with ``stored=True`` is recorded anyway."""

    keep_seconds: float = _setting(_seconds(1), 7 * 86400.0)
    """Seconds that events are kept: a week."""

    keep_events: int = _setting(_whole(1, 10**12), 1_000_000)
    """How many events are kept."""

    keep_bytes: int = _setting(_whole(1024 * 1024, 10**15), 1024**3)
    """Bytes that the log may take; the oldest events go first, whichever of the three is reached."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The table ``[web]``: the gateway."""

    listen: tuple[str, ...] = _setting(_texts, ())
    """Listeners, as ``--listen`` says them: ``http=HOST:PORT``. If there is none for HTTP: 127.0.0.1:8080."""

    hosts: tuple[str, ...] = _setting(_texts, ())
    """Names under which the gateway is reached, beside those of this machine; a request for another host is
    refused (DNS rebinding). ``*`` takes all."""

    origins: tuple[str, ...] = _setting(_texts, ())
    """Origins of pages that may use the gateway beside its own: ``https://example.org``; ``*``: all."""

    token_algorithm: str = _setting(_one_of("HS256", "RS256", "ES256"), "HS256")
    """What tokens are signed with: a secret that both sides know, or a private key of whoever makes them."""

    token_key: Path | None = _setting(_path, None)
    """File with the secret (at least 32 bytes), or with the public key in PEM. If not said, ``token.key`` in
    the state folder, which ``clacks token`` makes."""

    options: Mapping[str, str] = field(default_factory=dict, metadata={"read": _map})
    """Options of dialects, by name: ``error_code`` (of SysAdm: ``text`` or ``number``)."""


def read_table(kind: type[Table], value: Any, base: Path) -> Table:
    """Read a table of a TOML file into its dataclass.

    Args:
        kind: The dataclass; its fields say how they are read.
        value: What the file has there.
        base: Folder where relative paths start.

    Raises:
        SettingsError: If it is no table, has an unknown key or a value of the wrong kind.
    """
    if not isinstance(value, dict):
        raise _wrong("a table", value)
    known = {item.name: item.metadata["read"] for item in fields(kind)}  # type: ignore[arg-type]
    given = {}
    for key, inner in value.items():
        if key not in known:
            raise SettingsError("", f"unknown key {key!r}; known: {', '.join(sorted(known))}")
        try:
            given[key] = known[key](inner, base)
        except SettingsError as error:
            raise SettingsError("", f"{key}: {error.reason}") from error
    return kind(**given)


def read_jobs(value: Any, base: Path) -> Mapping[str, JobSettings]:
    """Read the tables ``[jobs.NAME]``.

    Raises:
        SettingsError: As `read_table`; also if a job has no command, or its command uses arguments that are
            not described.
    """
    if not isinstance(value, dict):
        raise _wrong("tables [jobs.NAME]", value)
    found = {}
    for name, table in value.items():
        if not _JOB_NAME.fullmatch(name):
            raise SettingsError("", f"{name!r} is no name of a job: letters, digits, '_', '.', '-'")
        try:
            job = read_table(JobSettings, table, base)
        except SettingsError as error:
            raise SettingsError("", f"{name}: {error.reason}") from error
        if not job.command:
            raise SettingsError("", f"{name}: command is missing")
        if job.places() != frozenset(job.arguments):
            odd = ", ".join(sorted(job.places() ^ frozenset(job.arguments)))
            raise SettingsError("", f"{name}: the command and its arguments do not fit: {odd}")
        found[name] = job
    return found
