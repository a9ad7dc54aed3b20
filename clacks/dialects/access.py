"""Who somebody is, and what that allows: asked for every effect of a session and every event delivered.

`Identity` is a value that a login yields: a user of the rights file, and perhaps the narrower limits of a
token. `Access` answers questions with the rights that hold now. Both must allow something: a token never
gives more than its user has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from clacks.common.rights import Rights
from clacks.dialects.delivered import EVENTS_TOPIC, TOPIC_MESSAGE, Delivered
from clacks.dialects.topics import covers, matches

__all__ = [
    "GUEST",
    "METRICS",
    "NOBODY",
    "READ_KEYS",
    "SCHEMAS",
    "WRITE_KEYS",
    "XQUERY",
    "Access",
    "Identity",
    "RateLimit",
]

GUEST: Final = "clacks:guest"
"""The user without a name; the colon keeps anybody from having it. Its role is ``guest``."""

# What the gateway offers beside events and commands has names like commands: right ``commands``.
XQUERY: Final = "web.xquery"
"""Subscribe with a query of one's own; over HTTP and on the live page too."""
METRICS: Final = "web.metrics"
"""Read ``/metrics``."""
SCHEMAS: Final = "web.schemas"
"""Read ``/schemas`` and what is made of them."""
READ_KEYS: Final = "web.readKeys"
"""Read the key/value store."""
WRITE_KEYS: Final = "web.writeKeys"
"""Write to the key/value store."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``most`` messages in ``interval`` seconds to what the filter ``topic`` covers, all together."""

    topic: str
    interval: float
    most: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is.

    Attributes:
        user: Name in the rights file; `GUEST` for those without a login.
        origin: What receivers of topic messages are told (``sub`` of the token), or None.
        read, write: Topic filters of a token; None: the token, or login, does not limit topics.
        limits: Rate limits of the token.
        expires: Seconds since 1970 at which the login ends, or None.
        method: How it was proved: ``token``, ``password``, ``api key``, ``scram``, ``socket``, ``none``.
    """

    user: str
    origin: str | None = None
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None
    limits: tuple[RateLimit, ...] = ()
    expires: float | None = None
    method: str = "none"


NOBODY: Final = Identity("")
"""Who has not logged in: no user has an empty name, so it has no rights."""


class Access:
    """What an identity may do, by the rights that hold at the moment of the question.

    >>> from clacks.common.rights import parse_rights
    >>> rights = parse_rights('[users.ann]\\nroles = ["reader"]')
    >>> access = Access(Identity("ann", read=("home/#",)), lambda: rights)
    >>> access.may_read_topic("home/+"), access.may_read_topic("#"), access.may_publish("PhoneStatus")
    (True, False, False)
    """

    __slots__ = ("_rights", "identity")

    def __init__(self, identity: Identity, rights: Callable[[], Rights]) -> None:
        self.identity = identity
        self._rights = rights

    @property
    def user(self) -> str:
        """The name in the rights file; empty if nobody logged in."""
        return self.identity.user

    def may_read(self, kind: str) -> bool:
        """Tell whether events of this type may be seen at all."""
        return self._rights().may_read(self.identity.user, kind)

    def may_publish(self, kind: str) -> bool:
        """Tell whether events of this type may be sent."""
        return self._rights().may_publish(self.identity.user, kind)

    def may_call(self, method: str) -> bool:
        """Tell whether this command may be called; also for the names of this module (`XQUERY` ...)."""
        return self._rights().may_call(self.identity.user, method)

    def may_announce(self, id: str) -> bool:  # noqa: A002 - the word of the wire
        """Tell whether events in which the node or client with this id speaks of itself may be sent."""
        return self._rights().may_announce(self.identity.user, id)

    @property
    def may_query(self) -> bool:
        """Whether queries of one's own may be subscribed to."""
        return self.may_call(XQUERY)

    def may_read_topic(self, topic: str) -> bool:
        """Tell whether the messages of a topic, or of all topics of a pattern, may be read."""
        return _kind_allowed(topic, self.may_read) and _filtered(self.identity.read, topic)

    def may_write_topic(self, topic: str) -> bool:
        """Tell whether messages may be published to a topic."""
        return _kind_allowed(topic, self.may_publish) and _filtered(self.identity.write, topic)

    def may_read_key(self, key: str) -> bool:
        """Tell whether a key may be read."""
        filters = self.identity.read
        return self.may_call(READ_KEYS) and (filters is None or any(matches(one, key) for one in filters))

    def may_write_key(self, key: str) -> bool:
        """Tell whether a key may be written or removed."""
        filters = self.identity.write
        return self.may_call(WRITE_KEYS) and (filters is None or any(matches(one, key) for one in filters))

    def may_see(self, delivered: Delivered) -> bool:
        """Tell whether one event may be delivered: the type by the user's rights, the topic by the token."""
        if not self.may_read(delivered.kind):
            return False
        filters = self.identity.read
        return filters is None or any(matches(one, delivered.topic) for one in filters)


def _kind_allowed(topic: str, may: Callable[[str], bool]) -> bool:
    """Ask for the type behind a topic; of ``events/#`` each event is asked for when it comes."""
    if not topic.startswith(EVENTS_TOPIC):
        return may(TOPIC_MESSAGE)
    kind = topic[len(EVENTS_TOPIC) :]
    return "+" in kind or "#" in kind or may(kind)


def _filtered(filters: tuple[str, ...] | None, topic: str) -> bool:
    return filters is None or any(covers(one, topic) for one in filters)
