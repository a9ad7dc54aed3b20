"""A connection that speaks Eventhub: JSON-RPC 2.0 over WebSocket, and topics as server-sent events.

The answers are Eventhub's to the letter, its defects are not: see ``docs/reference/eventhub.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

from clacks.dialects.actions import (
    Close,
    Credentials,
    DeleteKey,
    Effect,
    Failed,
    Failure,
    GetKey,
    Key,
    Outcome,
    Publish,
    Published,
    Recall,
    Recalled,
    Send,
    SetKey,
    Since,
    Subscribe,
    Subscribed,
    Token,
    TopicDraft,
    Unsubscribe,
    Wanted,
)
from clacks.dialects.eventhub.codec import (
    MESSAGES,
    STREAM,
    BadRequest,
    Id,
    Request,
    invalid_params,
    invalid_request,
    item,
    read_request,
    result,
    splice,
    unknown_method,
)
from clacks.dialects.session import Dialect, Hello, Knowledge, Refusal
from clacks.dialects.topics import is_pattern, is_topic

__all__ = ["EVENTHUB", "EventhubSession", "EventhubStream"]

_MOST: Final = 100
"""Messages of one answer of ``eventlog``, as ``max_cache_request_limit`` has it."""
_MESSAGE_SIZE: Final = 8_192_000
"""Bytes of one message from a client, as the original takes them."""
_LARGEST: Final = 1 << 53
"""Numbers beyond it are not whole in JavaScript, so no client means them."""


def _number(params: Any, name: str) -> int | None:
    """Return a number that is not 0, fractions cut; anything else counts as absent."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) or None


def _text(params: Any, name: str) -> str | None:
    value = params.get(name)
    return value if isinstance(value, str) else None


def _since(params: Any) -> Since | None:
    """Return from where to replay, or None. A message id may also stand in ``since``, as documented."""
    after = _text(params, "sinceEventId") or _text(params, "since")
    if after:
        return Since(after=after)
    number = _number(params, "since")
    if number is None or abs(number) > _LARGEST:
        return None
    return Since(ms=number) if number > 0 else Since(ago=-number)


def _limit(params: Any) -> int | None:
    """Return how many messages are wanted; None if that is not said, or more than there may be."""
    value = params.get("limit")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value <= _MOST else None


