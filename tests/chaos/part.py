"""The processes of a case: broker, agent that records, publisher, consumer.

    python tests/chaos/part.py ROLE ARGUMENTS_AS_JSON

Broker and agent are put together by the functions that ``clacks broker`` and ``clacks agent`` call. Each
says ``{"ready": ...}`` in a line of JSON, and answers each line that it reads with its metrics. What
publishers and consumers did is in their journals: one ``write`` per line, so that a SIGKILL takes nothing
back.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clacks.bus import Bus, BusState, Gap, StateChange, Subscription
from clacks.common.errors import BusError, CommandError
from clacks.common.event import Event, EventMaker
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.metrics import Metrics
from clacks.common.schema import SchemaRegistry

__all__ = ["Ear", "Journal", "Mouth", "flat", "limits_of"]


def flat(metrics: Metrics) -> dict[str, int]:
    """Return all counts under one text each, as a line of JSON can carry them."""
    return {
        name + (str(dict(labels)) if labels else ""): value
        for (name, labels), value in metrics.snapshot().items()
    }


def limits_of(changes: Mapping[str, Any] | None) -> Limits:
    """Return the usual limits with some changed."""
    from dataclasses import replace

    return replace(DEFAULT_LIMITS, **(changes or {}))


class Journal:
    """Lines of words: in memory, and in a file if there is a path."""

    def __init__(self, path: str | None = None) -> None:
        self.lines: list[tuple[str, ...]] = []
        self._file = None
        if path is not None:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, *words: str) -> None:
        """Write a line."""
        if self._file is None:
            self.lines.append(words)
        else:
            os.write(self._file, (" ".join(words) + "\n").encode())

    @staticmethod
    def read(path: Path) -> list[tuple[str, ...]]:
        """Return what a process wrote, up to the last whole line."""
        if not path.exists():
            return []
        return [tuple(line.split(" ")) for line in path.read_text().split("\n")[:-1]]


class Mouth:
    """Publishes numbered events at a steady rate and writes down which, and when.

    Journal: ``sent NAME TIME``, ``refused NAME`` (publish said False), ``stored NAME LOGID``.
    """

    def __init__(
        self, bus: Bus, registry: SchemaRegistry, prefix: str = "e", journal: str | None = None
    ) -> None:
        self.bus = bus
        self.journal = Journal(journal)
        self._maker = EventMaker(registry)
        self._registry = registry
        self._prefix = prefix
        self._number = 0
        self._over = False
        self._pending: set[asyncio.Task[None]] = set()

    def event(self) -> tuple[str, Event]:
        """Make the next one."""
        self._number += 1
        name = f"{self._prefix}{self._number}"
        made = self._maker.event("PhoneStatus", CallerId=name, ReceiverId="1", Status="busy")
        return name, self._registry.event(made)

    async def say(self, name: str, event: Event, *, stored: bool) -> None:
        """Publish one."""
        self.journal.note("stored-sent" if stored else "sent", name, repr(time.time()))
        if stored:
            try:
                self.journal.note("stored", name, await self.bus.publish(event, stored=True))
            except (BusError, CommandError):
                self.journal.note("unanswered", name)
        elif not await self.bus.publish(event):
            self.journal.note("refused", name)

    async def talk(self, rate: float, seconds: float | None = None, *, stored_every: int = 0) -> None:
        """Publish until the time is over or `stop`; each ``stored_every``-th with ``stored=True``."""
        loop = asyncio.get_running_loop()
        start, count = loop.time(), 0
        while not self._over and (seconds is None or loop.time() - start < seconds):
            due = int((loop.time() - start) * rate) + 1 if rate else count + 50
            # Who was stopped does not catch up with what it would have said: that would be a flood.
            if due - count > max(50.0, rate):
                start, count, due = loop.time(), 0, 1
            for _ in range(due - count):
                count += 1
                name, event = self.event()
                if stored_every and count % stored_every == 0:
                    task = asyncio.ensure_future(self.say(name, event, stored=True))
                    self._pending.add(task)
                    task.add_done_callback(self._pending.discard)
                else:
                    await self.say(name, event, stored=False)
            await asyncio.sleep(0.002 if rate else 0)
        if self._pending:
            await asyncio.wait(self._pending)

    def stop(self) -> None:
        """Say no more."""
        self._over = True


class Ear:
    """Reads a subscription and writes down what it got.

    Journal: ``got NAME TIME LOGID``, ``gap START END`` in seconds since 1970, ``again NAME``. What an earlier
    life wrote down counts as done: a plain event has no place in the log when it comes live, so by its place
    alone the reader would get it once more.
    """

    def __init__(self, events: Subscription, journal: str | None = None, pause: float = 0.0) -> None:
        lines = Journal.read(Path(journal)) if journal and os.path.exists(journal) else []
        self._done = {line[1] for line in lines if line[0] == "got"}
        self.events = events
        self.journal = Journal(journal)
        self.pause = pause
        self.gaps: list[Gap] = []
        self.task = asyncio.ensure_future(self._listen())
        events.on_gap(self._gap)

    def _gap(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self.journal.note("gap", repr(gap.start.timestamp()), repr(gap.end.timestamp()))

    async def _listen(self) -> None:
        async for received in self.events.messages():
            name = received.event.root[0][0].text or ""
            if name in self._done:
                self.journal.note("again", name)
                continue
            self.journal.note(
                "got", name, repr(time.time()), str(received.properties.get("clacks_log_id", ""))
            )
            if self.pause:
                await asyncio.sleep(self.pause)


# -- the roles


def _say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


async def _answering(
    metrics: Metrics, mouth: Mouth | None = None, more: Callable[[], dict[str, Any]] = dict
) -> None:
    """Answer each line with the metrics, and with ``more``, until there are no more lines."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        words = json.loads(line)
        if words.get("stop") and mouth is not None:
            mouth.stop()
        _say(metrics=flat(metrics), **more())


