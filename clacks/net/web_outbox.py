"""What waits to be written in this turn of the loop, and for whom.

A thousand readers of one topic get the same bytes. To look at each of them (its list of frames, its
transport, the transport's buffer) costs as much as all else that we do: these things lie far apart in memory,
and between two messages others used the caches. So what an *audience* gets is kept once and written to a row
of descriptors. That is right only for links with nothing else under way; the others are in ``busy``, and are
looked at one by one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clacks.common.metrics import Metrics

if TYPE_CHECKING:
    from clacks.net.web_link import Link

__all__ = ["Audience", "Outbox"]

_log = logging.getLogger(__name__)


class Audience:
    """Links that get the same bytes, each of them once.

    Attributes:
        links: All of them.
        frames: What they get in this turn; whoever appends called `Outbox.share` before.
        descriptors: Of the links that may be written to without a look, unless they are busy.
        others: The links that have no such descriptor.
    """

    __slots__ = ("_members", "descriptors", "frames", "links", "others")

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = links
        self.frames: list[bytes] = []
        # Numbers side by side: a list would hold objects that lie where their connection was accepted.
        self.descriptors = array("i", [link.descriptor for link in links if link.descriptor is not None])
        self.others = [link for link in links if link.descriptor is None]
        self._members: dict[Link, int | None] | None = None

    @property
    def members(self) -> dict[Link, int | None]:
        """The descriptors by link, as they were at the begin; made when it is first asked for."""
        if self._members is None:
            self._members = {link: link.descriptor for link in self.links}
        return self._members

    def take(self) -> bytes:
        """Return what is collected as one piece; nothing is left."""
        frames = self.frames
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        return data


class Outbox:
    """Everything that is to be written, written in the next turn of the loop.

    Attributes:
        dirty: Links that have frames of their own; who appends here calls `schedule` once.
        busy: Links that must not be written to without a look: their transport holds something back, or they
            are over.
        cut: Counts readers that were cut off.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> None:
        self.dirty: list[Link] = []
        self.busy: set[Link] = set()
        self.metrics = metrics
        self.cut = metrics.counter("web_cut_off")
        self._loop = loop
        self._scheduled = False
        self._shared: tuple[Audience, ...] = ()

    def schedule(self) -> None:
        """See to it that what waits is written soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    # -- what many get

    def share(self, audiences: tuple[Audience, ...]) -> None:
        """Let frames be appended to these audiences from now on, until something else comes.

        No link may be in two of them.
        """
        if self._shared is not audiences:
            self._spill()
            self._shared = audiences
            self.schedule()

    def part(self, link: Link) -> None:
        """Prepare for a frame that only this link gets: it comes after what it got with others."""
        if self._shared and any(audience.frames and link in audience.members for audience in self._shared):
            self._spill()

    def _spill(self) -> None:
        """Give each link what it would have got with others."""
        shared, self._shared = self._shared, ()
        for audience in shared:
            if audience.frames:
                self._hand_out(audience.links, audience.take())

    def _hand_out(self, links: Sequence[Link], data: bytes) -> None:
        dirty = self.dirty
        for link in links:
            pending = link.pending
            if not pending:
                dirty.append(link)
            pending.append(data)

    def forget(self, link: Link) -> None:
        """Take note that a link is over for good and in no audience any more."""
        self.part(link)
        link.descriptor = None
        self.busy.discard(link)

    # -- writing

    def flush(self) -> None:
        """Write everything now."""
        self._scheduled = False
        if self.dirty:  # these were there before anything was shared, or else it was spilled
            self._write_each()
        if self._shared:
            shared, self._shared = self._shared, ()
            for audience in shared:
                if audience.frames:
                    self._write_all(audience, audience.take())
            if self.dirty:
                self._write_each()

    def _write_all(self, audience: Audience, data: bytes) -> None:
        """Write to an audience; who is busy gets it as its own."""
        descriptors: Sequence[int] = audience.descriptors
        apart = audience.others
        if self.busy:
            members = audience.members
            busy = [link for link in self.busy if link in members]
            if busy:
                numbers = {members[link] for link in busy}
                descriptors = [number for number in descriptors if number not in numbers]
                apart = list(dict.fromkeys((*apart, *busy)))
        write, size = os.write, len(data)
        short: dict[int, int] = {}
        # With a thousand readers this runs twenty thousand times a second: nothing here is for beauty.
        for number in descriptors:
            try:
                written = write(number, data)
            except OSError:
                written = 0  # full, or gone: the transport finds out
            if written != size:
                short[number] = written
        if short:
            for link, descriptor in audience.members.items():
                if descriptor in short:
                    self._hold(link, data[short[descriptor] :])
        if apart:
            self._hand_out(apart, data)

    def _write_each(self) -> None:
        dirty, self.dirty = self.dirty, []
        busy, write = self.busy, os.write
        for link in dirty:
            pending = link.pending
            if not pending:
                continue
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            # With nothing under way the kernel may have it at once. The number is that of this connection,
            # for one that is over is busy.
            descriptor = link.descriptor
            if descriptor is not None and link not in busy:
                try:
                    written = write(descriptor, data)
                except OSError:
                    written = 0
                if written == len(data):
                    continue
                data = data[written:]
            self._hold(link, data)

    def _hold(self, link: Link, data: bytes) -> None:
        """Leave to the transport what the kernel did not take."""
        transport = link.transport
        if transport is not None:
            transport.write(data)
            if transport.get_write_buffer_size() > link.limit:
                link.cut_off()
