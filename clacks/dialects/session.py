"""What joins a dialect to the gateway: the session, what it knows at its begin, and the row of the table.

The gateway has a table from paths of listeners to `Dialect` rows; nothing is looked up by a name that came
from outside except in this table::

    DIALECTS = {"/eventhub": EVENTHUB, "/websocket": TRUENAS, "/api/current": TRUENAS_RPC, "/sysadm": SYSADM}

A dialect with a listener of its own is the same row under ``/`` there. Server-sent events are a session too:
the text of each `Send`, and each encoded event, is written to the response as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import NOBODY, Access
from clacks.dialects.actions import Credentials, Effect, Outcome

__all__ = ["Dialect", "Hello", "Knowledge", "Refusal", "Session"]


@dataclass(frozen=True, slots=True)
class Hello:
    """What is known of a connection when it begins.

    Attributes:
        path: Path of the request, percent-decoded; ``/`` on a listener of its own.
        base: The row of the table that was found, where it stands for all paths below it, such as
            ``/eventhub/``; else ``/``.
        query: Query parameters; names in lower case, the last of a name counts.
        headers: Request headers; names in lower case. ``authorization`` and ``cookie`` are there too.
        address: IP address of the peer, or ``unix``.
        secure: Whether credentials may be sent in the clear: TLS, loopback, or a socket in the file system.
        tls: Whether it is TLS.
        binding: Data of the channel binding ``tls-server-end-point`` (RFC 5929), empty without TLS.
        access: The login that the connection has already (token, basic login, peer credentials,
            ``--no-auth``), or that of nobody.
    """

    path: str
    base: str = "/"
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    address: str = ""
    secure: bool = True
    tls: bool = False
    binding: bytes = field(default=b"", repr=False)
    access: Access = field(default_factory=lambda: Access(NOBODY, Rights))


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What all sessions of a gateway share; made once.

    Attributes:
        registry: The event types.
        hostname: The name by which this gateway calls itself.
        recording: Tells whether there is an event log now.
        keys: Whether there is a key/value store.
        now: Milliseconds since 1970.
        options: Settings of the dialect, by their names in the settings file.
    """

    registry: SchemaRegistry
    hostname: str
    now: Callable[[], int]
    recording: Callable[[], bool] = lambda: False
    keys: bool = True
    options: Mapping[str, object] = field(default_factory=dict)


class Session(Protocol):
    """One connection that speaks a dialect; see `clacks.dialects.actions` for the rules."""

    def opened(self) -> Iterable[Effect]:
        """Begin: what is sent before anything is heard."""

    def receive(self, message: str | bytes) -> Iterable[Effect]:
        """Take one message: text, or bytes of a binary frame."""

    def answer(self, token: Hashable, outcome: Outcome) -> Iterable[Effect]:
        """Take what became of the effect with this token."""

    def expired(self) -> Iterable[Effect]:
        """Take note that the login is over; its subscriptions are gone."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of a session."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Dialect:
    """A row of the table.

    Attributes:
        name: For settings, logs and metrics.
        begin: Makes the session of a connection.
        credentials: What the handshake itself shows (header, query), to be checked before `begin`; None if
            the dialect logs in later, by messages. What it shows and is wrong is answered with 401.
        required: Whether a handshake without valid credentials is answered with 401.
        message_size: Bytes of one message; above it the connection is closed with 1009.
        origins: Words that stand for an Origin of programs, not pages, such as ``sysadm-client``.
        ping: Seconds between WebSocket pings, or 0.
        stream: Makes the session of a stream of server-sent events on the same path, or None.
    """

    name: str
    begin: Callable[[Hello, Knowledge], Session]
    credentials: Callable[[Hello], Credentials | None] | None = None
    required: bool = False
    message_size: int = 65536
    origins: frozenset[str] = frozenset()
    ping: float = 30.0
    stream: Callable[[Hello, Knowledge], Session | Refusal] | None = None
