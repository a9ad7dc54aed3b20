"""Addresses: where the bus is (URLs) and where things are on it (topics and queues).

The wire gives every event type a topic and every command queue and client a queue below one domain::

    {domain}.event.{Type}               topic; {domain}.event means all types
    {domain}.command.{queue}            queue, shared by the agents that serve it
    {domain}.command.{queue}.{node}     queue of one agent
    {domain}.client.{id}                queue of one client
    reply.{user}.{uuid}                 answers, where the broker makes no dynamic nodes
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from clacks.common.errors import SettingsError

__all__ = [
    "DEFAULT_DOMAIN",
    "BusURL",
    "client_address",
    "command_address",
    "event_address",
    "event_kind",
    "is_event_address",
    "is_loopback",
    "reply_address",
    "topic_matches",
]

DEFAULT_DOMAIN = "org.clacks"
"""The domain of a bus whose URL does not name one."""

_PORTS = {"amqp": 5672, "amqps": 5671}  # AMQP 1.0 part 2.1 and part 5.2.1, as registered with IANA
_DOMAIN = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", re.ASCII)
_UNSAFE_LEVEL = re.compile(r"[\s*#\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BusURL:
    """Where a bus is and who logs in: ``amqp[s]://user:password@host[:port]/domain``.

    Neither ``repr`` nor ``str`` nor an error shows the password.

    Example:
        >>> url = BusURL.parse("amqps://admin:secret@localhost/org.example")
        >>> url.host, url.port, url.domain, url.tls
        ('localhost', 5671, 'org.example', True)
        >>> str(url)
        'amqps://admin@localhost/org.example'
    """

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    domain: str = DEFAULT_DOMAIN

    @classmethod
    def parse(cls, text: str, *, default_domain: str = DEFAULT_DOMAIN) -> BusURL:
        """Read a URL; user, password and domain may be left out.

        User and password are percent-decoded: a ``/`` in a password is written ``%2F``.

        Raises:
            SettingsError: If it is no such URL. The message never holds the text itself, because the
                text may hold a password.
        """
        try:
            parts = urlsplit(text.strip())
            port = parts.port
            host = parts.hostname
        except ValueError as error:
            # urlsplit quotes what it could not read, and that may be a piece of a password.
            raise _refused(
                "the host or the port cannot be read; write '/', '@', ':' in a password as %2F, %40, %3A"
            ) from error
        scheme = parts.scheme.lower()
        if scheme not in _PORTS or not text.strip()[len(scheme) :].startswith("://"):
            raise _refused("a bus URL starts with amqp:// or amqps://")
        if not host:
            raise _refused("the host is missing")
        if not (_HOST.fullmatch(host) or _is_address(host)):
            raise _refused("the host cannot be read; write '/', '@', ':' in a password as %2F, %40, %3A")
        if parts.query or parts.fragment:
            raise _refused("nothing may follow the domain; write '?' and '#' in a password as %3F and %23")
        domain = unquote(parts.path.strip("/")) or default_domain
        if not _DOMAIN.fullmatch(domain):
            raise _refused(
                "the path must be a domain such as org.clacks: letters, digits, '_', '-', levels by '.'"
            )
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password is not None else None
        if user is None and password is not None:
            raise _refused("a password stands without a user")
        return cls(scheme, host, _PORTS[scheme] if port is None else port, user, password, domain)

    @property
    def tls(self) -> bool:
        """Tell whether the connection is encrypted from its first byte."""
        return self.scheme == "amqps"

    @property
    def loopback(self) -> bool:
        """Tell whether the host is this machine by its name or address, without asking a name server."""
        return is_loopback(self.host)

    @property
    def safe(self) -> str:
        """Return the URL without its password, for logs and people."""
        user = f"{quote(self.user, safe='')}@" if self.user is not None else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{user}{host}{port}/{self.domain}"

    def __str__(self) -> str:
        return self.safe


def _refused(reason: str) -> SettingsError:
    return SettingsError("bus URL", reason)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is ``localhost`` or a loopback address; other names are not looked up."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _level(text: str, what: str) -> str:
    if not text or _UNSAFE_LEVEL.search(text):
        raise ValueError(f"{what} cannot be part of an address: {text!r}")
    return text


def event_address(domain: str, kind: str | None = None) -> str:
    """Return the topic of one event type, or the topic that means all of them.

    Raises:
        ValueError: If ``kind`` is empty or holds a wildcard or white space.
    """
    return f"{domain}.event" if kind is None else f"{domain}.event.{_level(kind, 'the event type')}"


def command_address(domain: str, queue: str = "core", node: str | None = None) -> str:
    """Return the queue that agents share, or with ``node`` the queue of that one agent.

    Raises:
        ValueError: If a name is empty or holds a wildcard or white space.
    """
    shared = f"{domain}.command.{_level(queue, 'the queue')}"
    return shared if node is None else f"{shared}.{_level(node, 'the node')}"


def client_address(domain: str, id: str) -> str:  # noqa: A002 - the word of the wire
    """Return the queue of one client.

    Raises:
        ValueError: If ``id`` is empty or holds a wildcard or white space.
    """
    return f"{domain}.client.{_level(id, 'the client id')}"


def reply_address(user: str, unique: str) -> str:
    """Return an address for answers on a broker that makes no dynamic nodes.

    A broker may give each login the right to read below ``reply.{user}.``. So dots and wildcards of a
    user name are escaped: the user ``jane`` must not own the answers of ``jane.doe``.
    """
    name = quote(user, safe="").replace(".", "%2E").replace("~", "%7E")
    return f"reply.{_level(name, 'the user')}.{_level(unique, 'the reply id')}"


def is_event_address(address: str, domain: str) -> bool:
    """Tell whether ``address`` is the topic of an event type, or of all of them."""
    everything = f"{domain}.event"
    return address == everything or (
        address.startswith(everything + ".") and len(address) > len(everything) + 1
    )


def event_kind(address: str, domain: str) -> str | None:
    """Return the event type of a topic; None for the topics that mean all types.

    ``{domain}.event``, ``{domain}.event.#`` and ``{domain}.event.*`` mean all. An address that is no
    event address also gives None: ask ``is_event_address`` first where that can happen.
    """
    prefix = f"{domain}.event."
    if not address.startswith(prefix):
        return None
    kind = address[len(prefix) :]
    return None if kind in ("", "#", "*") else kind


def topic_matches(pattern: str, topic: str) -> bool:
    """Tell whether a topic pattern covers a topic.

    Levels are separated by ``.``; ``*`` stands for one level, ``#`` for any number of levels, none
    included. The cost is at most the product of the numbers of levels, whatever the pattern.
    """
    wanted, given = pattern.split("."), topic.split(".")
    at = level = 0
    # Where to go on when a try fails: the last "#" and the first level that it does not yet cover.
    # Only the last one matters: an earlier "#" could only cover what this one covers as well.
    retry_at, retry_level = -1, 0
    while level < len(given):
        if at < len(wanted) and wanted[at] == "#":
            retry_at, retry_level = at, level
            at += 1
        elif at < len(wanted) and wanted[at] in ("*", given[level]):
            at += 1
            level += 1
        elif retry_at >= 0:
            retry_level += 1
            at, level = retry_at + 1, retry_level
        else:
            return False
    return all(rest == "#" for rest in wanted[at:])
