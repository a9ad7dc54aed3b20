"""The one asynchronous client of the bus: publish, subscribe, call, serve.

Everything else that speaks to a bus, the blocking classes and the services, is built on `Bus`. This package
uses asyncio's tasks and queues, never sockets: those are in ``net``; what AMQP says is in ``amqp``.
"""

from clacks.bus.bus import Bus, EventLike
from clacks.bus.replaying import Since
from clacks.bus.serving import CallHandler, Service
from clacks.bus.state import BusState, StateChange
from clacks.bus.subscription import Gap, Received, Subscription

__all__ = [
    "Bus",
    "BusState",
    "CallHandler",
    "EventLike",
    "Gap",
    "Received",
    "Service",
    "Since",
    "StateChange",
    "Subscription",
]
