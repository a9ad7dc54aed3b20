"""The bridge: peers that cannot reach each other meet here, learn who is there, and send frames on.

A peer logs in, is asked what it is (``rpc/identify``), and from then on a client hears of the servers and a
server of the clients: the whole list at each change, without subscribing. A frame ``PEER LF BODY`` goes on to
that peer as ``SENDER LF BODY``. Both ends must be logged in here, and of different kinds: the bridge joins
clients to servers, nobody to his like.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from clacks.dialects.actions import Effect, EventDraft, Join, Leave, Member, Members, Outcome, Send, Tell
from clacks.dialects.session import Dialect, Hello, Knowledge
from clacks.dialects.sysadm.envelope import NOT_FOUND, UNAUTHORIZED, BadRequest, error, event, read
from clacks.dialects.sysadm.session import SYSADM, SysAdmSession

__all__ = ["SYSADM_BRIDGE", "BridgeSession"]

ROOM: Final = "sysadm-bridge"
IDENTIFY_ID: Final = "sysadm_bridge_request_ident"
"""The id of our own question; clients answer the one with this id."""
_MEMBERS: Final = "bridge members"
_PEER_LENGTH: Final = 80
"""Characters of the first line of a frame that is to go on."""


def _random() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def _news(members: tuple[Member, ...]) -> EventDraft:
    return EventDraft("Bridge", {"Connection": [member.name for member in members]})


class BridgeSession:
    """One peer of the bridge: a session as any, and what the bridge adds around it."""

    def __init__(self, hello: Hello, knowledge: Knowledge, random: Callable[[], str] = _random) -> None:
        self._inner = SysAdmSession(hello, knowledge, role="bridge")
        self._random = random
        self._name: str | None = None
        self._role = "server" if hello.headers.get("origin") == "sysadm-server" else "client"
        self._others: dict[str, str] = {}
        self._said: list[str] | None = None

    # -- what the gateway calls

    def opened(self) -> Iterable[Effect]:
        """Begin as any session."""
        return self._watched(self._inner.opened())

    def receive(self, message: str | bytes) -> Iterable[Effect]:
        """Send a frame on, take the answer to our question, or answer a request."""
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
        peer, line, body = text.partition("\n")
        if line and not text.startswith("{"):
            return self._relay(peer.rstrip("\r"), body)
        if IDENTIFY_ID in text and self._identified(text):
            return self._joined()
        return self._watched(self._inner.receive(message))

    def answer(self, token: Hashable, outcome: Outcome) -> Iterable[Effect]:
        """Take who is there, or an outcome of the session inside."""
        if token == _MEMBERS:
            return self._met(outcome) if isinstance(outcome, Members) else ()
        return self._watched(self._inner.answer(token, outcome))

    def expired(self) -> Iterable[Effect]:
        """Leave with the login."""
        return self._watched(self._inner.expired())

    # -- coming and going

    def _watched(self, effects: Iterable[Effect]) -> Iterable[Effect]:
        """Pass effects on; after them join or leave as the login changed."""
        yield from effects
        access = self._inner.access
        if access is not None and self._name is None:
            self._name = f"{access.user}-{self._random()}"
            yield Send(_question())
            yield from self._joined()
        elif access is None and self._name is not None:
            self._name, self._said, self._others = None, None, {}
            yield Leave(ROOM)

    def _joined(self) -> Iterable[Effect]:
        return [] if self._name is None else [Join(_MEMBERS, ROOM, self._name, self._role, _news)]

    def _identified(self, text: str) -> bool:
        """Tell whether this is the answer to our question, and note what it says."""
        try:
            answer = read(text)
        except BadRequest:
            return False
        if answer.id != IDENTIFY_ID or answer.namespace.lower() != "rpc":
            return False
        kind = answer.args.get("type") if isinstance(answer.args, dict) else None
        if kind in ("client", "server"):
            self._role = kind
        return True

    def _met(self, members: Members) -> Iterable[Effect]:
        if self._name is None:
            return []
        self._others = {
            member.name: member.role
            for member in members.members
            if member.name != self._name and member.role != self._role
        }
        names = sorted(self._others)
        if names == self._said:
            return []
        self._said = names
        return [Send(event("bridge", {"available_connections": names}))]

    # -- frames for others

    def _relay(self, peer: str, body: str) -> Iterable[Effect]:
        if self._name is None:
            return [Send(error("", UNAUTHORIZED))]
        if len(peer) > _PEER_LENGTH or peer not in self._others:
            return [Send(error("", NOT_FOUND))]
        return [Tell(ROOM, peer, f"{self._name}\n{body}")]


def _question() -> str:
    body = {"args": "", "id": IDENTIFY_ID, "name": "identify", "namespace": "rpc"}
    return json.dumps(body, separators=(",", ":"))


SYSADM_BRIDGE: Final = Dialect(
    name="sysadm-bridge", begin=BridgeSession, origins=SYSADM.origins, ping=SYSADM.ping
)
"""The row of listeners that play the bridge."""
