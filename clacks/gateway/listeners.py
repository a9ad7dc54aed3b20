"""What ``--listen KIND=HOST:PORT`` says, as values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clacks.common.errors import SettingsError

__all__ = ["DEFAULT_LISTENER", "WEB_KINDS", "Listen", "parse_listen", "split_listeners"]

WEB_KINDS: Final = ("http", "https", "eventhub", "truenas", "sysadm", "sysadm-bridge")
_BROKER_KINDS: Final = ("amqp", "amqps")
_PORTS: Final = {
    "http": 8080,
    "https": 8443,
    "eventhub": 8090,
    "truenas": 6000,
    "sysadm": 12150,
    "sysadm-bridge": 12149,
}
_PLACE: Final = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]/]*):)?(?P<port>[0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listen:
    """One listener that somebody wants.

    Attributes:
        kind: ``http``, ``https`` (the same with TLS), a dialect, ``amqp`` or ``amqps``.
        host, port: Where; or
        path: a socket in the file system.
    """

    kind: str
    host: str = "localhost"
    port: int = 0
    path: Path | None = None

    @property
    def tls(self) -> bool:
        """Whether this kind always speaks TLS."""
        return self.kind in ("https", "sysadm", "sysadm-bridge", "amqps")


DEFAULT_LISTENER: Final = Listen("http", "127.0.0.1", 8080)


def parse_listen(text: str) -> Listen:
    """Read ``KIND=HOST:PORT``, ``KIND=PORT``, ``KIND=HOST`` (its usual port) or ``KIND=unix:PATH``.

    >>> parse_listen("eventhub=127.0.0.1:8081")
    Listen(kind='eventhub', host='127.0.0.1', port=8081, path=None)

    Raises:
        SettingsError: If it says something else.
    """
    kind, equals, place = text.partition("=")
    known = (*WEB_KINDS, *_BROKER_KINDS)
    if not equals or kind not in known:
        raise SettingsError("--listen", f"KIND=HOST:PORT, KIND one of {', '.join(known)}; not {text!r}")
    if place.startswith("unix:"):
        if kind not in ("http", "truenas", "eventhub") or not place[5:]:
            raise SettingsError(
                "--listen", f"a socket in the file system is for http, eventhub, truenas: {text!r}"
            )
        return Listen(kind, "", 0, Path(place[5:]).expanduser())
    found = _PLACE.fullmatch(place)
    if found is None:
        host = place.strip("[]")
        usual = _PORTS.get(kind, {"amqp": 5672, "amqps": 5671}.get(kind, 0))
        if not host or "/" in host or (":" in host and not place.startswith("[")):
            raise SettingsError("--listen", f"a host and a port expected, not {place!r}")
        return Listen(kind, host, usual)
    port = int(found["port"])
    if port > 65535:
        raise SettingsError("--listen", f"a port is at most 65535, not {port}")
    return Listen(kind, (found["host"] or "localhost").strip("[]"), port)


def split_listeners(texts: Iterable[str]) -> tuple[list[Listen], list[Listen]]:
    """Return the listeners of the web side and those of the broker.

    Raises:
        SettingsError: As `parse_listen`.
    """
    found = [parse_listen(text) for text in texts]
    web = [one for one in found if one.kind in WEB_KINDS]
    return web, [one for one in found if one.kind in _BROKER_KINDS]
