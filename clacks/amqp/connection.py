"""The client's end of an AMQP connection, without sockets: commands in, events out.

Commands are the methods of `BusConnection`; what the broker does comes back from `events` as values of
`connection_events`. Links are handed out as the engine's own senders and receivers, because each message
passes through them; who opened one gave an ``owner`` along, and gets it back with every event of that link.

Brokers end a session or the whole connection for what should concern one link, and some detach without
closing. All of it comes out as one event, `LinkClosed`, which says what the broker named as the reason.
"""

from __future__ import annotations

import enum
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proton import Connection, Data, Described, Link, Session, Terminus, symbol, ulong
from proton import Event as ProtonEvent

from clacks.amqp.connection_events import (
    Closed,
    ConnectionEvent,
    Credited,
    LinkClosed,
    LinkOpened,
    MessageReceived,
    Opened,
    Settled,
)
from clacks.amqp.engine import Engine, SaslLayer
from clacks.amqp.links import Incoming, Outcome, Receiver, Sender
from clacks.amqp.profiles import Peer, Profile, choose_profile
from clacks.amqp.termini import (
    Filter,
    read_condition,
    read_open,
    read_source,
    read_target,
    selector_filter,
    subject_filter,
    xquery_filter,
)
from clacks.common.errors import ProtocolError
from clacks.common.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "BusConnection",
    "Closed",
    "ConnectionEvent",
    "ConnectionState",
    "Credited",
    "Filter",
    "LinkClosed",
    "LinkOpened",
    "LinkState",
    "MessageReceived",
    "Opened",
    "ReceiveFrom",
    "SendTo",
    "Settled",
    "selector_filter",
    "subject_filter",
    "xquery_filter",
]


# -- what is asked for


@dataclass(frozen=True, slots=True)
class SendTo:
    """A link to send on; no address means the anonymous relay: each message says where it goes."""

    address: str | None
    capabilities: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceiveFrom:
    """A link to receive on; no address asks the broker to make a node.

    ``window`` messages of credit are kept up; with 0 the owner grants them. ``settled`` asks for messages
    that need no outcome. ``claimed`` says that messages are taken with `Incoming.claim`.
    """

    address: str | None
    window: int
    filters: tuple[Filter, ...] = ()
    capabilities: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    settled: bool = True
    claimed: bool = False


# -- states


class ConnectionState(enum.Enum):
    """Where a connection stands."""

    NEW = "new"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class _Input(enum.Enum):
    OPEN = "open"
    CLOSE = "close"
    REMOTE_OPEN = "remote open"
    REMOTE_CLOSE = "remote close"
    LOST = "lost"


# What is not in the table leaves the state as it is: proton reports some things twice.
_CONNECTION: Final = {
    (ConnectionState.NEW, _Input.OPEN): ConnectionState.OPENING,
    (ConnectionState.NEW, _Input.CLOSE): ConnectionState.CLOSED,
    (ConnectionState.NEW, _Input.LOST): ConnectionState.CLOSED,
    (ConnectionState.OPENING, _Input.REMOTE_OPEN): ConnectionState.OPEN,
    (ConnectionState.OPENING, _Input.REMOTE_CLOSE): ConnectionState.CLOSED,
    (ConnectionState.OPENING, _Input.CLOSE): ConnectionState.CLOSING,
    (ConnectionState.OPENING, _Input.LOST): ConnectionState.CLOSED,
    (ConnectionState.OPEN, _Input.REMOTE_CLOSE): ConnectionState.CLOSED,
    (ConnectionState.OPEN, _Input.CLOSE): ConnectionState.CLOSING,
    (ConnectionState.OPEN, _Input.LOST): ConnectionState.CLOSED,
    (ConnectionState.CLOSING, _Input.REMOTE_CLOSE): ConnectionState.CLOSED,
    (ConnectionState.CLOSING, _Input.LOST): ConnectionState.CLOSED,
}


class LinkState(enum.Enum):
    """Where a link stands."""

    ATTACHING = "attaching"
    REFUSING = "refusing"
    OPEN = "open"
    CLOSED = "closed"


class _LinkInput(enum.Enum):
    ATTACHED = "attached"
    ATTACHED_TO_NOTHING = "attached to nothing"
    GONE = "gone"


