"""A line in the log for each message, ``<`` in and ``>`` out, for whoever looks for a fault.

Whether anybody reads these lines is asked once for each link, when it is attached. If nobody does, the link
works as if this file were not there: a message costs nothing more. So who wants the lines starts the broker
with them (``clacks --debug``). Bodies are not shown: events and the arguments of commands may be private.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol, cast

from clacks.amqp.links import Incoming, Sender
from clacks.amqp.messages import open_envelope
from clacks.common.errors import ProtocolError

__all__ = ["Target", "told_sender", "told_target"]

_log = logging.getLogger(__name__)

_SHOWN: Final = 200  # characters of what a peer wrote


class Target(Protocol):
    """What is behind a link that a peer sends on."""

    def take(self, raw: bytes, incoming: Incoming | None) -> None:
        """Take one message; raises Refused."""


def told_target(target: Target, user: str, address: str | None) -> Target:
    """Return the target, or one that writes a line for each message first, if somebody reads them."""
    return _Target(target, user, address) if _log.isEnabledFor(logging.DEBUG) else target


def told_sender(sender: Sender, user: str, address: str) -> Sender:
    """Return the sender, or one that writes a line for each message, if somebody reads them."""
    if not _log.isEnabledFor(logging.DEBUG):
        return sender
    # It has what topics and queues use of a sender; the engine keeps the real one.
    return cast(Sender, _Sender(sender, user, address))


class _Target:
    """Tells what comes."""

    __slots__ = ("_address", "_target", "_user")

    def __init__(self, target: Target, user: str, address: str | None) -> None:
        self._target = target
        self._user = user
        self._address = address

    def take(self, raw: bytes, incoming: Incoming | None) -> None:
        _tell("<", self._user, self._address, raw)
        self._target.take(raw, incoming)


class _Sender:
    """Tells what goes."""

    __slots__ = ("_address", "_sender", "_user")

    def __init__(self, sender: Sender, user: str, address: str) -> None:
        self._sender = sender
        self._user = user
        self._address = address

    @property
    def alive(self) -> bool:
        return self._sender.alive

    @property
    def credit(self) -> int:
        return self._sender.credit

    @property
    def draining(self) -> bool:
        return self._sender.draining

    @property
    def in_doubt(self) -> list[object]:
        return self._sender.in_doubt

    def drained(self) -> None:
        self._sender.drained()

    def send(self, body: bytes) -> None:
        _tell(">", self._user, self._address, body)
        self._sender.send(body)

    def send_unsettled(self, body: bytes, context: object) -> None:
        _tell(">", self._user, self._address, body)
        self._sender.send_unsettled(body, context)


def _tell(sign: str, user: str, address: str | None, raw: bytes) -> None:
    subject = to = None
    try:
        envelope = open_envelope(raw)
        subject, to = envelope.subject, envelope.to
    except ProtocolError:
        pass  # what becomes of it is told elsewhere
    where = address if address is not None else to or ""
    if where.startswith("$reply."):  # whoever knows the rest could send answers of his own
        where = "$reply."
    _log.debug(
        "%s message user=%s address=%s subject=%s bytes=%d",
        sign,
        user,
        ascii(where[:_SHOWN]),
        ascii((subject or "")[:_SHOWN]),
        len(raw),
    )