class EventhubSession:
    """A WebSocket connection of an Eventhub client."""

    __slots__ = ("_access", "_knowledge", "_topics")

    def __init__(self, hello: Hello, knowledge: Knowledge) -> None:
        self._access = hello.access
        self._knowledge = knowledge
        self._topics: dict[str, None] = {}

    def opened(self) -> Iterable[Effect]:
        """Begin: the server says nothing first."""
        return ()

    def receive(self, message: str | bytes) -> Iterable[Effect]:
        """Take one request; a binary message is passed over, as in the original."""
        if isinstance(message, bytes):
            return ()
        try:
            request = read_request(message)
        except BadRequest:
            return (Send(invalid_request()),)
        method = _METHODS.get(request.method)
        if method is None:
            return (Send(unknown_method(request.id)),)
        return method(self, request)

    def answer(self, token: Hashable, outcome: Outcome) -> Iterable[Effect]:
        """Write what became of a request; tokens are (what, id, name)."""
        assert isinstance(token, tuple)
        what, id_, name = token
        return (Send(_ANSWERS[what](self, id_, name, outcome)),)

    def expired(self) -> Iterable[Effect]:
        """Close: this protocol has no second login."""
        return (Close(1008, "the token has expired"),)

    # -- requests

    def _subscribe(self, request: Request) -> Iterable[Effect]:
        topic = _text(request.named, "topic")
        if not topic:
            return _refuse(request, "You must specify 'topic' to subscribe to.")
        if not (is_topic(topic) or is_pattern(topic)):
            return _refuse(request, f"Invalid topic in request: {topic}")
        if not self._access.may_read_topic(topic):
            return _refuse(request, f"You are not allowed to subscribe to topic: {topic}")
        since = _since(request.named) if self._knowledge.recording() else None
        again = topic in self._topics
        self._topics[topic] = None
        if again and since is None:
            return (Send(_subscribed(request.id, topic)),)
        effect = Subscribe(
            ("subscribe", request.id, topic),
            topic,
            Wanted(topics=topic),
            MESSAGES,
            splice(request.id),
            since=since,
            limit=_limit(request.named),
            replay_only=again,
        )
        return (effect,)

    def _unsubscribe(self, request: Request) -> Iterable[Effect]:
        if not isinstance(request.params, tuple):
            return _refuse(request, "Parameter is not array of topics to unsubscribe from.")
        if not all(isinstance(topic, str) for topic in request.params):
            return _refuse(request, "A topic to unsubscribe from is no string.")
        gone = [topic for topic in dict.fromkeys(request.params) if topic in self._topics]
        return self._leave(request, gone)

    def _unsubscribe_all(self, request: Request) -> Iterable[Effect]:
        return self._leave(request, list(self._topics))

    def _leave(self, request: Request, topics: list[str]) -> Iterable[Effect]:
        for topic in topics:
            del self._topics[topic]
        effects: list[Effect] = [Unsubscribe(topic) for topic in topics]
        return [*effects, Send(result(request.id, {"unsubscribe_count": len(topics)}))]

    def _list(self, request: Request) -> Iterable[Effect]:
        return (Send(result(request.id, list(self._topics))),)

    def _publish(self, request: Request) -> Iterable[Effect]:
        params = request.named
        topic, message = _text(params, "topic"), _text(params, "message")
        if not topic or not message:
            return _refuse(request, "You need to specify topic and message to publish to.")
        if not self._access.may_write_topic(topic):
            return _refuse(request, f"Insufficient access to topic: {topic}")
        if not is_topic(topic):
            return _refuse(request, f"{topic} is not a valid topic.")
        timestamp, ttl = _number(params, "timestamp"), params.get("ttl")
        if timestamp is not None and not 0 < timestamp <= _LARGEST:
            return _refuse(request, "timestamp must be milliseconds since 1970.")
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not math.isfinite(ttl) or ttl == 0:
            ttl = None
        elif not 0 < ttl <= _LARGEST:
            return _refuse(request, "ttl must be positive.")
        draft = TopicDraft(topic, message, timestamp, ttl)
        return (Publish(("publish", request.id, topic), draft),)

    def _eventlog(self, request: Request) -> Iterable[Effect]:
        params = request.named
        if not self._knowledge.recording():
            return _refuse(request, "Cache is not enabled in server config")
        since = _since(params)
        if since is None:
            return _refuse(request, "You must specify either 'since' or 'sinceEventId'.")
        topic = _text(params, "topic")
        if not topic:
            return _refuse(request, "You must specify topic.")
        if not (is_topic(topic) or is_pattern(topic)):
            return _refuse(request, f"Invalid topic in request: {topic}")
        if not self._access.may_read_topic(topic):
            return _refuse(request, f"You are not allowed to read from topic: {topic}")
        limit = _limit(params)
        token = ("eventlog", request.id, topic)
        return (Recall(token, Wanted(topics=topic), since, _MOST if limit is None else limit),)

    def _get(self, request: Request) -> Iterable[Effect]:
        key = _text(request.named, "key")
        if key is None:
            return _refuse(request, "You must specify 'key'.")
        return (GetKey(("get", request.id, key), key),)

    def _set(self, request: Request) -> Iterable[Effect]:
        params = request.named
        key, value, ttl = _text(params, "key"), _text(params, "value"), params.get("ttl")
        if key is None or value is None:
            return _refuse(request, "You must specify 'key' and 'value', both strings.")
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not math.isfinite(ttl) or ttl == 0:
            ttl = None
        elif not 0 < ttl <= _LARGEST:
            return _refuse(request, "ttl must be positive.")
        return (SetKey(("set", request.id, key), key, value, ttl),)

    def _delete(self, request: Request) -> Iterable[Effect]:
        key = _text(request.named, "key")
        if key is None:
            return _refuse(request, "You must specify 'key'.")
        return (DeleteKey(("del", request.id, key), key),)

    def _ping(self, request: Request) -> Iterable[Effect]:
        return (Send(result(request.id, {"pong": self._knowledge.now()})),)

    def _disconnect(self, request: Request) -> Iterable[Effect]:
        return (Close(None),)

    # -- outcomes

    def _subscribe_answer(self, id_: Id, topic: str, outcome: Outcome) -> str:
        if isinstance(outcome, Subscribed):
            return _subscribed(id_, topic)
        self._topics.pop(topic, None)
        words = f"You are not allowed to subscribe to topic: {topic}"
        return invalid_params(id_, _why(outcome, words))

    def _publish_answer(self, id_: Id, topic: str, outcome: Outcome) -> str:
        if isinstance(outcome, Published):
            message_id = outcome.id or f"{self._knowledge.now()}-0"
            return result(id_, {"action": "publish", "id": message_id, "status": "ok", "topic": topic})
        if isinstance(outcome, Failed) and outcome.why is Failure.RATE:
            return result(id_, {"action": "publish", "status": "ERR_RATE_LIMIT_EXCEEDED", "topic": topic})
        return invalid_params(id_, _why(outcome, f"Insufficient access to topic: {topic}"))

    def _eventlog_answer(self, id_: Id, topic: str, outcome: Outcome) -> str:
        if isinstance(outcome, Recalled):
            items = [item(delivered) for delivered in outcome.events]
            return result(id_, {"action": "eventlog", "status": "ok", "topic": topic, "items": items})
        return invalid_params(id_, _why(outcome, f"You are not allowed to read from topic: {topic}"))

    def _get_answer(self, id_: Id, key: str, outcome: Outcome) -> str:
        if isinstance(outcome, Key) and outcome.value is not None:
            return result(id_, {"action": "get", "key": key, "value": outcome.value})
        if isinstance(outcome, Key):
            return invalid_params(id_, "KVStore: key not found")
        return invalid_params(id_, _key_why(outcome, f"You are not allowed to read key {key}"))

    def _set_answer(self, id_: Id, key: str, outcome: Outcome) -> str:
        if isinstance(outcome, Key):
            return result(id_, {"action": "set", "key": key, "success": True})
        return invalid_params(id_, _key_why(outcome, f"You are not allowed to write key {key}"))

    def _delete_answer(self, id_: Id, key: str, outcome: Outcome) -> str:
        if isinstance(outcome, Key):
            return result(id_, {"action": "del", "key": key, "success": outcome.value is not None})
        return invalid_params(id_, _key_why(outcome, f"You are not allowed to delete key {key}"))


