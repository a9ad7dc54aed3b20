"""A broker as a process, and what a test does to it; more processes where a case kills them, too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil

from clacks.bus import Bus
from clacks.common.limits import Limits
from clacks.common.schema import SchemaRegistry
from tests.agent.fleet import free_port
from tests.chaos.ledger import Ledger, Sent, dropped_of
from tests.chaos.part import Ear, Journal, Mouth, flat, limits_of

__all__ = [
    "PATIENCE",
    "REGISTRY",
    "Part",
    "Town",
    "account",
    "got_of",
    "quiet",
    "sent_of",
    "settled",
    "town",
    "until",
]

REGISTRY = SchemaRegistry(plugins=False)
PART = str(Path(__file__).with_name("part.py"))
"""By its file: some package installs a module ``tests`` of its own."""
PATIENCE = 60.0
"""Seconds: generous, never the thing that is tested."""


async def until(condition: Any, limit: float = PATIENCE) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)


class Part:
    """One process of ``tests.chaos.part``."""

    def __init__(self, role: str, before: tuple[str, ...] = (), **options: Any) -> None:
        self.role = role
        self._command = [*before, sys.executable, PART, role, json.dumps(options)]
        self.process: asyncio.subprocess.Process
        self.hello: dict[str, Any] = {}
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("CLACKS_")}

    async def start(self, **more: str) -> Part:
        """Run it and wait until it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**self._environment, **more},
            limit=1 << 22,
        )
        self.hello = await self._hear()
        return self

    async def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        assert line, f"the {self.role} ended: {await self.process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self, **words: Any) -> dict[str, Any]:
        """Return its metrics, resident size, file descriptors, CPU seconds."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        answer = await self._hear()
        # From outside: it may have no file descriptor left to look at itself.
        seen = psutil.Process(self.process.pid)
        return {**answer, "rss": seen.memory_info().rss, "fds": seen.num_fds()}

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def kill(self) -> None:
        """Kill -9."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        # The transport of the pipes goes with the loop's next turns.
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Let it end as it likes to."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()


class Town:
    """A broker on a port that stays the same, and buses of this process."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.host = "127.0.0.1"
        self.options = {"port": self.port, "state_dir": str(folder / "state"), **options}
        self.broker = Part("broker", **self.options)
        self._stack = contextlib.AsyncExitStack()
        self.parts: list[Part] = []

    async def up(self, **options: Any) -> None:
        """Start a broker there (again)."""
        self.broker = Part("broker", **{**self.options, **options})
        await self.broker.start()

    async def up_with(self, **variables: str) -> None:
        """Start a broker with these variables."""
        self.broker = Part("broker", **self.options)
        await self.broker.start(**variables)

    def url(self, port: int | None = None, user: str = "admin:secret") -> str:
        """Return the URL of the bus; through a relay if ``port`` says so."""
        return f"amqp://{user}@{self.host}:{port or self.port}/org.clacks"

    async def part(self, role: str, **options: Any) -> Part:
        """Start another process."""
        found = Part(role, **options)
        self.parts.append(found)
        return await found.start()

    async def bus(self, port: int | None = None, limits: dict[str, Any] | None = None, **options: Any) -> Bus:
        """Return a bus of this process."""
        known: Limits = limits_of(limits)
        bus = Bus(self.url(port), registry=REGISTRY, limits=known, **options)
        return await self._stack.enter_async_context(bus)

    async def ear(self, bus: Bus, pause: float = 0.0, **options: Any) -> Ear:
        """Return a consumer of this process."""
        ear = Ear(await bus.subscribe(kinds=["PhoneStatus"], **options), pause=pause)
        self._stack.callback(ear.task.cancel)
        return ear

    def mouth(self, bus: Bus, prefix: str = "e") -> Mouth:
        """Return a publisher of this process."""
        return Mouth(bus, REGISTRY, prefix)

    async def dropped(self, **buses: Bus) -> dict[str, dict[str, int]]:
        """Return what the broker and these buses say that they dropped."""
        found = {name: dropped_of(flat(bus.metrics)) for name, bus in buses.items()}
        found["broker"] = dropped_of((await self.broker.ask())["metrics"])
        return found

    async def close(self) -> None:
        """End everything."""
        try:
            await self._stack.aclose()
        finally:
            for part in (*self.parts, self.broker):
                if part.hello:
                    part.send(signal.SIGCONT) if part.process.returncode is None else None
                    await part.kill()


@contextlib.asynccontextmanager
async def town(folder: Path, **options: Any) -> AsyncIterator[Town]:
    """Run a broker and end what is left of everything."""
    this = Town(folder, **options)
    try:
        await this.up()
        yield this
    finally:
        await this.close()


def sent_of(*journals: Journal | list[tuple[str, ...]]) -> list[Sent]:
    """Return what was published without ``stored``."""
    lines = [line for j in journals for line in (j.lines if isinstance(j, Journal) else j)]
    return [Sent(line[1], float(line[2])) for line in lines if line[0] == "sent"]


def got_of(*journals: Journal | list[tuple[str, ...]]) -> list[str]:
    """Return what a consumer got."""
    lines = [line for j in journals for line in (j.lines if isinstance(j, Journal) else j)]
    return [line[1] for line in lines if line[0] == "got"]


def account(case: str, mouth: Mouth, *ears: Ear, **more: Any) -> Ledger:
    """Return the ledger of a publisher and consumers of this process."""
    return Ledger(
        case,
        sent_of(mouth.journal),
        [got_of(ear.journal) for ear in ears],
        gaps=[tuple(ear.gaps) for ear in ears],
        **more,
    )


async def quiet(*ears: Ear, seconds: float = 0.5) -> None:
    """Wait until nothing comes any more."""
    before, since = None, time.monotonic()
    while time.monotonic() - since < seconds:
        now = [(len(ear.journal.lines), ear.events.waiting) for ear in ears]
        if now != before:
            before, since = now, time.monotonic()
        await asyncio.sleep(0.02)


async def settled(journal: Path, seconds: float = 0.5) -> None:
    """Wait until the journal of another process does not grow any more."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        now = journal.stat().st_size if journal.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        await asyncio.sleep(0.02)
