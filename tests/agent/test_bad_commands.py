"""Commands that misbehave: their callers get a clear error, and everybody else goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from clacks.agent.command import Command
from clacks.common.errors import CommandRefused, OutcomeUnknown
from clacks.common.jsonrpc import FORBIDDEN, INTERNAL_ERROR, INVALID_PARAMS
from tests.agent.towns import town
from tests.bus.house import scenario

pytestmark = pytest.mark.net


class Bad:
    """Commands as nobody should write them."""

    def __init__(self) -> None:
        self.release = threading.Event()

    @Command
    def raises(self) -> None:
        """Fail."""
        raise RuntimeError("the password is hunter2")

    @Command
    def hangs(self) -> None:
        """Take too long."""
        self.release.wait(15.0)

    @Command
    def returns(self, what: str) -> Any:
        """Return what JSON cannot hold."""
        loop: list[Any] = []
        loop.append(loop)
        return {"bytes": b"x", "object": object(), "nan": float("nan"), "loop": loop, "key": {(1, 2): 3}}[
            what
        ]

    @Command
    def large(self, size: int) -> str:
        """Return more than a message may have."""
        return "x" * size


@scenario
async def test_a_command_that_misbehaves_is_an_error_for_its_caller_alone() -> None:
    async with town() as here:
        one = await here.agent("one", workers=2)
        bad = Bad()
        one.commands.register(bad)
        bus, reader = await here.bus(), await here.bus("reader")

        async def refused(method: str, *params: Any, by: Any = bus) -> CommandRefused:
            with pytest.raises(CommandRefused) as error:
                await by.call(method, *params, timeout=5.0)
            return error.value

        error = await refused("raises")
        assert error.code == INTERNAL_ERROR
        assert "RuntimeError" in error.message
        assert "hunter2" not in error.message
        for what in ("bytes", "object", "nan", "loop", "key"):
            error = await refused("returns", what)
            assert error.code == INTERNAL_ERROR
            assert "cannot be written as JSON" in error.message
        assert (await refused("returns", 3)).code == INVALID_PARAMS
        assert (await refused("returns")).code == INVALID_PARAMS
        assert (await refused("returns", "bytes", "more")).code == INVALID_PARAMS
        assert (await refused("raises", by=reader)).code == FORBIDDEN
        error = await refused("large", 5 * 1024 * 1024)
        assert error.code == INTERNAL_ERROR
        assert "too large" in error.message
        hanging = asyncio.ensure_future(bus.call("hangs", timeout=0.5))
        await asyncio.sleep(0.1)
        assert await reader.call("shopping", "bread") is None
        with pytest.raises(OutcomeUnknown):
            await hanging
        bad.release.set()
        assert len(one.nodes) == 1
