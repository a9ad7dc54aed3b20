"""The Puppet source: reports in a folder become PuppetReport events, each once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clacks.common.errors import BusError, InvalidEvent
from clacks.common.event import Event
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import PuppetSettings
from clacks.sources.outbox import Publish
from clacks.sources.puppet_report import ReportError, read_report, report_event

__all__ = ["PuppetSource", "Seen"]

_log = logging.getLogger(__name__)

_AGAIN: Final = 5.0  # seconds before a report is sent again that the bus did not take


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a folder was read: the time (ns) of the newest report, and the names of those of that time."""

    time: int
    names: frozenset[str] = frozenset()

    def new(self, time: int, name: str) -> bool:
        """Tell whether a report was not seen yet."""
        return time > self.time or (time == self.time and name not in self.names)

    def with_report(self, time: int, name: str) -> Seen:
        """Return what holds when that report was sent, too."""
        return Seen(time, self.names | {name} if time == self.time else frozenset({name}))


class PuppetSource:
    """Watches the folder in which Puppet stores reports.

    Reports that came while it did not run are sent when it starts again; at its very first start those that
    are there already count as seen.

    Args:
        registry: The event types.
        settings: Which folder, which levels.
        publish: Sends an event.
        state: File that keeps how far the folder was read; None keeps nothing.
        limits: Sizes.

    Attributes:
        refused: Reports that could not be used.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        settings: PuppetSettings,
        publish: Publish,
        *,
        state: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._publish = publish
        self._state = state
        self._limits = limits
        self.refused = 0

    def event(self, data: bytes) -> Event:
        """Return the event of one report.

        Raises:
            ReportError: It is no report.
            InvalidEvent: It holds what no event can.
        """
        report = read_report(data, self._limits)
        return report_event(
            self._registry, report, id=self._settings.id, level=self._settings.level, limits=self._limits
        )

    async def run(self) -> None:
        """Watch and publish until cancelled."""
        seen = await asyncio.to_thread(self._begin)
        _log.info("watching for reports of Puppet folder=%s", self._settings.reports)
        while True:
            for time, file in await asyncio.to_thread(self._new, seen):
                await self._send(file)
                seen = seen.with_report(time, str(file))
                await asyncio.to_thread(self._keep, seen)
            await asyncio.sleep(self._settings.look_again)

    async def _send(self, file: Path) -> None:
        try:
            event = await asyncio.to_thread(lambda: self.event(_read(file, self._limits.report_size)))
        except FileNotFoundError:
            return  # tidied away meanwhile
        except (ReportError, InvalidEvent, OSError) as error:
            self.refused += 1
            _log.error("a report cannot be used file=%s reason=%s", file, error)
            return
        while True:
            try:
                if await self._publish(event) is not False:
                    return
                reason = "the broker takes no events"
            except BusError as error:
                reason = str(error)
            _log.warning(
                "a report was not sent, trying again in %g s file=%s reason=%s", _AGAIN, file, reason
            )
            await asyncio.sleep(_AGAIN)

    def _files(self) -> list[tuple[int, Path]]:
        """Return the reports in the folder, the oldest first."""
        found: list[tuple[int, Path]] = []
        folders = [self._settings.reports]
        with contextlib.suppress(OSError), os.scandir(self._settings.reports) as entries:
            folders += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".yaml") and entry.is_file(follow_symlinks=False):
                        found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
        return sorted(found)

    def _new(self, seen: Seen) -> list[tuple[int, Path]]:
        return [(time, file) for time, file in self._files() if seen.new(time, str(file))]

    def _begin(self) -> Seen:
        if self._state is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                kept = json.loads(self._state.read_text("utf-8"))
                return Seen(int(kept["time"]), frozenset(map(str, kept["names"])))
        seen = Seen(0)
        for time, file in self._files():
            seen = seen.with_report(time, str(file))
        self._keep(seen)
        return seen

    def _keep(self, seen: Seen) -> None:
        if self._state is None:
            return
        try:
            self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._state.with_name(self._state.name + ".new")
            new.write_text(json.dumps({"time": seen.time, "names": sorted(seen.names)}), "utf-8")
            new.replace(self._state)
        except OSError as error:
            _log.warning("cannot keep which reports were sent file=%s reason=%s", self._state, error)


def _read(file: Path, most: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(most + 1)
