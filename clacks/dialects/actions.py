"""What a session wants done and what came of it: the common vocabulary of all dialects.

A dialect is a pure translator. Its session (`clacks.dialects.session.Session`) gets the texts of one
connection and returns *effects*, the dataclasses of the first half of this file. The gateway carries them out
with the rights of the user who logged in, and gives what came of each back as an *outcome*, the second half:

    session.receive(text)           -> effects        a message came
    session.answer(token, outcome)  -> effects        what became of an effect that had this token
    session.opened()                -> effects        once, before the first message
    session.expired()               -> effects        the login ran out or was taken away

Rules that both sides rely on:

- Effects are carried out in the order in which they were returned, and the next message of the connection is
  read when that is done. Only `Call` runs beside everything else; its outcome comes whenever it comes.
- Every effect with a ``token`` gets exactly one outcome, unless the connection ends before. Tokens are the
  session's own (a request id, say); the gateway only hands them back. ``token=None`` wants no outcome.
- The gateway checks rights for every effect and for every single event delivered, whatever the session
  checked before. A session checks only what its protocol must answer in its own words.
- Events do not pass through the session. `Subscribe` names a `Form`, which encodes an event once for all
  subscribers that see it alike, and a ``splice``, the bytes of this one subscriber.
- Credentials are values that never show in ``repr``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from clacks.dialects.access import Access
from clacks.dialects.delivered import Delivered

__all__ = [
    "ApiKey",
    "Call",
    "Close",
    "Credentials",
    "DeleteKey",
    "Draft",
    "Effect",
    "Encoded",
    "EndToken",
    "EventDraft",
    "Failed",
    "Failure",
    "Form",
    "GetKey",
    "Join",
    "Key",
    "Leave",
    "LoggedIn",
    "Login",
    "Logout",
    "MakeToken",
    "Member",
    "Members",
    "Outcome",
    "Password",
    "Publish",
    "Published",
    "Recall",
    "Recalled",
    "Result",
    "ScramStep",
    "Send",
    "SessionToken",
    "SetKey",
    "SignedChallenge",
    "Since",
    "Subscribe",
    "Subscribed",
    "Tell",
    "Token",
    "TopicDraft",
    "Unsubscribe",
    "Wake",
    "Wanted",
    "XmlDraft",
]

# -- how events look to subscribers


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event as one message, without the bytes of the subscriber: ``head + splice + tail``."""

    head: bytes
    tail: bytes = b""


class Form(Protocol):
    """How a dialect shows events. Instances are compared with ``==``: use frozen dataclasses or constants."""

    def encode(self, delivered: Delivered, topic: str) -> Encoded | None:
        """Return the message, or None if this form does not show such an event.

        Called once per event, form and topic; what follows is the gateway's. ``topic`` is the topic under
        which the subscription was found, ``Delivered.topic`` or ``events/TYPE``.
        """


# -- effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send one message."""

    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; nothing after it is carried out. ``code`` None sends an empty close frame."""

    code: int | None = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Password:
    """Name and password, for `Login`."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key ``{id}-{secret}``, for `Login`; with the name it must belong to, or None."""

    key: str = field(repr=False)
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, for `Login`: a JSON web token of ``clacks token``."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScramStep:
    """A message of a SCRAM exchange with an API key (RFC 5802), for `Login`.

    Answered with `Result` (the server's message) until `LoggedIn` (its ``detail`` is the server's last
    message) or `Failed`. ``binding`` is `Hello.binding`, so that a client may demand channel binding.
    """

    message: str = field(repr=False)
    first: bool
    binding: bytes = field(default=b"", repr=False)
    mechanism: str = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class SessionToken:
    """A token that `MakeToken` made, for `Login`; ``sliding`` ones begin their time anew."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedChallenge:
    """A text of ours signed with a registered RSA key: PKCS #1 v1.5, no hash, for `Login`."""

    challenge: str
    signature: bytes = field(repr=False)


Credentials: TypeAlias = Password | ApiKey | Token | ScramStep | SessionToken | SignedChallenge


