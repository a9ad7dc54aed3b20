"""What the brokers of this world make of AMQP 1.0, as data.

AMQP 1.0 says how messages travel, not what an address means, whether a node can be made on the way, or
whether a filter that a broker repeats in its answer is applied. A `Profile` says it for one product. It is
chosen from what the broker says of itself when the connection opens, or by hand.

Addresses come in two forms: those of the bus (``org.clacks.event.PhoneStatus``, see ``common.address``) and
those of the broker (``/topic/org.clacks.event.PhoneStatus``). Everything above this file speaks the first.

In the templates stand ``{address}`` (the bus address with the broker's wildcards), ``{all}`` (the topic that
means all event types), ``{kind}`` and ``{name}`` (as ``{address}``, percent-encoded).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from clacks.common.address import event_kind, is_event_address
from clacks.common.errors import SettingsError

__all__ = [
    "PROFILES",
    "FilterTrust",
    "NodeKind",
    "Peer",
    "Profile",
    "UserTrust",
    "choose_profile",
    "named_profile",
]


class FilterTrust(enum.Enum):
    """What an XQuery filter in the broker's answer proves."""

    NEVER = "never"
    """Nothing: it is not sent, the consumer evaluates."""

    ECHO = "echo"
    """The broker repeats what it applies and leaves out the rest."""


class UserTrust(enum.Enum):
    """What the ``user-id`` of a received message is worth."""

    VERIFIED = "verified"
    """The broker refuses messages whose user-id is not the login of their sender."""

    UNTRUSTED = "untrusted"
    """Anybody can write anything there."""


class NodeKind(enum.Enum):
    """What an address is to the broker."""

    TOPIC = "topic"
    QUEUE = "queue"
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Peer:
    """What a broker says of itself in its ``open``; texts are empty where it says nothing."""

    product: str = ""
    version: str = ""
    container: str = ""
    capabilities: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """Product and version for people."""
        return f"{self.product} {self.version}".strip() or self.container or "a broker without a name"


@dataclass(frozen=True, slots=True)
class Profile:
    """How to use one broker product."""

    name: str
    product: str
    """Regular expression, searched in the product that the broker names, without regard to case."""

    version: str = ""
    """Regular expression for the beginning of its version."""

    topic_target: str = "{address}"
    topic_source: str = "{address}"
    queue_target: str = "{address}"
    queue_source: str = "{address}"
    reply_source: str = "{address}"
    """Where answers are read if the broker makes no dynamic node; also what the message names as reply-to."""

    everything: str = "{domain}.event.#"
    """The bus address that means all event types, before the wildcards are translated."""

    one_level: str = "*"
    many_levels: str = "#"

    relay: frozenset[NodeKind] = frozenset()
    """For which addresses a sender without target is used, if the broker offers one."""

    relay_announced: bool = True
    """Whether the offered capability ANONYMOUS-RELAY must be there; else the relay is known to exist."""

    reply_via: tuple[str, str] | None = None
    """``(prefix, target)``: answers to reply addresses with that prefix go over one link to ``target``, with
    the rest of the address as subject. Spares a link for every caller where there is no relay."""

    dynamic: bool = True
    """Whether the broker makes reply nodes."""

    xquery: FilterTrust = FilterTrust.NEVER
    kind_links: bool = False
    """Whether a receiver sees only one event type, so that all types need a link each."""

    subject_filter: bool = False
    """Whether a receiver of a topic names the subject it wants in a binding filter."""

    selectors: bool = False
    """Whether JMS selectors are really applied to a topic's messages, at the broker, before they are sent."""

    session_per_link: bool = False
    """Whether errors of one link end its whole session."""

    user_id: UserTrust = UserTrust.UNTRUSTED
    accepts_early: bool = True
    """Whether ``accepted`` only means that the broker has the message; else a consumer took it."""

    claims: bool = False
    """Whether a consumer can claim a message and be told that the broker has noted it."""

    checked: bool = False
    """Whether the broker lets only valid events of matching address and subject through."""

    topic_capabilities: tuple[str, ...] = ()
    queue_capabilities: tuple[str, ...] = ()
    topic_properties: Mapping[str, str] = field(default_factory=dict)
    """Node properties of a topic's terminus, for brokers that make nodes on demand."""

    advice: str = ""
    """What an operator should know, in a sentence or two."""

    # -- addresses

    def all_events(self, domain: str) -> str:
        """Return the bus address of the topic that means all event types."""
        return self.everything.format(domain=domain)

    def target(self, address: str, kind: NodeKind, domain: str = "") -> str:
        """Return the broker's address for sending to a bus address (a reply address stays as it is)."""
        if kind is NodeKind.REPLY:
            return address
        return self._fill(self.topic_target if kind is NodeKind.TOPIC else self.queue_target, address, domain)

    def source(self, address: str, kind: NodeKind, domain: str = "") -> str:
        """Return the broker's address for receiving from a bus address."""
        templates = {
            NodeKind.TOPIC: self.topic_source,
            NodeKind.QUEUE: self.queue_source,
            NodeKind.REPLY: self.reply_source,
        }
        return self._fill(templates[kind], address, domain)

    def _fill(self, template: str, address: str, domain: str) -> str:
        translated = ".".join(
            {"*": self.one_level, "#": self.many_levels}.get(level, level) for level in address.split(".")
        )
        whole = is_event_address(address, domain)
        return template.format(
            address=translated,
            name=quote(translated, safe=""),
            all=f"{domain}.event",
            kind=(event_kind(address, domain) or "") if whole else address,
        )

    def capabilities(self, kind: NodeKind) -> tuple[str, ...]:
        """Return what the terminus of such a node asks for."""
        return {NodeKind.TOPIC: self.topic_capabilities, NodeKind.QUEUE: self.queue_capabilities}.get(
            kind, ()
        )

    def relays(self, kind: NodeKind, peer: Peer) -> bool:
        """Tell whether messages to such nodes go over a sender without target."""
        return kind in self.relay and (not self.relay_announced or "ANONYMOUS-RELAY" in peer.capabilities)

    def matches(self, peer: Peer) -> bool:
        """Tell whether this is the profile of that broker."""
        return (
            re.search(self.product, peer.product, re.IGNORECASE) is not None
            and re.match(self.version, peer.version) is not None
        )