def _refuse(request: Request, why: str) -> Iterable[Effect]:
    return (Send(invalid_params(request.id, why)),)


def _subscribed(id_: Id, topic: str) -> str:
    return result(id_, {"action": "subscribe", "status": "ok", "topic": topic})


def _why(outcome: Outcome, forbidden: str) -> str:
    if isinstance(outcome, Failed) and outcome.why is not Failure.FORBIDDEN:
        return outcome.text
    return forbidden


def _key_why(outcome: Outcome, forbidden: str) -> str:
    if isinstance(outcome, Failed) and outcome.why is Failure.UNAVAILABLE:
        return "KVStore is not enabled."
    return _why(outcome, forbidden)


_METHODS: Final[dict[str, Callable[[EventhubSession, Request], Iterable[Effect]]]] = {
    "subscribe": EventhubSession._subscribe,
    "unsubscribe": EventhubSession._unsubscribe,
    "unsubscribeall": EventhubSession._unsubscribe_all,
    "list": EventhubSession._list,
    "publish": EventhubSession._publish,
    "eventlog": EventhubSession._eventlog,
    "get": EventhubSession._get,
    "set": EventhubSession._set,
    "del": EventhubSession._delete,
    "ping": EventhubSession._ping,
    "disconnect": EventhubSession._disconnect,
}

_ANSWERS: Final[dict[str, Callable[[EventhubSession, Id, str, Outcome], str]]] = {
    "subscribe": EventhubSession._subscribe_answer,
    "publish": EventhubSession._publish_answer,
    "eventlog": EventhubSession._eventlog_answer,
    "get": EventhubSession._get_answer,
    "set": EventhubSession._set_answer,
    "del": EventhubSession._delete_answer,
}


class EventhubStream:
    """A topic or pattern as server-sent events."""

    __slots__ = ("_limit", "_since", "_topic")

    def __init__(self, topic: str, since: Since | None, limit: int | None) -> None:
        self._topic = topic
        self._since = since
        self._limit = limit

    def opened(self) -> Iterable[Effect]:
        """Say that it works, replay, and go on live."""
        wanted = Wanted(topics=self._topic)
        return (
            Send(":ok\n\n"),
            Subscribe("begin", "stream", wanted, STREAM, since=self._since, limit=self._limit),
        )

    def receive(self, message: str | bytes) -> Iterable[Effect]:
        """Take nothing: a stream goes one way."""
        return ()

    def answer(self, token: Hashable, outcome: Outcome) -> Iterable[Effect]:
        """End if the subscription was refused."""
        return (Close(),) if isinstance(outcome, Failed) else ()

    def expired(self) -> Iterable[Effect]:
        """End."""
        return (Close(),)


def _begin(hello: Hello, knowledge: Knowledge) -> EventhubSession:
    return EventhubSession(hello, knowledge)


def _stream(hello: Hello, knowledge: Knowledge) -> EventhubStream | Refusal:
    """Begin a stream: the path is the topic."""
    topic = hello.path.removeprefix(hello.base).removeprefix("/")
    if not (is_topic(topic) or is_pattern(topic)):
        return Refusal(404, '{"error":"Invalid topic requested."}', "application/json")
    if not hello.access.may_read_topic(topic):
        return Refusal(401, '{"error":"Insufficient access."}', "application/json")
    since: Since | None = None
    after = hello.query.get("lasteventid") or hello.headers.get("last-event-id")
    begin = hello.query.get("since", "")
    if after:
        since = Since(after=after)
    elif begin.lstrip("-").isascii() and begin.lstrip("-").isdigit() and len(begin) < 17 and int(begin):
        since = Since(ms=int(begin)) if int(begin) > 0 else Since(ago=-int(begin))
    limit = hello.query.get("limit", "")
    most = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 5 else None
    return EventhubStream(topic, since if knowledge.recording() else None, most)


def _credentials(hello: Hello) -> Credentials | None:
    """Return the token of a handshake: the header wins, bare as Eventhub has it or with ``Bearer``."""
    header = hello.headers.get("authorization", "").strip()
    if header:
        scheme, _, rest = header.partition(" ")
        return Token(rest.strip() if scheme.lower() == "bearer" else header)
    shown = hello.query.get("auth")
    return Token(shown) if shown else None


EVENTHUB: Final = Dialect(
    "eventhub",
    _begin,
    credentials=_credentials,
    required=True,
    message_size=_MESSAGE_SIZE,
    stream=_stream,
)
