"""A program ends with everything that it started, whenever it is given up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import pytest

from clacks.net.programs import Program
from tests.sleepers import SLEEP, sleepers


@pytest.mark.slow
@pytest.mark.parametrize("turns", range(8))
def test_a_start_that_is_given_up_leaves_nothing_behind(tmp_path: Path, turns: int) -> None:
    async def run() -> None:
        words = ["/bin/sh", "-c", f"sleep {SLEEP} & sleep {SLEEP}"]
        program = Program(words, directory=tmp_path, environment=dict(os.environ), longest=1000)

        async def work() -> None:
            async with program:
                await program.wait()

        task = asyncio.ensure_future(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns > 2:  # it is started by then; let it start the others
            deadline = time.monotonic() + 20
            while len(sleepers()) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)  # not a turn of the loop
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            while sleepers():  # the kernel takes a moment to forget them
                await asyncio.sleep(0.01)

    asyncio.run(run())
