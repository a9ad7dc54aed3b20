"""Run a program with everything that it starts, read what it says, and end all of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

__all__ = ["Program"]

_READ: Final = 64 * 1024


class Program:
    """A running program in a process group of its own. No shell reads its words. Use it as context manager.

    Args:
        words: The program and its arguments.
        directory: Where it runs.
        environment: All of its variables.
        longest: Bytes of one line; a longer one is cut.
        grace: Seconds between the request to end and the end by force.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        longest: int,
        grace: float = 5.0,
    ) -> None:
        self._words = tuple(words)
        self._directory = directory
        self._environment = dict(environment)
        self._longest = longest
        self._grace = grace
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it.

        Raises:
            OSError: It cannot be started.
            ValueError: One of its words holds U+0000.
        """
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._words,
                cwd=self._directory,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        )
        try:
            self._process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # It may run by now, and others that it started: asyncio would end it alone.
            with contextlib.suppress(OSError, ValueError):
                self._process = await starting
                await self.close()
            raise

    async def lines(self) -> AsyncIterator[str]:
        """Yield what it says on its outputs, line by line with their ends, until it closes them."""
        assert self._process is not None
        assert self._process.stdout is not None
        rest = b""
        while data := await self._process.stdout.read(_READ):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                for start in range(0, max(1, len(line)), self._longest):
                    yield line[start : start + self._longest].decode("utf-8", "replace") + "\n"
            while len(rest) > self._longest:
                yield rest[: self._longest].decode("utf-8", "replace") + "\n"
                rest = rest[self._longest :]
        if rest:
            yield rest.decode("utf-8", "replace") + "\n"

    async def wait(self) -> int:
        """Wait for its end and return its code; negative is the number of the signal that ended it."""
        assert self._process is not None
        return await self._process.wait()

    async def close(self) -> None:
        """End it and everything that it started: politely, then by force."""
        process = self._process
        if process is None:
            return
        try:
            if process.returncode is None:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._grace):
                        await process.wait()
        finally:
            self._signal(signal.SIGKILL)  # also what it left behind in its group
            await process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def __aenter__(self) -> Program:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
