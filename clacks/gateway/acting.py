"""The hand of the gateway: carries out effects on behalf of one user, and tells what came of it.

Everything that enters becomes a typed, validated event here. Rights are asked here for every effect, whatever
a session or route asked before.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from clacks.bus import Bus
from clacks.common import audit
from clacks.common.address import command_address
from clacks.common.errors import (
    BusError,
    CommandError,
    CommandTimeout,
    EventError,
    InvalidEvent,
    LinkRefused,
    OutcomeUnknown,
    QueryError,
    StoreError,
)
from clacks.common.event_document import EVENTS_NS, Event
from clacks.common.jsonrpc import FORBIDDEN, INVALID_PARAMS, METHOD_NOT_FOUND, UNAVAILABLE, Request
from clacks.common.limits import Limits
from clacks.common.presence import speaker_of
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry
from clacks.common.xmltext import encode_text, illegal_character
from clacks.dialects.access import GUEST, Access, Identity
from clacks.dialects.actions import (
    Call,
    DeleteKey,
    Draft,
    Effect,
    EndToken,
    EventDraft,
    Failed,
    Failure,
    GetKey,
    Key,
    LoggedIn,
    Login,
    MakeToken,
    Outcome,
    Publish,
    Published,
    Recall,
    Result,
    SetKey,
    TopicDraft,
    XmlDraft,
)
from clacks.dialects.delivered import EVENTS_TOPIC, TOPIC_MESSAGE, Delivered
from clacks.dialects.topics import is_topic
from clacks.gateway.fanout import Fanout
from clacks.gateway.history import History
from clacks.gateway.logins import Doorkeeper, Exchange
from clacks.gateway.rates import Rates
from clacks.gateway.rooms import Rooms
from clacks.store.api import KeyValue
from clacks.store.ids import IdClock

__all__ = ["Hand", "House"]

_MOST_LATEST: Final = 4096
_QUIET: Final = 1.0  # seconds between two lines of a connection in the audit log
_BACKLOG: Final = 200
"""Events that may wait to be delivered before publishers wait: what is published comes back over the bus."""


@dataclass(slots=True)
class House:
    """What all hands of a gateway share."""

    bus: Bus
    registry: SchemaRegistry
    limits: Limits
    rights: Callable[[], Rights]
    door: Doorkeeper
    fanout: Fanout
    ids: IdClock
    history: History | None = None
    keys: KeyValue | None = None
    rates: Rates = field(default_factory=Rates)
    rooms: Rooms = field(default_factory=Rooms)
    backlog: Callable[[], int] = lambda: 0
    latest: OrderedDict[str, tuple[str, float]] = field(default_factory=OrderedDict)
    """By topic the id of the last message published here, and when (the loop's time); latest at the end."""
    on_token_end: Callable[[str], None] = lambda text: None

    def access(self, identity: Identity) -> Access:
        """Return what somebody may do, by the rights that hold at each moment."""
        return Access(identity, self.rights)


class Hand:
    """Carries out effects for one user at one address."""

    __slots__ = ("_access", "_exchange", "_quiet_until", "_unsaid", "address", "house")

    def __init__(self, house: House, access: Access, address: str) -> None:
        self.house = house
        self.address = address
        self._access = access
        self._exchange: Exchange | None = None
        self._quiet_until = 0.0
        self._unsaid = 0

    @property
    def access(self) -> Access:
        """Who it is and what that allows."""
        return self._access

    def become(self, access: Access) -> None:
        """Act for somebody else from now on."""
        self._access = access

    async def perform(self, effect: Effect) -> Outcome:
        """Carry out one effect that has an outcome and does not concern a connection."""
        outcome = await self._perform(effect)
        if isinstance(outcome, Failed) and outcome.why is Failure.FORBIDDEN:
            self.note_refusal(outcome.text)
        return outcome

    def note_refusal(self, reason: str) -> None:
        """Put into the audit log that a right was missing: a line a second at most for each connection."""
        now = time.monotonic()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        self._quiet_until = now + _QUIET
        unsaid, self._unsaid = self._unsaid, 0
        audit.refused("gateway", self._access.user, self.address, reason, unsaid)

    async def _perform(self, effect: Effect) -> Outcome:
        match effect:
            case Publish():
                return await self._publish(effect)
            case Call():
                return await self._call(effect)
            case Recall():
                return await self._recall(effect)
            case GetKey() | SetKey() | DeleteKey():
                return await self._key(effect)
            case Login():
                return await self._login(effect)
            case MakeToken():
                if not self._access.user:
                    return Failed(Failure.FORBIDDEN, "nobody is logged in")
                return Result(self.house.door.make_token(effect, self._access.identity))
            case EndToken():
                self.house.door.end_token(effect.text)
                self.house.on_token_end(effect.text)
                return Result()
        raise TypeError(f"{type(effect).__name__} belongs to a connection")

    # -- publishing

    async def _publish(self, effect: Publish) -> Outcome:
        house = self.house
        draft = effect.draft
        for _ in range(200):
            if house.backlog() < _BACKLOG:
                break
            await asyncio.sleep(0.005)
        else:
            return Failed(Failure.BUSY, "too many events wait to be delivered")
        message_id: str | None = None
        try:
            if isinstance(draft, TopicDraft) and not draft.topic.startswith(EVENTS_TOPIC):
                refused = self._topic_refused(draft.topic)
                if refused is not None:
                    return refused
                event, message_id = self._message(draft)
            else:
                made = self._event(draft)
                if isinstance(made, Failed):
                    return made
                event = made
        except InvalidEvent as error:
            place = {"kind": error.kind, "path": error.path, "reason": error.reason, "line": error.line}
            return Failed(Failure.INVALID, str(error), data=place)
        except EventError as error:
            return Failed(Failure.INVALID, str(error))
        outcome = await self._send(event, effect.stored)
        if outcome is not None:
            return outcome
        if message_id is not None and isinstance(draft, TopicDraft):
            latest = house.latest
            latest[draft.topic] = (message_id, asyncio.get_running_loop().time())
            latest.move_to_end(draft.topic)
            if len(latest) > _MOST_LATEST:
                latest.popitem(last=False)
        return Published(message_id)

    def _topic_refused(self, topic: str) -> Failed | None:
        if not self._access.may_write_topic(topic):
            return Failed(Failure.FORBIDDEN, f"no right to publish to {topic}")
        if not is_topic(topic):
            return Failed(Failure.INVALID, f"not a topic: {topic}")
        if not self.house.rates.allow(self._access.identity, topic, time.monotonic()):
            return Failed(Failure.RATE, "too many messages")
        return None

    def _message(self, draft: TopicDraft) -> tuple[Event, str]:
        """Make a TopicMessage and its id."""
        now = int(time.time() * 1000)
        given = self.house.ids.next(now)
        if draft.timestamp is None:
            stamp, message_id = given.ms, str(given)
        else:
            # The number is the whole id that it would have got: so it never repeats, whatever the time says.
            stamp, message_id = draft.timestamp, f"{draft.timestamp}-{given.packed()}"
        parts = [
            f'<Event xmlns="{EVENTS_NS}"><TopicMessage><Id>{message_id}</Id>',
            _element("Topic", draft.topic),
            _element("Message", draft.message),
            f"<Timestamp>{stamp}</Timestamp>",
        ]
        if draft.ttl is not None:
            parts.append(f"<Ttl>{draft.ttl:.3f}</Ttl>")
        origin = self._access.identity.origin
        if origin:
            parts.append(_element("Origin", "".join(s if s.isprintable() else "\ufffd" for s in origin)))
        parts.append("</TopicMessage></Event>")
        return self.house.registry.receive("".join(parts).encode("utf-8", "surrogatepass")), message_id

    def _event(self, draft: Draft) -> Event | Failed:
        """Make a typed event. Raises EventError."""
        house = self.house
        match draft:
            case XmlDraft():
                event = house.registry.receive(draft.xml)
            case EventDraft():
                if not self._access.may_publish(draft.kind):
                    return Failed(Failure.FORBIDDEN, f"no right to publish {draft.kind}")
                event = house.registry.from_json(draft.kind, draft.fields)
            case TopicDraft():
                kind = draft.topic[len(EVENTS_TOPIC) :]
                if kind not in house.registry.kinds or kind == TOPIC_MESSAGE:
                    return Failed(Failure.UNKNOWN, f"there is no event type {kind}")
                if not self._access.may_publish(kind):
                    return Failed(Failure.FORBIDDEN, f"no right to publish {kind}")
                try:
                    fields = json.loads(draft.message)
                except (ValueError, RecursionError):
                    return Failed(Failure.INVALID, f"{draft.topic} takes a JSON object")
                if not isinstance(fields, dict):
                    return Failed(Failure.INVALID, f"{draft.topic} takes a JSON object")
                event = house.registry.from_json(kind, fields)
        if not self._access.may_publish(event.kind):
            return Failed(Failure.FORBIDDEN, f"no right to publish {event.kind}")
        speaker = speaker_of(event)
        if speaker is not None and not self._access.may_announce(speaker):
            return Failed(Failure.FORBIDDEN, f"no right to speak as {speaker}")
        topic = EVENTS_TOPIC + event.kind
        if event.kind == TOPIC_MESSAGE:
            topic = Delivered(event, "", 0).topic
        if not self._access.may_write_topic(topic):
            return Failed(Failure.FORBIDDEN, f"no right to publish to {topic}")
        if not house.rates.allow(self._access.identity, topic, time.monotonic()):
            return Failed(Failure.RATE, "too many messages")
        return event

    async def _send(self, event: Event, stored: bool) -> Outcome | None:
        """Hand an event to the bus; None if it went out."""
        user = self._access.user
        whom = None if user == GUEST else user
        try:
            if stored:
                return Published(await self.house.bus.publish(event, stored=True, on_behalf_of=whom))
            if await self.house.bus.publish(event, on_behalf_of=whom):
                return None
            return Failed(Failure.UNAVAILABLE, "the broker takes no events")
        except LinkRefused as error:
            return Failed(Failure.FORBIDDEN, str(error))
        except CommandError as error:
            return _call_failed(error)
        except BusError as error:
            return Failed(Failure.UNAVAILABLE, str(error))

    # -- commands

    async def _call(self, effect: Call) -> Outcome:
        user = self._access.user
        if not self._access.may_call(effect.method):
            return Failed(Failure.FORBIDDEN, f"no right to call {effect.method}", FORBIDDEN)
        bus = self.house.bus
        try:
            address = command_address(bus.domain, node=effect.node)
            value = await bus.request(
                Request(effect.method, effect.params),
                timeout=min(max(effect.timeout, 0.1), 3600.0),
                address=address,
                on_behalf_of=user,
            )
        except ValueError as error:
            return Failed(Failure.INVALID, str(error), INVALID_PARAMS)
        except CommandError as error:
            return _call_failed(error)
        except BusError as error:
            return Failed(Failure.UNAVAILABLE, str(error), UNAVAILABLE)
        return Result(value)

    # -- what was, and what is kept

    async def _recall(self, effect: Recall) -> Outcome:
        history = self.house.history
        if history is None:
            return Failed(Failure.UNAVAILABLE, "no event log is kept")
        wanted = effect.wanted
        if wanted.topics is not None and not self._access.may_read_topic(wanted.topics):
            return Failed(Failure.FORBIDDEN, f"no right to read {wanted.topics}")
        if wanted.xquery is not None and not self._access.may_query:
            return Failed(Failure.FORBIDDEN, "no right to use queries")
        try:
            wants = self.house.fanout.judge(wanted)
        except QueryError as error:
            return Failed(Failure.INVALID, str(error))
        return await history.recall(self._access, wanted, effect.since, effect.limit, wants)

    async def _key(self, effect: GetKey | SetKey | DeleteKey) -> Outcome:
        keys = self.house.keys
        if keys is None:
            return Failed(Failure.UNAVAILABLE, "no key/value store is kept")
        reading = isinstance(effect, GetKey)
        allowed = self._access.may_read_key if reading else self._access.may_write_key
        if not allowed(effect.key):
            return Failed(Failure.FORBIDDEN, f"no right to the key {effect.key}")
        try:
            match effect:
                case GetKey():
                    return Key(await keys.get(effect.key))
                case SetKey():
                    await keys.set(effect.key, effect.value, effect.ttl)
                    return Key(effect.value)
            before = await keys.get(effect.key)
            return Key(before if await keys.delete(effect.key) else None)
        except (StoreError, ValueError) as error:
            return Failed(Failure.UNAVAILABLE, str(error))

    # -- logins

    async def _login(self, effect: Login) -> Outcome:
        if self._exchange is None:
            self._exchange = Exchange()
        found = await self.house.door.login(effect.credentials, self.address, self._exchange)
        if isinstance(found, Result | Failed):
            return found
        identity, detail = found
        return LoggedIn(self.house.access(identity), detail)


def _element(name: str, text: str) -> str:
    if illegal_character(text) is None and "\r" not in text:
        return f"<{name}>{escape(text)}</{name}>"
    return f'<{name} enc="base64">{encode_text(text)}</{name}>'


def _call_failed(error: CommandError) -> Failed:
    why = Failure.REMOTE
    if isinstance(error, CommandTimeout):
        why = Failure.TIMEOUT
    elif isinstance(error, OutcomeUnknown):
        why = Failure.LOST
    else:
        why = _BY_CODE.get(error.code, Failure.REMOTE)
    return Failed(why, error.message, error.code, error.data)


_BY_CODE: Final[Mapping[int, Failure]] = {
    FORBIDDEN: Failure.FORBIDDEN,
    METHOD_NOT_FOUND: Failure.UNKNOWN,
    INVALID_PARAMS: Failure.INVALID,
    UNAVAILABLE: Failure.UNAVAILABLE,
}
