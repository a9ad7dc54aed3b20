"""What an address means to the broker, and who may use it: decisions only, no state.

| address | node | send | receive |
|---|---|---|---|
| ``{domain}.event.{Type}`` | topic, checked | right to publish the type | right to read the type |
| ``{domain}.event`` | all of these | as above, by message | types that the login may read |
| ``{domain}.command.{queue}[.{node}]`` | queue | every login | right to ``create`` the address |
| ``{domain}.client.{id}`` | queue | right to ``create`` it | right to ``announce`` the id, or ``create`` |
| ``reply.{user}.{unique}`` | topic | once it exists, every login | that user, or ``create`` |
| another name below ``{domain}`` | none | | |
| any other name | topic or queue | once it exists, every login; ``create`` makes it | the same |
| any other pattern | topics | | ``create`` for the pattern, and for each topic |
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from clacks.broker.refusal import INVALID_FIELD, NOT_FOUND, UNAUTHORIZED, Refused
from clacks.common.address import event_kind, is_event_address, reply_address
from clacks.common.rights import Rights

__all__ = ["Name", "Place", "classify", "may_receive", "may_send", "queue_receive_right"]

_LONGEST: Final = 1024
"""Characters of an address; ours are below 100. Beyond it ``amqp:invalid-field``."""

_DEEPEST: Final = 32
"""Levels of an address: matching patterns costs their product."""


class Place(enum.Enum):
    """Which part of the address space a name belongs to."""

    EVENT = "event"
    COMMAND = "command"
    CLIENT = "client"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Name:
    """An address, understood.

    ``kind`` is the event type (None: all) or the client id; ``pattern`` tells whether it has wildcards.
    """

    address: str
    place: Place
    kind: str | None = None
    pattern: bool = False

    @property
    def queue(self) -> bool:
        """Whether the place makes it a queue, whatever the peer asks for."""
        return self.place in (Place.COMMAND, Place.CLIENT)


def classify(address: str, domain: str) -> Name:
    """Say what an address means.

    Raises:
        Refused: If it is no address, or one below the domain that means nothing.
    """
    if not address or len(address) > _LONGEST or not address.isprintable():
        raise Refused(INVALID_FIELD, f"an address has 1 to {_LONGEST} printable characters")
    levels = address.split(".")
    if len(levels) > _DEEPEST:
        raise Refused(INVALID_FIELD, f"an address has at most {_DEEPEST} levels")
    pattern = "*" in levels or "#" in levels
    if is_event_address(address, domain):
        kind = event_kind(address, domain)
        if kind is None:
            return Name(f"{domain}.event.#", Place.EVENT, None, True)
        return Name(address, Place.EVENT, None if pattern else kind, pattern)
    for place in (Place.COMMAND, Place.CLIENT):
        prefix = f"{domain}.{place.value}."
        if address.startswith(prefix) and len(address) > len(prefix):
            if pattern:
                raise Refused(INVALID_FIELD, f"{address}: a queue has no wildcards")
            return Name(address, place, address[len(prefix) :])
    if address == domain or address.startswith(domain + "."):
        raise Refused(
            NOT_FOUND,
            f"{address}: below {domain} there are event, command.QUEUE and client.ID",
            "no such address",
        )
    return Name(address, Place.OTHER, None, pattern)


def _unauthorized(user: str, what: str) -> Refused:
    return Refused(UNAUTHORIZED, f"{user} may not {what}", "no right")


def may_send(name: Name, user: str, rights: Rights, *, exists: bool) -> None:
    """Check that ``user`` may send there.

    Raises:
        Refused: If not, or if it is a pattern.
    """
    if name.place is Place.EVENT:
        if name.kind is not None and not rights.may_publish(user, name.kind):
            raise _unauthorized(user, f"publish events of type {name.kind}")
        if name.kind is None and not name.address.endswith(".event.#"):
            raise Refused(INVALID_FIELD, f"{name.address}: nothing can be sent to a pattern")
    elif name.pattern:
        raise Refused(INVALID_FIELD, f"{name.address}: nothing can be sent to a pattern")
    elif name.place is Place.CLIENT:
        if not rights.may_create(user, name.address):
            raise _unauthorized(user, f"send to {name.address}")
    elif name.place is Place.OTHER and not exists and not rights.may_create(user, name.address):
        raise _unauthorized(user, f"make the address {name.address}")


def may_receive(name: Name, user: str, rights: Rights, kinds: frozenset[str], *, exists: bool) -> None:
    """Check that ``user`` may read there; ``kinds`` are the event types that it may read.

    Raises:
        Refused: If not.
    """
    if name.place is Place.EVENT:
        if name.kind is None:
            if not kinds:
                raise _unauthorized(user, "read events of any type")
        elif not rights.may_read(user, name.kind):
            raise _unauthorized(user, f"read events of type {name.kind}")
    elif name.queue:
        queue_receive_right(name, user, rights)
    elif not (
        name.address.startswith(reply_address(user, "_")[:-1])
        or rights.may_create(user, name.address)
        or (exists and not name.pattern and not name.address.startswith("reply."))
    ):
        raise _unauthorized(user, f"read from {name.address}")


def queue_receive_right(name: Name, user: str, rights: Rights) -> None:
    """Check that ``user`` may take messages from a command or client queue.

    Raises:
        Refused: If not.
    """
    own = name.place is Place.CLIENT and name.kind is not None and rights.may_announce(user, name.kind)
    if not own and not rights.may_create(user, name.address):
        raise _unauthorized(user, f"take messages from {name.address}")