@dataclass(frozen=True, slots=True)
class Login:
    """Log in; outcome `LoggedIn` or `Failed` (``REFUSED`` wrong, ``BUSY`` try later)."""

    token: Hashable
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Logout:
    """Drop the login and all subscriptions; the connection goes on as nobody's."""


@dataclass(frozen=True, slots=True)
class MakeToken:
    """Make a token for who is logged in, `Result` its text; it lives in this gateway's memory only.

    Attributes:
        seconds: How long it is good for.
        sliding: Whether each login with it begins that time anew.
        once: Whether it is good for one login.
        address: Only from this peer address, or None.
        length: Letters and digits of the text; 20 have 119 bits.
    """

    token: Hashable
    seconds: float
    sliding: bool = False
    once: bool = False
    address: str | None = None
    length: int = 32


@dataclass(frozen=True, slots=True)
class EndToken:
    """Make a token void everywhere: connections that logged in with it get `Session.expired`."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Since:
    """From where to replay: exactly one of the three.

    Attributes:
        ms: Milliseconds since 1970, inclusive.
        ago: That many milliseconds before now, inclusive.
        after: A log id (``ms-n``), exclusive.
    """

    ms: int | None = None
    ago: int | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a subscription or a look into the log is about; all conditions given must hold.

    Attributes:
        topics: A topic or a pattern with ``+`` and ``#`` (`clacks.dialects.topics`), or None.
        kinds: Event types, or None for all.
        wildcard: Leave out the types whose schema says that ``*`` does not cover them.
        xquery: A query; needs the right `Access.may_query`.
        test: A pure test of the dialect's own, such as the equality of fields; it must not raise.
    """

    topics: str | None = None
    kinds: frozenset[str] | None = None
    wildcard: bool = False
    xquery: str | None = None
    test: Callable[[Delivered], bool] | None = None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Begin to deliver. Outcome `Subscribed` or `Failed`; without a token nothing comes back.

    In this order: the last states if asked for, the outcome, the replay, then live events, without gap and
    double.

    Attributes:
        id: Names the subscription within its session; one that is in use is replaced.
        form: How events look.
        splice: What this subscriber has between the two parts of an `Encoded` event.
        since: Replay from there first; ``limit`` as in `Recall`.
        last: Deliver the last event of each key of types that are a state, before the outcome.
        once: Of all subscriptions of the session with this mark one event is delivered once.
        pace: Seconds that lie at least between two events; those between are left out.
        replay_only: Replay, and then be over: a subscription with the same id stays as it is.
    """

    token: Hashable
    id: Hashable
    wanted: Wanted
    form: Form
    splice: bytes = b""
    since: Since | None = None
    limit: int | None = None
    last: bool = False
    once: bool = False
    pace: float = 0.0
    replay_only: bool = False


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Stop to deliver; nothing of that subscription is sent afterwards. Unknown ids are passed over."""

    id: Hashable


