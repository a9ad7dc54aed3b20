"""An agent in a process of its own, to be stopped and killed.

It says ``serving`` when the broker has agreed, and ``taken METHOD`` when it begins to carry out a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from clacks.bus import Bus
from clacks.common.jsonrpc import Request
from clacks.common.schema import SchemaRegistry
from tests.contract.brokers import ContractBroker
from tests.contract.words import until

__all__ = ["ServingProcess", "serving_process"]

_ROOT = Path(__file__).parents[2]


class ServingProcess:
    """The process as its test sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self, word: str) -> None:
        """Wait until it says this."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            line = await self._process.stdout.readline()
        assert line.decode().strip() == word

    async def stop(self) -> None:
        """Let it stand still: its connection stays, and it takes nothing."""
        self._process.send_signal(signal.SIGSTOP)
        await until(lambda: psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)

    async def kill(self) -> None:
        """End it as a power failure would."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@contextlib.asynccontextmanager
async def serving_process(broker: ContractBroker) -> AsyncIterator[ServingProcess]:
    """Run an agent that serves ``where`` (answers "process") and ``hang`` (never answers)."""
    told = {"CLACKS_TEST_URL": broker.url("agent"), "CLACKS_TEST_TOLD": str(int(broker.facts.told))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __spec__.name,
        cwd=_ROOT,
        # Not an argument: everybody on this machine would see the password.
        env={**os.environ, **told},
        stdout=asyncio.subprocess.PIPE,
    )
    agent = ServingProcess(process)
    try:
        await agent.says("serving")
        yield agent
    finally:
        await agent.kill()


async def _serve() -> None:
    def say(*words: str) -> None:
        print(*words, flush=True)

    async def answer(request: Request, user: str, on_behalf_of: str | None) -> str:
        say("taken", request.method)
        if request.method == "hang":
            await asyncio.Event().wait()
        return "process"

    registry = SchemaRegistry(builtin=False, plugins=False)
    told = os.environ["CLACKS_TEST_TOLD"] == "1"
    url = os.environ["CLACKS_TEST_URL"]
    async with Bus(url, registry=registry, name="process", trust_users=told) as bus:
        await bus.serve(answer)
        say("serving")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
