"""Having an event recorded before it is published: the caller's side of ``recordEvent``.

The agent that records serves the command queue ``log``. A call may end without an answer while that agent is
restarted; it is then made again under the same event id, by which the agent knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from clacks.amqp.eventmessage import RESERVED, EventIdentity
from clacks.common.errors import CommandRefused, CommandTimeout, LinkRefused, OutcomeUnknown
from clacks.common.event import Event
from clacks.common.jsonrpc import OUTCOME_UNKNOWN, UNAVAILABLE

__all__ = ["LOG_QUEUE", "NOBODY_RECORDS", "PATIENCE", "Ask", "record"]

LOG_QUEUE: Final = "log"
"""Command queue of the agent that records, beside those that it serves anyway."""

NOBODY_RECORDS: Final = "no agent on this domain records events"

Ask: TypeAlias = Callable[[str, Mapping[str, Any], float], Awaitable[Any]]
"""Calls a command of the agent that records: method, arguments, seconds for the answer. Raises
CommandError, LinkRefused."""

PATIENCE: Final = 5.0
"""Seconds until somebody must have taken a call: then nobody records."""

_AGAIN: Final = 0.25  # seconds before a call is made again whose outcome is unknown
_TOGETHER: Final = 30.0  # seconds for all attempts


async def record(
    ask: Ask,
    event: Event,
    identity: EventIdentity,
    properties: Mapping[str, Any] | None,
    expires: datetime | None,
) -> str:
    """Have an event recorded and published; return its log id.

    Raises:
        CommandRefused: Nobody records, the log takes no events, or the rights do not suffice.
        OutcomeUnknown: The agent that records was lost for too long.
        ValueError, TypeError: A property has a name of CloudEvents' own, or a type that JSON lacks.
    """
    taken = RESERVED & set(properties or ())
    if taken:
        raise ValueError(f"the properties {', '.join(sorted(taken))} are written by the bus itself")
    arguments: dict[str, Any] = {
        "data": event.xml.decode("utf-8"),
        "id": identity.id,
        "source": identity.source,
        "time": identity.time,
    }
    if properties:
        arguments["properties"] = {name: _plain(name, value) for name, value in properties.items()}
    if expires is not None:
        arguments["expires"] = int(expires.timestamp() * 1000)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _TOGETHER
    doubtful: OutcomeUnknown | None = None
    while True:
        try:
            return str(await ask("recordEvent", arguments, deadline - loop.time()))
        except OutcomeUnknown as error:
            doubtful = error
        except CommandRefused as error:
            if error.code != OUTCOME_UNKNOWN:  # the agent's own word that it stopped in the middle
                raise
            doubtful = OutcomeUnknown(error.code, error.message, error.data)
        except (CommandTimeout, LinkRefused):
            # There was somebody a moment ago: it may come back.
            if doubtful is None:
                raise CommandRefused(UNAVAILABLE, NOBODY_RECORDS) from None
        if loop.time() + 2 * _AGAIN > deadline:
            raise doubtful
        await asyncio.sleep(_AGAIN)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"the property {name} of a stored event cannot be {type(value).__name__}")