@dataclass(frozen=True, slots=True)
class TopicDraft:
    """A message to a topic (a TopicMessage); ``timestamp`` in ms and ``ttl`` in seconds, None: the usual."""

    topic: str
    message: str
    timestamp: int | None = None
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event of a type as JSON values by the schema (`SchemaRegistry.from_json`)."""

    kind: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class XmlDraft:
    """An event document."""

    xml: bytes


Draft: TypeAlias = TopicDraft | EventDraft | XmlDraft


@dataclass(frozen=True, slots=True)
class Publish:
    """Validate and publish; outcome `Published` or `Failed` (``INVALID``, ``FORBIDDEN``, ``RATE`` ...).

    ``stored``: have it committed to the event log first; ``UNAVAILABLE`` if nobody records.
    """

    token: Hashable
    draft: Draft
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """Call a command of an agent on behalf of the user; outcome `Result` or `Failed`. Runs beside the rest.

    Attributes:
        params: Array or object, as JSON-RPC 2.0 has them.
        timeout: Seconds.
        node: Ask this agent, not any.
    """

    token: Hashable
    method: str
    params: Sequence[Any] | Mapping[str, Any] = ()
    timeout: float = 30.0
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """Read the event log; outcome `Recalled` or `Failed`.

    Attributes:
        limit: At most that many for each topic (or in all, where ``wanted`` has no topics): the newest, or
            with ``Since.after`` the oldest. None means the most that is allowed.
    """

    token: Hashable
    wanted: Wanted
    since: Since
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class GetKey:
    """Read a key; outcome `Key`, its value None if there is none, or `Failed`."""

    token: Hashable
    key: str


@dataclass(frozen=True, slots=True)
class SetKey:
    """Write a key; ``ttl`` in seconds, None for ever. Outcome `Key` or `Failed`."""

    token: Hashable
    key: str
    value: str
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """Remove a key; outcome `Key`, its value the one removed or None, or `Failed`."""

    token: Hashable
    key: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Have ``answer(token, Result(None))`` called in so many seconds; the same token again moves it, None
    seconds ends it."""

    token: Hashable
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Join:
    """Meet the other connections of this gateway that joined the same room, until it ends or `Leave`.

    Outcome `Members` now, and again each time somebody comes, goes or changes. Who is in already changes its
    name and role.

    Attributes:
        name: How the others name this connection; unique in the room, the last one counts.
        role: What it is, for the others.
        news: Makes an event of who is there; the gateway publishes it in its own name at each change.
    """

    token: Hashable
    room: str
    name: str
    role: str
    news: Callable[[tuple[Member, ...]], EventDraft] | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave a room."""

    room: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Send one message to another connection of a room; nothing happens if nobody has that name."""

    room: str
    name: str
    text: str


Effect: TypeAlias = (
    Send
    | Join
    | Leave
    | Tell
    | Close
    | Login
    | Logout
    | MakeToken
    | EndToken
    | Subscribe
    | Unsubscribe
    | Publish
    | Call
    | Recall
    | GetKey
    | SetKey
    | DeleteKey
    | Wake
)

# -- outcomes


class Failure(enum.Enum):
    """Why something was not done."""

    REFUSED = "refused"
    """Wrong credentials."""
    BUSY = "busy"
    """Too many at once, or too many failures: later."""
    FORBIDDEN = "forbidden"
    """The user's rights, or the filters of the token, do not cover it."""
    UNKNOWN = "unknown"
    """There is no such event type or command."""
    INVALID = "invalid"
    """The event, query, pattern or argument is refused."""
    RATE = "rate"
    """Over the rate limit."""
    LIMIT = "limit"
    """Over a limit of the gateway: subscriptions, calls, sizes."""
    UNAVAILABLE = "unavailable"
    """Cannot be done here and now: no event log, no broker, no agent."""
    TIMEOUT = "timeout"
    """Nobody took the call in time; it was not carried out."""
    LOST = "lost"
    """It may have been carried out, the answer is lost."""
    REMOTE = "remote"
    """The command answered with an error: ``code``, ``text``, ``data``."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It was not done.

    Attributes:
        why: For the dialect, to choose its words.
        text: For people.
        code: JSON-RPC 2.0 code, where it is a call.
        data: What the command added; for ``INVALID`` events ``{"kind", "path", "reason", "line"}``.
    """

    why: Failure
    text: str = ""
    code: int = 0
    data: Any = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The login that holds from now on; the subscriptions from before are gone if the user is another."""

    access: Access
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscription is in force from here on."""


@dataclass(frozen=True, slots=True)
class Published:
    """It went out. ``id`` is its log id (``ms-n``); of topic messages the message id. None: not recorded."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What the command returned: a JSON value."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Recalled:
    """Events of the log, oldest first; ``complete`` is False if there are more than the limit let through."""

    events: tuple[Delivered, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Key:
    """The value of a key, or None."""

    value: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A connection in a room."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a room, in the order in which they came."""

    members: tuple[Member, ...] = ()


Outcome: TypeAlias = Members | Failed | LoggedIn | Subscribed | Published | Result | Recalled | Key
