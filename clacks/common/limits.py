"""Named limits for everything that comes from outside.

Each limit gives its unit, the reason for its value, and the error it leads to. They are the defaults; the
settings may change those that are also fields of a frozen dataclass here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may ask of this process; bytes, counts and seconds."""

    message_size: int = 4 * 1024 * 1024
    """Bytes of one AMQP message. Events are small; a report of a large Puppet run is below 1 MiB.
    Beyond it the link is detached with ``amqp:link:message-size-exceeded``."""

    frame_size: int = 64 * 1024
    """Bytes of one AMQP frame: what asyncio reads at a time. Beyond it ``amqp:connection:framing-error``."""

    connections: int = 8192
    """Connections of one broker: below the usual limit of file descriptors. Beyond it a new one is closed
    with ``amqp:resource-limit-exceeded``."""

    links: int = 256
    """Links of one connection. Beyond it a link is detached with ``amqp:resource-limit-exceeded``."""

    sessions: int = 64
    """Sessions of one connection (AMQP's channel-max + 1); proton clients use one."""

    queue_events: int = 1000
    """Messages waiting for one consumer: half a second at load. Then the oldest is dropped, counted."""

    queue_bytes: int = 16 * 1024 * 1024
    """Bytes waiting for one consumer, so that few large events cannot fill memory. Then as above."""

    dynamic_nodes: int = 64
    """Dynamic nodes (reply addresses) of one connection. Beyond it ``amqp:resource-limit-exceeded``."""

    nodes: int = 65536
    """Addresses of one broker that exist because a peer asked for them. Beyond it
    ``amqp:resource-limit-exceeded``."""

    filter_size: int = 64 * 1024
    """Bytes of one filter query; a query of a person is below 2 KiB. Beyond it ``amqp:invalid-field``."""

    waiting_bytes: int = 512 * 1024 * 1024
    """Bytes of all messages that wait in one broker. Beyond it slow consumers lose their oldest at once, and
    queues take nothing: ``amqp:resource-limit-exceeded``."""

    idle_timeout: float = 30.0
    """Seconds of silence after which a peer counts as gone (AMQP idle-time-out). Half of it is the beat."""

    login_timeout: float = 10.0
    """Seconds in which a new connection must have finished TLS, SASL and open. Then it is closed."""

    credit: int = 1000
    """Link credit that a receiver of events gives: the unaccounted window of a lost connection."""

    xml_depth: int = 200
    """Nesting of one event document; events are below 10 deep. Beyond it ``MalformedEvent``."""

    xml_tags: int = 200_000
    """Tags of one event document (each ``<`` counts): a tree costs 60 times the bytes of its shortest tags,
    so bytes alone do not bound memory; a large Puppet report has 50,000. Beyond it ``MalformedEvent``."""


DEFAULT_LIMITS = Limits()
