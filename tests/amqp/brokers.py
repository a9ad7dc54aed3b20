"""A broker's end of a connection, small enough to be told exactly how to misbehave."""

from __future__ import annotations

from dataclasses import dataclass, field

from proton import Condition, Event, Link, Terminus, symbol

from clacks.amqp.engine import Engine
from clacks.amqp.links import Incoming, Outcome, Receiver, Sender
from clacks.amqp.termini import (
    SELECTOR_FILTER_CODE,
    Filter,
    answer_source,
    answer_target,
    read_source,
    read_target,
)


@dataclass
class Script:
    """How the broker behaves."""

    product: str = "clacks"
    version: str = "1"
    capabilities: tuple[str, ...] = ("ANONYMOUS-RELAY",)
    echo: bool = True
    echo_as: int | str | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    """Address to the condition with which a link there is refused."""
    silent_refusal: bool = False
    """Refuse without the attach to nothing that 2.6.3 asks for."""
    end_session: bool = False
    """Refuse by ending the session, as RabbitMQ does."""
    no_selectors: bool = False
    """Refuse links with a selector."""
    credit: int = 100


class SmallBroker:
    """Accepts what it is asked for, keeps what it gets, says what the test tells it to."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.got: list[tuple[str | None, bytes, Incoming | None]] = []
        self.outcomes: list[tuple[object, Outcome]] = []
        self.senders: dict[str, Sender] = {}
        self.receivers: dict[str | None, Receiver] = {}
        self.filters: list[tuple[Filter, ...]] = []
        self.sessions = 0
        self.gone: list[str] = []
        self.errors: list[str] = []
        self.engine = Engine(self, server=True, container_id="small-broker")
        self.engine.connection.properties = {
            symbol("product"): self.script.product,
            symbol("version"): self.script.version,
        }
        if self.script.capabilities:
            self.engine.connection.offered_capabilities = [symbol(c) for c in self.script.capabilities]

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        self.got.append((receiver.link.target.address, body, incoming))

    def on_credit(self, sender: Sender) -> None:
        pass

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        self.outcomes.append((context, outcome))

    def on_endpoint(self, event: Event) -> None:
        name = event.type.name
        if name == "PN_CONNECTION_REMOTE_OPEN":
            event.connection.open()
        elif name == "PN_CONNECTION_REMOTE_CLOSE":
            self.engine.close()
        elif name == "PN_SESSION_REMOTE_OPEN":
            self.sessions += 1
            event.session.open()
        elif name == "PN_SESSION_REMOTE_CLOSE":
            event.session.close()
        elif name == "PN_LINK_REMOTE_OPEN":
            self._attach(event.link)
        elif name == "PN_LINK_REMOTE_CLOSE":
            self.gone.append(event.link.name)
            link = self.engine.link_of(event.link)
            if link is not None:
                self.engine.close_link(link)
        elif name == "PN_TRANSPORT_ERROR":
            self.errors.append(str(event.transport.condition))

    def _attach(self, link: Link) -> None:
        asked = read_source(link) if link.is_sender else read_target(link)
        condition = self.script.refuse.get(asked.address or "")
        if condition and self.script.end_session:
            link.session.condition = Condition(condition, "not here")
            link.session.close()
            self.engine.touch()
            return
        if condition:
            if not self.script.silent_refusal:
                (link.source if link.is_sender else link.target).type = Terminus.UNSPECIFIED
                link.open()
            link.condition = Condition(condition, "not here")
            link.close()
            self.engine.touch()
            return
        if link.is_sender:
            address = asked.address or f"dynamic-{len(self.senders)}"
            self.filters.append(asked.filters)
            if self.script.no_selectors and any(f.descriptor == SELECTOR_FILTER_CODE for f in asked.filters):
                link.source.type = Terminus.UNSPECIFIED
                link.open()
                link.condition = Condition("amqp:invalid-field", "no such selector")
                link.close()
                self.engine.touch()
                return
            echo = asked.filters if self.script.echo else ()
            if self.script.echo_as is not None:
                echo = tuple(Filter(f.name, self.script.echo_as, f.value) for f in echo)
            answer_source(link, address, (), echo)
            self.senders[address] = self.engine.sender(link)
            link.open()
            self.engine.touch()
        else:
            answer_target(link, asked.address)
            receiver = self.engine.receiver(link, self.script.credit)
            self.receivers[asked.address] = receiver
            receiver.open()
