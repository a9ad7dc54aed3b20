"""What happens on the client's end of an AMQP connection, as `BusConnection.events` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from clacks.amqp.links import Incoming, Outcome, Receiver, Sender
from clacks.amqp.profiles import Peer, Profile
from clacks.amqp.termini import Filter

__all__ = [
    "Closed",
    "ConnectionEvent",
    "Credited",
    "LinkClosed",
    "LinkOpened",
    "MessageReceived",
    "Opened",
    "Settled",
]


@dataclass(frozen=True, slots=True)
class Opened:
    """The broker opened the connection and said who it is; ``profile`` was chosen from that."""

    peer: Peer
    profile: Profile


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """The broker agreed to a link.

    Attributes:
        link: The link.
        owner: What was given when it was opened.
        address: The broker's address of the node; for a dynamic node this is where one learns it.
        applied: The filters that the broker repeats. Whether that can be believed says the profile.
    """

    link: Sender | Receiver
    owner: Any
    address: str
    applied: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """A link is gone: refused (never `LinkOpened`) or taken away.

    Attributes:
        link: The link; it is not to be used any more.
        owner: What was given when it was opened.
        refused: Whether the broker never agreed to it.
        condition: AMQP error condition, empty if the broker named none.
        description: The broker's own words.
        in_doubt: Contexts of messages sent on it without an outcome.
        with_connection: Whether the whole connection went.
    """

    link: Sender | Receiver
    owner: Any
    refused: bool
    condition: str = ""
    description: str = ""
    in_doubt: tuple[object, ...] = ()
    with_connection: bool = False


@dataclass(frozen=True, slots=True)
class Credited:
    """The broker changed the credit of a sender."""

    link: Sender
    owner: Any


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message came; ``incoming`` is None if it needs no outcome."""

    link: Receiver
    owner: Any
    body: bytes
    incoming: Incoming | None


@dataclass(frozen=True, slots=True)
class Settled:
    """The broker said what became of a message that was sent unsettled with ``context``."""

    link: Sender
    owner: Any
    context: object
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; `LinkClosed` of all its links came before.

    ``condition`` is empty if it ended as we asked. ``opened`` tells whether it ever was open.
    """

    condition: str
    description: str
    opened: bool


ConnectionEvent: TypeAlias = Opened | LinkOpened | LinkClosed | Credited | MessageReceived | Settled | Closed