def _settings(options: dict[str, Any]) -> Any:
    from clacks.common.settings import Settings

    state = Path(options["state_dir"])
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = options.get("log")
    settings = Settings().changed(
        host=options.get("host", "127.0.0.1"),
        port=options.get("port", 0),
        tls_port=0,
        state_dir=state,
        node=options.get("node"),
        limits=limits_of(options.get("limits")),
        certificate=Path(options["certificate"]) if "certificate" in options else None,
    )
    if log is not None:
        from dataclasses import replace

        settings = settings.changed(log=replace(settings.log, **log))
    return settings


async def _broker(options: dict[str, Any]) -> None:
    from clacks.cli import serving

    if "files" in options:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["files"], options["files"]))
    settings = _settings(options)
    registry = SchemaRegistry(plugins=False)
    registry.load()
    users = serving.guests(options.get("users", ["admin:secret"]), settings, None)
    async with serving.running_broker(settings, registry, users) as server:
        gc.freeze()
        _say(ready=True, ports=dict(server.ports))
        await _answering(server.broker.metrics)


async def _agent(options: dict[str, Any]) -> None:
    from clacks.agent.service import Agent
    from clacks.cli.recording import running_recorder

    settings = _settings(options)
    settings.rights_file.write_text('[users.admin]\nroles = ["admin"]\n')
    registry = SchemaRegistry(plugins=False)
    registry.load()
    bus = Bus(options["url"], registry=registry, limits=settings.limits)
    await bus.start(patient=True)
    try:
        agent = Agent(bus, registry, settings)
        async with agent, running_recorder(bus, agent, registry, settings, asked=True, usual=True):
            _say(ready=True)
            await _answering(bus.metrics)
    finally:
        await bus.close()


async def _publisher(options: dict[str, Any]) -> None:
    registry = SchemaRegistry(plugins=False)
    registry.load()
    bus = Bus(options["url"], registry=registry)
    await bus.start(patient=True)
    try:
        mouth = Mouth(bus, registry, options["prefix"], options["journal"])
        gc.freeze()
        _say(ready=True)
        talking = asyncio.ensure_future(
            mouth.talk(options["rate"], options.get("seconds"), stored_every=options.get("stored_every", 0))
        )
        with contextlib.suppress(asyncio.CancelledError):
            await _answering(bus.metrics, mouth)
        mouth.stop()
        await talking
    finally:
        await bus.close()


async def _consumer(options: dict[str, Any]) -> None:
    registry = SchemaRegistry(plugins=False)
    registry.load()
    bus = Bus(options["url"], registry=registry, limits=limits_of(options.get("limits")))
    await bus.start(patient=True)
    try:
        events = await bus.subscribe(
            options.get("xquery", "."), kinds=["PhoneStatus"], since=options.get("since")
        )
        ear = Ear(events, options["journal"], options.get("pause", 0.0))
        gc.freeze()
        _say(ready=True)
        await _answering(bus.metrics)
        ear.task.cancel()
    finally:
        await bus.close()


async def _crowd(options: dict[str, Any]) -> None:
    """Consumers with a connection each, that tell what each got and when it was back."""
    registry = SchemaRegistry(plugins=False)
    registry.load()
    backs: list[float] = []
    async with contextlib.AsyncExitStack() as stack:
        buses = []
        for _ in range(0, options["count"], 10):
            group = [Bus(options["url"], registry=registry) for _ in range(10)]
            await asyncio.gather(*(stack.enter_async_context(bus) for bus in group))
            buses += group
        ears = [Ear(await bus.subscribe(kinds=["PhoneStatus"])) for bus in buses]

        def changed(change: StateChange) -> None:
            if change.state is BusState.CONNECTED:
                backs.append(time.time())

        for bus in buses:
            bus.on_state(changed)

        def told() -> dict[str, Any]:
            got = [[line[1] for line in ear.journal.lines if line[0] == "got"] for ear in ears]
            return {"got": got, "gaps": sum(bool(ear.gaps) for ear in ears), "backs": backs}

        gc.freeze()
        _say(ready=True)
        await _answering(Metrics(), more=told)
        for ear in ears:
            ear.task.cancel()


def main() -> None:
    roles = {
        "agent": _agent,
        "broker": _broker,
        "consumer": _consumer,
        "crowd": _crowd,
        "publisher": _publisher,
    }
    asyncio.run(roles[sys.argv[1]](json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