_ALL: Final = frozenset(NodeKind)

EMBEDDED: Final = Profile(
    "clacks",
    r"^clacks\b",
    everything="{domain}.event",
    # Events go over a link of their own each: the broker decides once who may publish what, and says so.
    relay=frozenset({NodeKind.REPLY}),
    relay_announced=False,
    xquery=FilterTrust.ECHO,
    user_id=UserTrust.VERIFIED,
    accepts_early=False,
    claims=True,
    checked=True,
)

RABBITMQ_3: Final = Profile(
    "rabbitmq-3",
    r"^rabbitmq",
    r"3\.",
    topic_target="/topic/{address}",
    topic_source="/topic/{address}",
    queue_target="/queue/{address}",
    queue_source="/queue/{address}",
    reply_source="/topic/{address}",
    reply_via=("/topic/", "/exchange/amq.topic"),
    dynamic=False,
    session_per_link=True,
    user_id=UserTrust.VERIFIED,
    advice="Set amqp1_0.default_user = none, and a policy that lets queues '^amq[.]gen' expire: this broker "
    "keeps the queue of every subscription that ever was.",
)

RABBITMQ_4: Final = Profile(
    "rabbitmq-4",
    r"^rabbitmq",
    r"([4-9]|\d\d)",
    # Address format v2 for what it can say. It has no address for "a queue of my own, bound to this key", and
    # its queues must exist before; format v1 has both and is permitted by default (amqp_address_v1).
    topic_target="/exchanges/amq.topic/{name}",
    topic_source="/topic/{address}",
    queue_target="/queue/{address}",
    queue_source="/queue/{address}",
    reply_source="/topic/{address}",
    reply_via=("/topic/", "/exchange/amq.topic"),
    dynamic=False,
    session_per_link=True,
    user_id=UserTrust.VERIFIED,
    advice="Keep the deprecated feature amqp_address_v1 permitted: subscriptions and command queues use it.",
)

ACTIVEMQ: Final = Profile(
    "activemq",
    r"^activemq$|^apache[ -]?activemq$",
    topic_target="topic://{address}",
    topic_source="topic://{address}",
    queue_target="queue://{address}",
    queue_source="queue://{address}",
    reply_source="queue://{address}",
    many_levels=">",
    selectors=True,
    relay=frozenset({NodeKind.REPLY}),
    advice="Limit what waits for a slow subscriber (constantPendingMessageLimitStrategy): by default one "
    "stops the whole topic. Set transport.tcpNoDelay. With populateJMSXUserID and "
    "useAuthenticatedPrincipalForJMSXUserID the broker writes the login into each message; then tell agents "
    "to believe it (trust_users).",
)

ARTEMIS: Final = Profile(
    "artemis",
    r"artemis",
    selectors=True,
    relay=frozenset({NodeKind.REPLY}),
    topic_capabilities=("topic",),
    queue_capabilities=("queue",),
    advice="Nobody checks who speaks: populate-validated-user does nothing for AMQP (2.44). Agents refuse "
    "calls unless all who may send to command queues may be trusted with each other's names (trust_users).",
)

BROKER_J: Final = Profile(
    "broker-j",
    r"broker-?j|qpid-java",
    topic_target="amq.topic/{address}",
    topic_source="amq.topic/{address}",
    selectors=True,
    relay=frozenset({NodeKind.REPLY}),
    advice="Command queues must exist, or be made by a node auto-creation policy. With the context variable "
    "qpid.broker_msg_auth the broker refuses messages in the name of another; then tell agents to believe it "
    "(trust_users).",
)

QPIDD: Final = Profile(
    "qpidd",
    r"qpid-cpp|qpidd",
    topic_target="{all}",
    topic_source="{all}",
    xquery=FilterTrust.ECHO,
    kind_links=True,
    subject_filter=True,
    relay=frozenset({NodeKind.REPLY}),
    topic_capabilities=("create-on-demand", "topic"),
    queue_capabilities=("create-on-demand", "queue"),
    topic_properties={"exchange-type": "xml"},
    advice="Queries can read files of the broker's machine: let only trusted users subscribe.",
)

GENERIC: Final = Profile(
    "generic",
    r"",
    relay=frozenset({NodeKind.REPLY}),
    topic_capabilities=("topic",),
    queue_capabilities=("queue",),
    advice="This broker is not known; say which profile fits if something does not work.",
)

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (EMBEDDED, RABBITMQ_3, RABBITMQ_4, ARTEMIS, ACTIVEMQ, BROKER_J, QPIDD, GENERIC)
}
"""All profiles by name, in the order in which they are tried; the last fits every broker."""


def choose_profile(peer: Peer) -> Profile:
    """Return the first profile that fits what the broker says of itself."""
    return next(profile for profile in PROFILES.values() if profile.matches(peer))


def named_profile(name: str) -> Profile:
    """Return the profile of that name.

    Raises:
        SettingsError: If there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise SettingsError("broker profile", f"{name!r} is none of {', '.join(PROFILES)}") from None
