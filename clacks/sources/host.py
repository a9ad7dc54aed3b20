"""The host source: NodeStatus, RealtimeReport and SystemState of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import psutil

from clacks.common.errors import BusError
from clacks.common.event import Event
from clacks.common.presence import STATUS_INTERVAL
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import HostSettings
from clacks.sources.host_readings import (
    Counters,
    Memory,
    Pool,
    StateWatch,
    differences,
    parse_pools,
    realtime_event,
    state_event,
)
from clacks.sources.outbox import Publish

__all__ = ["HostSource", "read_counters", "read_memory", "read_pools", "read_temperatures"]

_log = logging.getLogger(__name__)

_LOOK: Final = 10.0  # seconds between two looks at host name and pools
_ZPOOL_TIME: Final = 30.0  # a pool that lost its disks may make zpool wait for ever
_ZPOOL_OUTPUT: Final = 1024 * 1024
_CORE: Final = re.compile(r"(?:Core|CPU|Tccd)\s*(\d+)", re.ASCII)


def read_memory() -> Memory:
    """Return the use of memory."""
    found = psutil.virtual_memory()

    def of(name: str) -> int | None:
        value = getattr(found, name, None)
        return int(value) if value is not None else None

    return Memory(
        found.total,
        found.available,
        found.used,
        found.free,
        found.percent,
        *map(of, ("active", "inactive", "buffers", "cached", "shared", "wired")),
    )


def read_temperatures() -> dict[str, float]:
    """Return degrees Celsius by core; empty where there is no sensor, as in most virtual machines."""
    sensors: Mapping[str, Sequence[Any]] = getattr(psutil, "sensors_temperatures", dict)()
    found: dict[str, float] = {}
    for chip in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal"):
        for place, sensor in enumerate(sensors.get(chip, ())):
            core = _CORE.search(sensor.label)
            if sensor.current is not None and (core or chip.startswith("cpu")):
                found.setdefault(core[1] if core else str(place), float(sensor.current))
    return found


def read_counters() -> dict[str, Counters]:
    """Return the bytes that went through each interface."""
    return {
        name: Counters(item.bytes_recv, item.bytes_sent)
        for name, item in psutil.net_io_counters(pernic=True).items()
    }


async def read_pools(program: str) -> tuple[Pool, ...]:
    """Return the ZFS pools; none where the program is not there, fails or does not end.

    Args:
        program: ``zpool``, or its path.
    """
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") if program else None
    if path is None:
        return ()
    process = await asyncio.create_subprocess_exec(
        path,
        "list",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    try:
        async with asyncio.timeout(_ZPOOL_TIME):
            assert process.stdout is not None
            data = await process.stdout.read(_ZPOOL_OUTPUT)
            await process.wait()
    except TimeoutError:
        _log.warning("zpool does not answer, pools are left out program=%s", path)
        return ()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return parse_pools(data.decode("utf-8", "replace"))


class HostSource:
    """Tells how this machine does.

    Args:
        registry: The event types.
        settings: What to tell and how often.
        publish: Sends an event.
    """

    def __init__(self, registry: SchemaRegistry, settings: HostSettings, publish: Publish) -> None:
        self._registry = registry
        self._settings = settings
        self._publish = publish
        self._before: Mapping[str, Counters] = {}
        self._watch = StateWatch(settings.state)
        self._id = settings.id or platform.node() or "host"

    async def run(self) -> None:
        """Tell it until cancelled."""
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            if settings.realtime:
                psutil.cpu_percent(percpu=True)  # the first answer has nothing to compare with
                self._before = read_counters()
                group.create_task(self._every(settings.realtime, self.realtime))
            if settings.state:
                group.create_task(self._every(min(_LOOK, settings.state), self.state, at_once=True))
            if settings.status:
                group.create_task(self._every(STATUS_INTERVAL, self.status))

    async def _every(
        self, seconds: float, read: Callable[[float], Awaitable[Event | None]], *, at_once: bool = False
    ) -> None:
        """Publish what ``read`` returns; it gets by how many seconds its timer was late."""
        loop = asyncio.get_running_loop()
        at = loop.time() + (0.0 if at_once else seconds)
        while True:
            await asyncio.sleep(max(0.0, at - loop.time()))
            event = await read(max(0.0, loop.time() - at))
            if event is not None:
                try:
                    await self._publish(event)
                except BusError as error:
                    _log.warning("an event was not sent kind=%s reason=%s", event.kind, error)
            at = max(at + seconds, loop.time())  # what is late is not made up for

    async def realtime(self, late: float = 0.0) -> Event:
        """Return a RealtimeReport; differences are those since the one before."""
        usage, counters = psutil.cpu_percent(percpu=True), read_counters()
        last = differences(self._before, counters)
        self._before = counters
        temperatures = await asyncio.to_thread(read_temperatures)  # reading a sensor may take milliseconds
        return realtime_event(self._registry, read_memory(), usage, temperatures, counters, last)

    async def state(self, late: float = 0.0) -> Event | None:
        """Return a SystemState if one is due."""
        hostname, pools = platform.node(), await read_pools(self._settings.zpool)
        renamed = self._watch.due(hostname, pools, time.monotonic())
        if renamed is None:
            return None
        return state_event(self._registry, hostname, pools, changed=renamed)

    async def status(self, late: float = 0.0) -> Event:
        """Return a NodeStatus; ``late`` is by how many seconds a timer was late."""
        processors = os.cpu_count() or 1
        return self._registry.from_dict(
            "NodeStatus",
            {
                "Id": self._id,
                "Load": round(os.getloadavg()[0] / processors, 3),
                "Latency": round(late, 6),
                "Workers": 0,
            },
        )
