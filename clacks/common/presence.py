"""How nodes and clients show that they are there: rhythms and words that both sides share.

An agent and a client must agree on how often somebody says that it lives, after how long a silence it counts
as gone, and over how long a time many answers to one question are spread. All times are in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from clacks.common.event_document import Event

__all__ = [
    "CLIENTS_PROPERTY",
    "CLIENT_SILENCE",
    "INSTANCE_PROPERTY",
    "MOST_WANTED",
    "NODE_SILENCE",
    "PING_INTERVAL",
    "SPEAKERS",
    "STATUS_INTERVAL",
    "WANTED_PROPERTY",
    "client_window",
    "node_window",
    "speaker_of",
]

STATUS_INTERVAL: Final = 10.0
"""Between two NodeStatus of one agent."""

PING_INTERVAL: Final = 60.0
"""Between two ClientPing of one client: 100,000 clients make 1,667 events a second of it."""

_MISSED: Final = 3.5
"""Intervals of silence after which somebody is gone: three that did not come, and half a one for the way."""

NODE_SILENCE: Final = _MISSED * STATUS_INTERVAL
"""Silence after which a node is gone."""

CLIENT_SILENCE: Final = _MISSED * PING_INTERVAL
"""Silence after which a client is gone."""

INSTANCE_PROPERTY: Final = "clacks_instance"
"""Application property of life-cycle events: a random text that each start of an agent or client makes anew.
Two that live at the same time under one id can be told apart by it."""

CLIENTS_PROPERTY: Final = "clacks_clients"
"""Application property of ClientPoll: how many clients the agent expects to answer, as far as it knows."""

WANTED_PROPERTY: Final = "clacks_wanted"
"""Application property of ClientPoll: the ids of the clients that shall answer, with a space between two. If
it is missing all shall; who does not know it answers, which is one event more than needed."""

MOST_WANTED: Final = 500
"""Clients that one ClientPoll names: with ids of 36 characters 18 kB. If more are wanted all are asked."""

SPEAKERS: Final = frozenset(
    {
        "ClientAnnounce",
        "ClientLeave",
        "ClientPing",
        "ClientSignature",
        "NodeAnnounce",
        "NodeCapabilities",
        "NodeLeave",
        "NodeStatus",
        "UserSession",
    }
)
"""Event types in which a node or client speaks of itself: their ``Id`` says who. Only logins whose right
``announce`` covers that id may publish them."""


def node_window(nodes: int) -> float:
    """Return over how long the answers of ``nodes`` nodes to one question are spread."""
    return max(1.0, nodes * 0.010)


def client_window(clients: int) -> float:
    """Return over how long the answers of ``clients`` clients to one ClientPoll are spread."""
    return max(10.0, clients * 0.001)


def speaker_of(event: Event) -> str | None:
    """Return the id of the node or client that speaks of itself in ``event``; None for all other events.

    Example:
        >>> from clacks.common.schema import SchemaRegistry
        >>> speaker_of(SchemaRegistry().from_dict("NodeLeave", {"Id": "one"}))
        'one'
    """
    if event.kind not in SPEAKERS:
        return None
    found = event.root[0].find("{*}Id")
    return "" if found is None else found.text or ""  # there are no comments in an event
