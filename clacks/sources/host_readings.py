"""What the host source tells: memory, processors, interfaces, pools, made into events. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry

__all__ = [
    "Counters",
    "Memory",
    "Pool",
    "StateWatch",
    "differences",
    "parse_pools",
    "realtime_event",
    "state_event",
]


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes; None for what the system does not know."""

    total: int
    available: int
    used: int
    free: int
    percent: float
    active: int | None = None
    inactive: int | None = None
    buffers: int | None = None
    cached: int | None = None
    shared: int | None = None
    wired: int | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Bytes of one interface since its start."""

    received: int
    sent: int


def differences(before: Mapping[str, Counters], now: Mapping[str, Counters]) -> dict[str, Counters]:
    """Return the bytes since the reading before, by interface.

    One that is new has none yet. Counters that are lower than before began anew: what they show came since.
    """

    def since(old: int, new: int) -> int:
        return new - old if new >= old else new

    return {
        name: Counters(
            since(before[name].received, counters.received), since(before[name].sent, counters.sent)
        )
        if name in before
        else Counters(0, 0)
        for name, counters in now.items()
    }


def realtime_event(
    registry: SchemaRegistry,
    memory: Memory,
    usage: Sequence[float],
    temperatures: Mapping[str, float],
    counters: Mapping[str, Counters],
    last: Mapping[str, Counters],
) -> Event:
    """Return the event RealtimeReport.

    Args:
        registry: The event types.
        memory: Its use.
        usage: Percent in use of each processor.
        temperatures: Degrees Celsius by core.
        counters: Bytes of each interface.
        last: The same since the report before.
    """
    usage_items = [{"@core": str(core), "#text": round(percent, 1)} for core, percent in enumerate(usage)]
    return registry.from_dict(
        "RealtimeReport",
        {
            "VirtualMemory": {
                "Total": memory.total,
                "Available": memory.available,
                "Used": memory.used,
                "Free": memory.free,
                "Active": memory.active,
                "Inactive": memory.inactive,
                "Buffers": memory.buffers,
                "Cached": memory.cached,
                "Shared": memory.shared,
                "Wired": memory.wired,
                "Percent": round(memory.percent, 1),
            },
            "Cpu": {
                "Usage": usage_items,
                "Temperature": [
                    {"@core": core, "#text": round(degrees, 1)} for core, degrees in temperatures.items()
                ],
            },
            "Interface": [
                {
                    "@name": name,
                    "ReceivedBytes": counter.received,
                    "ReceivedBytesLast": last[name].received,
                    "SentBytes": counter.sent,
                    "SentBytesLast": last[name].sent,
                }
                for name, counter in sorted(counters.items())
            ],
        },
    )


_COLUMNS: Final = {
    "name": "name",
    "size": "Size",
    "alloc": "Alloc",
    "allocated": "Alloc",
    "free": "Free",
    "expandsz": "ExpandSz",
    "frag": "Frag",
    "cap": "Capacity",
    "dedup": "Dedup",
    "health": "Health",
    "altroot": "AltRoot",
}

# zpool-status(8); what needs attention, and how much of it, on the scale of the event from 0 to 10.
_PRIORITY: Final = {
    "ONLINE": 0,
    "OFFLINE": 3,
    "REMOVED": 6,
    "DEGRADED": 6,
    "UNAVAIL": 9,
    "FAULTED": 9,
    "SUSPENDED": 10,
}
_MOST_POOLS: Final = 1000
_NEARLY_FULL: Final = 90  # percent from which a pool needs attention: ZFS becomes slow there


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool; texts as zpool prints them."""

    name: str
    columns: Mapping[str, str]

    @property
    def priority(self) -> int:
        """How much attention it needs, from 0 to 10."""
        health = _PRIORITY.get(self.columns.get("Health", "").upper(), 6)
        full = self.columns.get("Capacity", "").rstrip("%")
        return max(health, 3 if full.isdigit() and int(full) >= _NEARLY_FULL else 0)


def parse_pools(text: str) -> tuple[Pool, ...]:
    """Read what ``zpool list`` prints.

    The heading names the columns: versions of ZFS differ in them (``CKPOINT`` came in 0.8). What is missing
    is a hyphen, as zpool itself writes it.
    """
    lines = text.splitlines()
    if not lines or "NAME" not in lines[0].split():
        return ()  # "no pools available"
    names = [_COLUMNS.get(word.lower()) for word in lines[0].split()]
    pools = []
    for line in lines[1 : _MOST_POOLS + 1]:
        words = line.split()
        if len(words) < len(names):
            continue
        extra = len(words) - len(names)  # the name comes first, and may have spaces
        words = [" ".join(words[: extra + 1]), *words[extra + 1 :]]
        found = {name: word for name, word in zip(names, words) if name is not None}
        columns = {name: found.get(name, "-") for name in _COLUMNS.values() if name != "name"}
        pools.append(Pool(found["name"], columns))
    return tuple(pools)


def state_event(
    registry: SchemaRegistry, hostname: str, pools: Sequence[Pool], *, changed: bool = False
) -> Event:
    """Return the event SystemState.

    Args:
        registry: The event types.
        hostname: Name of the machine.
        pools: Its pools.
        changed: Whether the name is not that of the event before.
    """
    return registry.from_dict(
        "SystemState",
        {
            "Hostname": hostname,
            "HostnameChanged": True if changed else None,
            "Pool": [
                {"@name": pool.name, **pool.columns, "Priority": pool.priority or None} for pool in pools
            ],
            "Priority": max((pool.priority for pool in pools), default=0),
        },
    )


class StateWatch:
    """Tells when a SystemState is to be sent: now and then, and when something changed.

    Args:
        interval: Seconds between two of them while nothing changes.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._sent = float("-inf")
        self._hostname: str | None = None
        self._alarm: object = None

    def due(self, hostname: str, pools: Sequence[Pool], now: float) -> bool | None:
        """Return None if there is nothing to send, else whether the name of the host changed.

        Of a pool its coming, going and health count as change, not every byte written to it.
        """
        alarm = tuple((pool.name, pool.columns.get("Health"), pool.priority) for pool in pools)
        renamed = self._hostname is not None and hostname != self._hostname
        if not renamed and alarm == self._alarm and now - self._sent < self._interval:
            return None
        self._hostname, self._alarm, self._sent = hostname, alarm, now
        return renamed
