"""Settings: one frozen object, read once at the edge and handed down.

A setting comes from, last one counts: its default, the settings file (TOML), the environment
(``CLACKS_`` and the name in capitals), the option of a command. Passwords are no settings: they come from a
prompt, from ``CLACKS_PASSWORD`` or from a file of their own; in a URL here they are accepted and never shown.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from clacks.common.address import DEFAULT_DOMAIN, BusURL
from clacks.common.errors import SettingsError
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.settings_parts import (
    ClientSettings,
    JobSettings,
    LogSettings,
    SourcesSettings,
    WebSettings,
    read_jobs,
    read_table,
)

__all__ = ["Settings", "default_file", "default_state_dir"]

SYSTEM_STATE = Path("/var/lib/clacks")
SYSTEM_FILE = Path("/etc/clacks/settings.toml")


def default_state_dir(environ: Mapping[str, str], *, root: bool | None = None) -> Path:
    """Return where a service keeps its certificates, credentials, rights and logs.

    ``$CLACKS_STATE_DIR``, else ``/var/lib/clacks`` for root where that folder exists, else
    ``$XDG_STATE_HOME/clacks``, else ``~/.local/state/clacks``.
    """
    if environ.get("CLACKS_STATE_DIR"):
        return Path(environ["CLACKS_STATE_DIR"]).expanduser()
    if (os.geteuid() == 0 if root is None else root) and SYSTEM_STATE.is_dir():
        return SYSTEM_STATE
    base = environ.get("XDG_STATE_HOME")
    # XDG Base Directory: a path that is not absolute must be ignored.
    return (Path(base) if base and os.path.isabs(base) else _home(environ) / ".local" / "state") / "clacks"


def default_file(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file that counts when none is named, or None if there is none.

    ``$CLACKS_SETTINGS`` (which then must exist), ``$XDG_CONFIG_HOME/clacks/settings.toml`` or
    ``~/.config/clacks/settings.toml``, ``/etc/clacks/settings.toml``.
    """
    named = environ.get("CLACKS_SETTINGS")
    if named:
        return Path(named)
    base = environ.get("XDG_CONFIG_HOME")
    own = (
        (Path(base) if base and os.path.isabs(base) else _home(environ) / ".config")
        / "clacks"
        / "settings.toml"
    )
    return next((path for path in (own, SYSTEM_FILE) if path.is_file()), None)


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a Clacks process. ``Settings()`` is what holds when nobody says anything."""

    url: BusURL | None = None
    """The bus that commands and services connect to: ``amqps://user@host/domain``."""

    domain: str = DEFAULT_DOMAIN
    """First part of all addresses; a URL with a path has its own."""

    host: str = "localhost"
    """Address or name that the broker listens on: this machine alone, unless told otherwise; ``0.0.0.0`` or
    ``::`` is every address that it has."""

    port: int = 5672
    """Port of the broker without TLS; 0 takes a free one."""

    tls_port: int = 5671
    """Port of the broker with TLS; 0 takes a free one."""

    state_dir: Path = field(default_factory=lambda: default_state_dir(os.environ))
    """Folder of the service's own files, made with mode 0700 when it is first needed."""

    events: tuple[Path, ...] = ()
    """Folders with schemas of your own event types. In the environment separated by ``:``."""

    rights: Path | None = None
    """The rights file; ``rights.toml`` in the state folder if not said."""

    credentials: Path | None = None
    """The credentials file; ``credentials.toml`` in the state folder if not said."""

    ca_file: Path | None = None
    """Certificates of the authorities that a client trusts. If not said: those of the system, and for
    this machine's own names the authority in the state folder."""

    certificate: Path | None = None
    """Certificate of the broker (PEM, with the chain); the local authority issues one if not said."""

    private_key: Path | None = None
    """Private key of ``certificate`` (PEM)."""

    client_ca_file: Path | None = None
    """Authorities whose client certificates the broker takes for a login (EXTERNAL); none if not said."""

    anonymous: bool = False
    """Whether the broker lets in clients without a login, as user ``anonymous``."""

    audit_log: Path | None = None
    """File that gets the audit log, too: logins, refusals, commands; mode 0600, opened again when it was
    moved away. If not said, the service's own log alone has these lines."""

    node: str = ""
    """Name of this agent; the host name if not said."""

    queue: str = "core"
    """Command queue that this agent serves."""

    workers: int = 8
    """Commands that this agent carries out side by side."""

    plugins: tuple[str, ...] = ()
    """Modules with commands that this agent loads, besides those of installed packages. In the environment
    separated by ``,``."""

    profile: str = ""
    """Broker profile to use, whatever the broker says of itself."""

    trust_users: bool = False
    """Whether an agent believes who calls on a broker that does not check it: its operator says that all
    its users may speak for each other."""

    metrics: str = ""
    """Where a service shows its numbers, ``HOST:PORT`` or ``PORT``; nowhere if not said. Beyond loopback only
    with ``metrics_token``, and over TLS."""

    metrics_token: Path | None = None
    """File whose first line is the token that whoever reads the numbers must show."""

    log_format: str = "text"
    """How a service writes its log: ``text``, or ``json``, one object in each line."""

    limits: Limits = DEFAULT_LIMITS
    """What one peer may ask for: table ``[limits]``."""

    log: LogSettings = field(default_factory=LogSettings)
    """The event log: table ``[log]``."""

    client: ClientSettings = field(default_factory=ClientSettings)
    """What ``clacks client`` does: table ``[client]``."""

    web: WebSettings = field(default_factory=WebSettings)
    """The gateway: table ``[web]``."""

    sources: SourcesSettings = field(default_factory=SourcesSettings)
    """What ``clacks source NAME`` does: tables ``[sources.NAME]``."""

    jobs: Mapping[str, JobSettings] = field(default_factory=dict)
    """Jobs that may be run: tables ``[jobs.NAME]``."""

    @classmethod
    def load(cls, path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings file and the environment.

        Without ``path`` the file of ``default_file`` counts, and it may be missing; a file that is named
        must be there.

        Raises:
            SettingsError: If a file cannot be read, has an unknown key or a value of the wrong kind.
        """
        environ = os.environ if environ is None else environ
        file = Path(path) if path is not None else default_file(environ)
        if file is None:
            return cls.parse("", environ=environ)
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(str(file), getattr(error, "strerror", None) or "not UTF-8 text") from error
        return cls.parse(text, file=str(file), environ=environ)

    @classmethod
    def parse(
        cls, text: str, *, file: str = "settings", environ: Mapping[str, str] | None = None
    ) -> Settings:
        """Read settings from the text of a file and from variables; touches no file.

        Raises:
            SettingsError: As ``load``.
        """
        environ = {} if environ is None else environ
        try:
            body = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(file, str(error)) from error
        base = Path(file).parent
        given: dict[str, Any] = {"state_dir": default_state_dir(environ)}
        for key, value in body.items():
            if key not in _READERS:
                raise SettingsError(file, f"unknown key {key!r}; known: {', '.join(sorted(_READERS))}")
            try:
                given[key] = _READERS[key](value, base)
            except SettingsError as error:
                raise SettingsError(file, f"{key}: {error.reason}") from error
        for key in _READERS:
            variable = f"CLACKS_{key.upper()}"
            if environ.get(variable) and key not in _TABLES:
                try:
                    given[key] = _READERS[key](_from_text(key, environ[variable]), Path.cwd())
                except SettingsError as error:
                    raise SettingsError(variable, error.reason) from error
        if isinstance(url := given.get("url"), str):
            # Read last: its default domain is another setting.
            given["url"] = BusURL.parse(url, default_domain=given.get("domain", DEFAULT_DOMAIN))
        return cls(**given)

    def changed(self, **changes: Any) -> Settings:
        """Return settings with these values instead; None leaves a setting as it is."""
        return replace(self, **{key: value for key, value in changes.items() if value is not None})

    @property
    def rights_file(self) -> Path:
        """The file with users' roles."""
        return self.rights or self.state_dir / "rights.toml"

    @property
    def credentials_file(self) -> Path:
        """The file with users' keys."""
        return self.credentials or self.state_dir / "credentials.toml"


def _wrong(expected: str, value: Any) -> SettingsError:
    return SettingsError("", f"{expected} expected, not {value!r}")


def _text(value: Any, base: Path) -> str:
    if not isinstance(value, str):
        raise _wrong("a text", value)
    return value


def _domain(value: Any, base: Path) -> str:
    return BusURL.parse(f"amqp://localhost/{_text(value, base)}").domain


def _url(value: Any, base: Path) -> str:
    if not isinstance(value, str):
        raise SettingsError("", "a URL expected")  # not the value: there may be a password in it
    BusURL.parse(value)
    return value


def _number(low: int, high: int) -> Callable[[Any, Path], int]:
    def read(value: Any, base: Path) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _wrong(f"a number from {low} to {high}", value)
        return value

    return read


def _flag(value: Any, base: Path) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _path(value: Any, base: Path) -> Path:
    """Read a path; relative ones start at the folder of the settings file."""
    return base / Path(_text(value, base)).expanduser()


def _paths(value: Any, base: Path) -> tuple[Path, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise _wrong("a list of folders", value)
    return tuple(_path(item, base) for item in value)


def _names(value: Any, base: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise _wrong("a list of names", value)
    return tuple(value)


def _log_format(value: Any, base: Path) -> str:
    if value not in ("text", "json"):
        raise _wrong('"text" or "json"', value)
    return str(value)


def _limits(value: Any, base: Path) -> Limits:
    if not isinstance(value, dict):
        raise _wrong("a table", value)
    known = {limit.name: type(getattr(DEFAULT_LIMITS, limit.name)) for limit in fields(Limits)}
    for key, number in value.items():
        if key not in known:
            raise SettingsError("", f"unknown limit {key!r}; known: {', '.join(sorted(known))}")
        if (
            isinstance(number, bool)
            or not isinstance(number, int if known[key] is int else int | float)
            or number <= 0
        ):
            raise SettingsError("", f"{key}: a positive number expected, not {number!r}")
    return replace(DEFAULT_LIMITS, **value)


_READERS: dict[str, Callable[[Any, Path], Any]] = {
    "url": _url,
    "domain": _domain,
    "host": _text,
    "port": _number(0, 65535),
    "tls_port": _number(0, 65535),
    "state_dir": _path,
    "events": _paths,
    "rights": _path,
    "credentials": _path,
    "ca_file": _path,
    "certificate": _path,
    "private_key": _path,
    "client_ca_file": _path,
    "audit_log": _path,
    "anonymous": _flag,
    "node": _text,
    "queue": _text,
    "workers": _number(1, 1024),
    "plugins": _names,
    "profile": _text,
    "trust_users": _flag,
    "metrics": _text,
    "metrics_token": _path,
    "log_format": _log_format,
    "limits": _limits,
    "client": lambda value, base: read_table(ClientSettings, value, base),
    "log": lambda value, base: read_table(LogSettings, value, base),
    "web": lambda value, base: read_table(WebSettings, value, base),
    "sources": lambda value, base: read_table(SourcesSettings, value, base),
    "jobs": read_jobs,
}

_TABLES = frozenset({"limits", "log", "client", "web", "sources", "jobs"})  # they have no variable


def _from_text(key: str, text: str) -> Any:
    """Return the value that a TOML file would have for what the environment says."""
    if key in ("port", "tls_port", "workers"):
        return int(text) if text.isascii() and text.isdigit() else text
    if key in ("anonymous", "trust_users"):
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(
            text.lower(), text
        )
    if key == "events":
        return [item for item in text.split(os.pathsep) if item]
    if key == "plugins":
        return [item.strip() for item in text.split(",") if item.strip()]
    return text
