"""Group commit: what is written within one turn of the loop, or while a commit is under way, goes into one
transaction on the one thread that writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
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
        self._running: asyncio.Future[list[Any]] | None = None
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
        if not self._planned and self._running is None:
            # Not now: others of this turn of the loop come along.
            self._planned = True
            loop.call_soon(self._begin)
        # Who stops waiting does not undo what may be committed already.
        return await asyncio.shield(answer)

    def _begin(self) -> None:
        self._planned = False
        batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._executor, self._commit, [work for work, _ in batch])
        self._running.add_done_callback(lambda running: self._end(batch, running))

    def _end(self, batch: list[tuple[Any, asyncio.Future[Any]]], running: asyncio.Future[list[Any]]) -> None:
        self._running = None
        if self._waiting:
            self._begin()
        error = StoreError("the store was closed") if running.cancelled() else running.exception()
        if error is not None:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()  # whoever waited may have gone
            return
        results = running.result()
        self._done([work for work, _ in batch], results)
        for (_, answer), result in zip(batch, results):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
                answer.exception()
            else:
                answer.set_result(result)

    async def close(self) -> None:
        """Take nothing more, and wait until what was begun is committed."""
        self._closed = True
        while self._waiting or self._running is not None:
            if self._running is not None:
                await asyncio.wait([self._running])
            await asyncio.sleep(0)
