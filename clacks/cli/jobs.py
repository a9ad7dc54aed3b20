"""The job runner of an agent: what ``[jobs.NAME]`` of the settings names can be run by calls to the agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from clacks.common.settings import Settings

if TYPE_CHECKING:
    from clacks.agent.service import Agent
    from clacks.bus import Bus
    from clacks.common.schema import SchemaRegistry
    from clacks.sources.jobs import JobRunner

__all__ = ["running_jobs"]


@contextlib.asynccontextmanager
async def running_jobs(
    bus: Bus, agent: Agent, registry: SchemaRegistry, settings: Settings
) -> AsyncIterator[JobRunner | None]:
    """Run jobs while the block runs, and yield what runs them; None if the settings name no job.

    Enter it before the agent starts: then the agent announces the commands, too.
    """
    if not settings.jobs:
        yield None
        return
    from clacks.sources.jobs import JobCommands, JobRunner

    runner = JobRunner(registry, settings.sources.jobs, settings.jobs, bus.publish, limits=settings.limits)
    agent.commands.register(
        JobCommands(runner, lambda user, method: agent.commands.rights.may_call(user, method))
    )
    running = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
