"""Which requests are not even looked at: wrong host, foreign origin, paths that climb.

A page of somewhere else can make a browser send requests to this machine. Its ``Host`` is then a name that
was made to point here (DNS rebinding), or its ``Origin`` is that page's. Both are checked for every request,
also where nobody needs to log in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from clacks.common.address import is_loopback

__all__ = ["Guard", "host_of"]

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII)
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_CLIMBS: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|//|[\\\x00-\x1f\x7f]")


def host_of(header: str) -> str | None:
    """Return name or address of a ``Host`` header, lower case, without port and brackets; None: no host."""
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    return found[1].strip("[]").rstrip(".").lower()


@dataclass(frozen=True, slots=True)
class Guard:
    """What a gateway takes for its own.

    Attributes:
        hosts: Names under which it is reached, beside loopback ones and IP addresses; ``*`` takes all.
        origins: Origins of pages that may use it beside its own, such as ``https://example.org``; ``*``: all.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, hosts: Iterable[str], origins: Iterable[str]) -> Guard:
        """Make one of settings; case and a slash at the end of an origin do not count."""
        return cls(
            frozenset(host.strip("[]").rstrip(".").lower() for host in hosts),
            frozenset(origin.rstrip("/").lower() for origin in origins),
        )

    def refusal(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        words: frozenset[str] = frozenset(),
        upgrade: bool = False,
        unix: bool = False,
    ) -> tuple[int, str] | None:
        """Return status and reason why a request is refused, or None.

        Args:
            words: Origins that are words of programs, such as ``sysadm-client``.
            upgrade: Whether it asks for WebSocket: browsers send an Origin then, and ask nobody else.
            unix: Whether it came over a socket in the file system, where no page can connect.
        """
        if _CLIMBS.search(path) or not path.startswith("/"):
            return 400, "the path is refused"
        if unix:
            return None
        host = host_of(headers.get("host", ""))
        if host is None:
            return 400, "the Host header is missing or cannot be read"
        if not self.knows(host):
            return (
                421,
                f"this gateway is not known as {host}; the setting hosts of [web] says how it is called",
            )
        origin = headers.get("origin")
        if origin is not None and origin not in words and not self.own(origin, headers.get("host", "")):
            if upgrade or method not in _SAFE_METHODS:
                return 403, "this origin may not use the gateway; the setting origins of [web] names who may"
        elif (
            origin is None
            and method not in _SAFE_METHODS
            and headers.get("sec-fetch-site", "none")
            not in (
                "same-origin",
                "none",
            )
        ):
            return 403, "a page of another site may not use the gateway"
        return None

    def knows(self, host: str) -> bool:
        """Tell whether this is a name of ours. Addresses are: rebinding needs a name."""
        if "*" in self.hosts or host in self.hosts or is_loopback(host):
            return True
        return re.fullmatch(r"[0-9.]+", host) is not None or ":" in host

    def own(self, origin: str, host: str) -> bool:
        """Tell whether a page of this origin may use us: ours, or one of the settings."""
        if "*" in self.origins or origin.rstrip("/").lower() in self.origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
