"""Group commit: what is written within one turn of the loop, or while a commit is under way, goes into one
transaction on the one thread that writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Final, TypeVar

from clacks.common.errors import StoreError

__all__ = ["Commits"]

Result = TypeVar("Result")

_MOST: Final = 2000  # pieces of work in one transaction: others wait for its end


class Commits:
    """Gathers work and has it carried out together.

    Args:
        executor: The thread that writes.
        commit: Carries out pieces of work in one transaction, on that thread; returns the result of each, an
            exception for one that was refused. Raises StoreError if nothing of it counts.
        done: Called on the loop with the results, before those who wait hear of them.
    """

    def __init__(
        self,
        executor: Executor,
        commit: Callable[[Sequence[Any]], list[Any]],
        done: Callable[[Sequence[Any], list[Any]], None],
    ) -> None:
        self._executor = executor
        self._commit = commit
        self._done = done
        self._waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self._running = False
        self._idle: asyncio.Future[None] | None = None
        self._planned = False
        self._closed = False

    async def write(self, work: Any) -> Any:
        """Have a piece of work committed and return its result.

        Raises:
            StoreError: It was refused, or the transaction failed.
        """
        if self._closed:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((work, answer))
        if not self._planned and not self._running:
            # Not now: others of this turn of the loop come along.
            self._planned = True
            loop.call_soon(self._begin, loop)
        # Who stops waiting does not undo what may be committed already.
        return await answer

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._planned = False
        batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        self._running = True
        try:
            running = self._executor.submit(self._commit, [work for work, _ in batch])
        except RuntimeError:  # it was shut down
            running = Future()
            running.set_exception(StoreError("the store was closed"))

        def done(running: Future[list[Any]]) -> None:
            # One call back to the loop: futures of both worlds, joined, take four turns of it.
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(self._end, loop, batch, running)

        running.add_done_callback(done)

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[tuple[Any, asyncio.Future[Any]]],
        running: Future[list[Any]],
    ) -> None:
        self._running = False
        failed = StoreError("the store was closed") if running.cancelled() else running.exception()
        results = [failed] * len(batch) if failed is not None else running.result()
        if failed is None:
            self._done([work for work, _ in batch], results)
        if self._waiting:
            self._begin(loop)
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        for (_, answer), result in zip(batch, results):
            if answer.done():
                continue
            if isinstance(result, BaseException):
                answer.set_exception(result)
                answer.exception()  # whoever waited may have gone
            else:
                answer.set_result(result)

    async def close(self) -> None:
        """Take nothing more, and wait until what was begun is committed."""
        self._closed = True
        loop = asyncio.get_running_loop()
        while self._waiting or self._running:
            if self._idle is None or self._idle.done():
                self._idle = loop.create_future()
            await asyncio.shield(self._idle)
