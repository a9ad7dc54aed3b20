"""Deep recursion: a thread of its own with a stack that is large enough.

A thousand levels of function calls of a query are some ten thousand frames of Python, more than the
interpreter's limit of 1,000. The limit stands for the C stack, and that of a thread may be small: raising the
limit where the query was called could crash the process. So the calls of functions beyond the first few
levels are carried out in a thread with a stack for so many frames, while the first one waits; the limit is
higher only meanwhile. A query that reaches the limit in another way (it goes through values nested a hundred
times) is run again in such a thread. Queries that are not deep, which is nearly all of them, never come here.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from types import FrameType
from typing import TypeVar

__all__ = ["FRAMES", "STACK", "DeepThread", "in_deep_thread"]

T = TypeVar("T")

FRAMES = 20_000
"""Python frames that 1,000 function levels need: ten or so each, expressions inside them included."""

STACK = 64 * 1024 * 1024
"""Bytes of stack for them: the worst query we know needs 6 MiB. What is not touched takes no memory."""

MARGIN = 300
"""Frames that a thread must stay below the limit that it gets back: calls through C count there as well."""

AGAIN = 0.2
"""Seconds until the next look, if a thread was too deep."""

LONG = 60.0
"""A switch interval in which nothing switches."""

lock = threading.Lock()
deep_queries: set[object] = set()
usual_limits: list[int] = []


class DeepThread:
    """A thread in which calls may use ``FRAMES`` frames; it is there from the first call until ``close``."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._pool: ThreadPoolExecutor | None = None

    def run(self, call: Callable[[], T]) -> T:
        """Carry out ``call`` and wait for it.

        Raises:
            RuntimeError: If no thread can be started.
        """
        context = contextvars.copy_context()
        if self._pool is not None:
            future = self._pool.submit(context.run, call)
        else:
            self._open.enter_context(higher_limit())
            self._pool = self._open.enter_context(
                ThreadPoolExecutor(max_workers=1, thread_name_prefix="clacks-deep-query")
            )
            with lock:
                # A thread that somebody else starts at this moment gets a large stack too, which harms
                # nobody.
                before = threading.stack_size(STACK)
                try:
                    future = self._pool.submit(context.run, call)
                finally:
                    threading.stack_size(before)
        try:
            return future.result()
        finally:
            del future  # an error holds this frame, and the future holds the error

    def close(self) -> None:
        """End the thread."""
        self._open.close()


def in_deep_thread(call: Callable[[], T]) -> T:
    """Carry out ``call`` where it may use ``FRAMES`` frames, and wait for it.

    Raises:
        RuntimeError: If no thread can be started.
    """
    with closing(DeepThread()) as thread:
        return thread.run(call)


@contextmanager
def higher_limit() -> Iterator[None]:
    """Raise the interpreter's limit of frames while deep queries run; there is one for all threads."""
    token = object()
    with lock:
        if not usual_limits:
            usual_limits.append(sys.getrecursionlimit())
            sys.setrecursionlimit(max(FRAMES, usual_limits[0]))
        deep_queries.add(token)
    try:
        yield
    finally:
        with lock:
            deep_queries.discard(token)
            if not deep_queries:
                lower_limit()


def lower_limit() -> None:
    """Set the limit back, if no thread is deeper than it; else look again soon. Call it under the lock.

    A thread that finds itself far beyond the limit cannot even raise an error: the interpreter aborts.
    """
    interval = sys.getswitchinterval()
    # Between the look and the change no other thread may run.
    sys.setswitchinterval(LONG)
    try:
        if all(depth_of(frame) < usual_limits[0] - MARGIN for frame in sys._current_frames().values()):
            sys.setrecursionlimit(usual_limits.pop())
            return
    finally:
        sys.setswitchinterval(interval)
    later = threading.Timer(AGAIN, lower_later)
    later.daemon = True
    later.start()


def lower_later() -> None:
    """Set the limit back unless a deep query runs again: then its end does it."""
    with lock:
        if usual_limits and not deep_queries:
            lower_limit()


def depth_of(frame: FrameType | None) -> int:
    """Return the number of frames below and with this one."""
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    return depth
