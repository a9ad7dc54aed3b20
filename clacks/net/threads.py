"""The background loop: blocking code on any thread uses asynchronous parts on one thread of their own.

Who needs the loop takes a ``Lease`` and gives it back. The thread starts with the first lease and ends with
the last. A lease can be given back from a finalizer, which may run on any thread and in the middle of
anything, also of this file: so giving back takes no lock and never waits.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from clacks.common.errors import ClacksError

__all__ = ["BackgroundLoop", "Lease", "background_loop"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

CLOSING_TIME = 5.0
"""Seconds that what a lease belongs to has for its good-bye; then it is cut off."""
EXIT_TIME = 2.0
"""Seconds that all leases together have when the interpreter ends: nobody likes to wait for a prompt."""


class Lease:
    """The right to use the background loop; made by ``BackgroundLoop.lease``."""

    def __init__(self, background: BackgroundLoop, closing: Callable[[], Awaitable[object]]) -> None:
        self._background = background
        self._closing: Callable[[], Awaitable[object]] | None = closing
        self._pid = os.getpid()
        self._over = threading.Event()
        self._released = False
        self._task: asyncio.Task[None] | None = None
        # Set by the background loop under its lock.
        self.loop: asyncio.AbstractEventLoop
        self.thread: threading.Thread

    @property
    def inherited(self) -> bool:
        """Tell whether this process was forked since: the thread stayed behind in the parent."""
        return self._pid != os.getpid()

    @property
    def over(self) -> bool:
        """Tell whether the lease was given back and its good-bye is done."""
        return self._over.is_set()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the loop and wait for its result; Ctrl-C cancels it.

        Raises:
            RuntimeError: If called on the loop's own thread, which would wait for itself forever, after a
                fork, or after the lease was given back.
        """
        reason = self._unusable()
        if reason is not None:
            coroutine.close()
            raise RuntimeError(reason)
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
        finally:
            # An error would hold this frame, the frame the future, and the future the error: a circle that
            # keeps the objects of the caller alive until the collector comes.
            del future, self

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call a function on the loop, from any thread; without a loop any more it is not called."""
        if not self.inherited:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(function, *args)

    def release(self) -> None:
        """Give the lease back without waiting; the good-bye runs on the loop. May be called again."""
        if not self._released:
            self._released = True
            self.soon(self._begin)

    def close(self, timeout: float = CLOSING_TIME + 1.0) -> None:
        """Give the lease back and wait, at most ``timeout`` seconds, until its good-bye is done."""
        self.release()
        if self.inherited or threading.current_thread() is self.thread:
            return
        deadline = time.monotonic() + timeout
        self._over.wait(timeout)
        if not self._background.runs_on(self.thread):
            self.thread.join(max(0.0, deadline - time.monotonic()))

    def _unusable(self) -> str | None:
        if self.inherited:
            return "made before this process was forked; make a new one here"
        if self._released:
            return "already closed"
        if threading.current_thread() is self.thread:
            return "called on the thread of the background loop: it would wait for itself"
        return None

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        closing, self._closing = self._closing, None  # what is closed must not live on for this lease
        try:
            if closing is not None:
                async with asyncio.timeout(CLOSING_TIME):
                    await closing()
        except TimeoutError:
            _log.warning("closing took too long and was cut off seconds=%s", CLOSING_TIME)
        except (ClacksError, OSError):
            _log.exception("closing failed")  # nobody is left to be told otherwise
        finally:
            self._background._given_back(self)
            self._over.set()


class BackgroundLoop:
    """One event loop on one daemon thread, there while somebody has a lease.

    Example:
        >>> background = BackgroundLoop()
        >>> async def goodbye() -> None: ...
        >>> lease = background.lease(goodbye)
        >>> lease.run(asyncio.sleep(0, "done"))
        'done'
        >>> lease.close()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: set[Lease] = set()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._left_behind: list[object] = []

    def lease(self, closing: Callable[[], Awaitable[object]]) -> Lease:
        """Return a lease, starting the thread if it is the first.

        Args:
            closing: The good-bye: runs on the loop when the lease is given back.
        """
        lease = Lease(self, closing)
        with self._lock:
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_live, args=(loop,), name="clacks-loop", daemon=True)
                thread.start()
                self._running = (loop, thread)
            lease.loop, lease.thread = self._running
            self._leases.add(lease)
        return lease

    def runs_on(self, thread: threading.Thread) -> bool:
        """Tell whether the loop runs, and on this thread."""
        running = self._running
        return running is not None and running[1] is thread

    def shutdown(self, timeout: float = EXIT_TIME) -> None:
        """Take all leases back and wait for their good-byes, at most ``timeout`` seconds together."""
        deadline = time.monotonic() + timeout
        leases = list(self._leases)
        for lease in leases:
            lease.release()
        for lease in leases:
            lease.close(max(0.0, deadline - time.monotonic()))

    def forget(self) -> None:
        """Begin anew in a forked child, where the thread does not exist.

        The parent's loop is kept, untouched: to close it, or let it be collected, would take sockets out of
        an epoll set that the parent still waits on.
        """
        self._left_behind += [self._running, self._leases]
        self._lock = threading.Lock()
        self._leases = set()
        self._running = None

    def _given_back(self, lease: Lease) -> None:
        """Count a lease off, on the loop; the last one stops it."""
        with self._lock:
            self._leases.discard(lease)
            if not self._leases and self.runs_on(lease.thread):
                self._running = None  # the next lease starts a thread of its own
                lease.loop.stop()


def _live(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


# The one loop of the process that the blocking classes share: an inherited facade has nobody to hand it down.
_shared = BackgroundLoop()


def background_loop() -> BackgroundLoop:
    """Return the background loop of this process."""
    return _shared


atexit.register(_shared.shutdown)
os.register_at_fork(after_in_child=_shared.forget)