# A broker that refuses answers with an attach to nothing, and a detach with the reason (AMQP 1.0, 2.6.3).
_LINK: Final = {
    (LinkState.ATTACHING, _LinkInput.ATTACHED): LinkState.OPEN,
    (LinkState.ATTACHING, _LinkInput.ATTACHED_TO_NOTHING): LinkState.REFUSING,
    (LinkState.ATTACHING, _LinkInput.GONE): LinkState.CLOSED,
    (LinkState.REFUSING, _LinkInput.GONE): LinkState.CLOSED,
    (LinkState.OPEN, _LinkInput.GONE): LinkState.CLOSED,
}


@dataclass(slots=True)
class _Attachment:
    """What the context of an engine link holds."""

    owner: Any
    asked: SendTo | ReceiveFrom
    own_session: bool
    state: LinkState = LinkState.ATTACHING


class BusConnection:
    """One connection to a broker, from the first byte to the last.

    Args:
        container_id: Names this process to the broker.
        sasl: The login, or None to speak AMQP without one.
        hostname: Host in the URL; brokers with virtual hosts choose by it.
        profile: What the broker is known to be; None chooses by what it says.
        limits: Sizes that the broker is told.
        product, version: What we say of ourselves.
    """

    def __init__(
        self,
        *,
        container_id: str,
        sasl: SaslLayer | None = None,
        hostname: str | None = None,
        profile: Profile | None = None,
        limits: Limits = DEFAULT_LIMITS,
        product: str = "clacks",
        version: str = "",
    ) -> None:
        self.state = ConnectionState.NEW
        self.peer = Peer()
        self._wanted_profile = profile
        self.profile: Profile | None = profile
        self._events: list[ConnectionEvent] = []
        self._links: dict[Sender | Receiver, _Attachment] = {}
        self._session: Session | None = None
        self._names = 0
        self._was_open = False
        self._failure: tuple[str, str] = ("", "")
        self.engine = Engine(
            self,
            server=False,
            container_id=container_id,
            sasl=sasl,
            hostname=hostname,
            # Where every link needs a session of its own there may be as many of them.
            limits=replace(limits, sessions=max(limits.sessions, limits.links)),
        )
        self.engine.connection.properties = {
            symbol("product"): product,
            symbol("version"): version,
            symbol("platform"): platform.platform(terse=True),
        }

    # -- the driver's side

    def receive(self, data: bytes) -> None:
        """Digest bytes of the broker; then see `events`.

        Raises:
            LoginRefused, ProtocolError: By the login. Errors of AMQP itself end in `Closed`.
        """
        self.engine.receive(data)

    def bytes_to_send(self) -> bytes:
        """Return and forget what is to be written."""
        return self.engine.bytes_to_send()

    def tick(self, now: float) -> float | None:
        """Do what is due at ``now`` (seconds); return when to come again, or None."""
        return self.engine.tick(now)

    def eof(self) -> None:
        """Note that the broker will send nothing more."""
        if self.engine.sasl is None:
            self.engine.eof()
        self.lost("the broker closed the connection without a word")

    def lost(self, reason: str) -> None:
        """Note that the connection is gone."""
        self._ended(_Input.LOST, "amqp:connection:forced", reason)

    def events(self) -> list[ConnectionEvent]:
        """Return and forget what has happened."""
        events = self._events
        if events:
            self._events = []
        return events

    # -- commands

    def open(self) -> None:
        """Open the connection; `Opened` or `Closed` follows."""
        self._step(_Input.OPEN)
        self.engine.connection.open()
        self.engine.touch()

    def close(self) -> None:
        """Say good-bye; `Closed` follows when the broker has answered."""
        if self.state is ConnectionState.NEW:
            self._ended(_Input.CLOSE, "", "")
        elif self.state in (ConnectionState.OPENING, ConnectionState.OPEN):
            self._step(_Input.CLOSE)
            self.engine.close()

    def open_sender(self, asked: SendTo, owner: object) -> Sender:
        """Ask for a link to send on; `LinkOpened` or `LinkClosed` follows."""
        session = self._session_for_link()
        link = session.sender(self._name())
        _describe(link.target, asked.address, asked.capabilities, asked.properties)
        link.source.address = link.name
        attachment = _Attachment(owner, asked, session is not self._session)
        sender = self.engine.sender(link, attachment)
        self._links[sender] = attachment
        link.open()
        self.engine.touch()
        return sender

    def open_receiver(self, asked: ReceiveFrom, owner: object) -> Receiver:
        """Ask for a link to receive on; `LinkOpened` or `LinkClosed` follows."""
        session = self._session_for_link()
        link = session.receiver(self._name())
        source = link.source
        if asked.address is None:
            source.dynamic = True
            source.expiry_policy = Terminus.EXPIRE_WITH_LINK
        _describe(source, asked.address, asked.capabilities, asked.properties)
        if asked.filters:
            source.filter.put_object(
                {symbol(part.name): Described(_descriptor(part), str(part.value)) for part in asked.filters}
            )
        link.target.address = link.name
        link.snd_settle_mode = Link.SND_SETTLED if asked.settled else Link.SND_UNSETTLED
        if asked.claimed:
            link.rcv_settle_mode = Link.RCV_SECOND
        attachment = _Attachment(owner, asked, session is not self._session)
        receiver = self.engine.receiver(link, asked.window, attachment)
        self._links[receiver] = attachment
        receiver.open()
        return receiver

    def close_link(self, link: Sender | Receiver) -> None:
        """Give a link up; no event follows, and messages in doubt stay so."""
        attachment = self._links.pop(link, None)
        if attachment is None:
            return
        attachment.state = LinkState.CLOSED
        session = link.link.session if link.alive and attachment.own_session else None
        self.engine.close_link(link)
        if session is not None:
            _end(session)
            self.engine.touch()

    # -- the engine's side

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        """Note a message (the engine's call)."""
        self._events.append(MessageReceived(receiver, receiver.context.owner, body, incoming))  # type: ignore[attr-defined]

    def on_credit(self, sender: Sender) -> None:
        """Note a change of credit (the engine's call)."""
        self._events.append(Credited(sender, sender.context.owner))  # type: ignore[attr-defined]

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        """Note an outcome (the engine's call)."""
        self._events.append(Settled(sender, sender.context.owner, context, outcome))  # type: ignore[attr-defined]

    def on_endpoint(self, event: ProtonEvent) -> None:
        """Take one of the rarer events (the engine's call)."""
        react = _REACTIONS.get(event.type.name)
        if react is None:
            return
        try:
            react(self, event)
        except ProtocolError as error:
            self.engine.close("amqp:decode-error", "this cannot be read")
            self._ended(_Input.LOST, "amqp:decode-error", f"the broker sent what nobody can read: {error}")

    # -- reactions

    def _remote_open(self, event: ProtonEvent) -> None:
        connection = event.connection
        assert isinstance(connection, Connection)
        said, capabilities, container = read_open(connection)
        product, version = str(said.get("product", "")), str(said.get("version", ""))
        self.peer = Peer(product, version, container, capabilities)
        self.profile = self._wanted_profile or choose_profile(self.peer)
        if self._step(_Input.REMOTE_OPEN) is ConnectionState.OPEN:
            self._was_open = True
            self._events.append(Opened(self.peer, self.profile))

    def _remote_close(self, event: ProtonEvent) -> None:
        asked = self.state is ConnectionState.CLOSING
        name, words = read_condition(self.engine.connection)
        if not asked:
            self.engine.close()
            name = name or "amqp:connection:forced"
            words = words or "the broker closed the connection"
        self._ended(_Input.REMOTE_CLOSE, name, words)

    def _transport_error(self, event: ProtonEvent) -> None:
        name, words = self.engine.failure
        if self.state is not ConnectionState.CLOSING:
            self._ended(_Input.LOST, name or "amqp:connection:forced", words or "the connection broke")

    def _transport_closed(self, event: ProtonEvent) -> None:
        self._ended(_Input.LOST, "", "")

    def _session_close(self, event: ProtonEvent) -> None:
        session = event.session
        assert isinstance(session, Session)
        name, words = read_condition(session)
        concerned = [link for link in self._links if link.link.session._impl == session._impl]
        if self._session is not None and session._impl == self._session._impl:
            self._session = None
        for link in concerned:
            self._gone(link, name or "amqp:session:ended", words or "the broker ended the session")
        _end(session)
        self.engine.touch()

    def _link_open(self, event: ProtonEvent) -> None:
        link = self._link_of(event)
        if link is None:
            return
        attachment = self._links[link]
        try:
            agreed = read_target(link.link) if isinstance(link, Sender) else read_source(link.link)
        except ProtocolError as error:
            self._gone(link, "amqp:decode-error", str(error))
            return
        reply = _LinkInput.ATTACHED_TO_NOTHING if agreed.absent else _LinkInput.ATTACHED
        attachment.state = _LINK.get((attachment.state, reply), attachment.state)
        if attachment.state is LinkState.OPEN:
            address = agreed.address or attachment.asked.address or ""
            self._events.append(LinkOpened(link, attachment.owner, address, agreed.filters))

    def _link_close(self, event: ProtonEvent) -> None:
        link = self._link_of(event)
        if link is None:
            return
        name, words = read_condition(link.link)
        session = link.link.session if self._links[link].own_session else None
        self._gone(link, name, words or "the broker closed the link")
        if session is not None:
            _end(session)

    # -- parts

    def _link_of(self, event: ProtonEvent) -> Sender | Receiver | None:
        proton_link = event.link
        assert isinstance(proton_link, Link)
        link = self.engine.link_of(proton_link)
        return link if link in self._links else None

    def _step(self, what: _Input) -> ConnectionState:
        self.state = _CONNECTION.get((self.state, what), self.state)
        return self.state

    def _ended(self, what: _Input, condition: str, description: str) -> None:
        if self.state is ConnectionState.CLOSED:
            return
        if self._step(what) is ConnectionState.CLOSED:
            for link in list(self._links):
                self._gone(link, condition, description, with_connection=True)
            self._events.append(Closed(condition, description, self._was_open))

    def _gone(
        self, link: Sender | Receiver, condition: str, description: str, *, with_connection: bool = False
    ) -> None:
        attachment = self._links.pop(link)
        refused = attachment.state is not LinkState.OPEN
        attachment.state = _LINK.get((attachment.state, _LinkInput.GONE), LinkState.CLOSED)
        doubt = tuple(link.in_doubt) if isinstance(link, Sender) else ()
        self._events.append(
            LinkClosed(link, attachment.owner, refused, condition, description, doubt, with_connection)
        )
        if with_connection:
            link.alive = False
        else:
            self.engine.close_link(link)

    def _session_for_link(self) -> Session:
        profile = self.profile
        if profile is not None and profile.session_per_link:
            session = self.engine.connection.session()
            session.open()
            return session
        if self._session is None:
            self._session = self.engine.connection.session()
            self._session.open()
        return self._session

    def _name(self) -> str:
        self._names += 1
        return f"{self.engine.connection.container}-{self._names}"

    def free(self) -> None:
        """Let go of everything; the connection is not used again."""
        self._links.clear()
        self._session = None
        self.engine.free()


_REACTIONS: Final = {
    "PN_CONNECTION_REMOTE_OPEN": BusConnection._remote_open,
    "PN_CONNECTION_REMOTE_CLOSE": BusConnection._remote_close,
    "PN_SESSION_REMOTE_CLOSE": BusConnection._session_close,
    "PN_LINK_REMOTE_OPEN": BusConnection._link_open,
    "PN_LINK_REMOTE_CLOSE": BusConnection._link_close,
    "PN_LINK_REMOTE_DETACH": BusConnection._link_close,
    "PN_TRANSPORT_ERROR": BusConnection._transport_error,
    "PN_TRANSPORT_CLOSED": BusConnection._transport_closed,
}


def _end(session: Session) -> None:
    # The peer's end follows ours; freed twice it would be freed twice in C.
    if not session.state & Session.LOCAL_CLOSED:
        session.close()
        session.free()


def _describe(
    terminus: Terminus, address: str | None, capabilities: tuple[str, ...], properties: Mapping[str, str]
) -> None:
    terminus.address = address  # type: ignore[assignment]  # proton writes None as null
    if capabilities:
        terminus.capabilities.put_array(False, Data.SYMBOL)
        terminus.capabilities.enter()
        for name in capabilities:
            terminus.capabilities.put_symbol(symbol(name))
        terminus.capabilities.exit()
    if properties:
        terminus.properties.put_object({symbol(key): value for key, value in properties.items()})


def _descriptor(part: Filter) -> ulong | symbol:
    key = part.descriptor
    return ulong(key) if isinstance(key, int) else symbol(key or part.name)
