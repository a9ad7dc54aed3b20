"""The recorder beside an agent, for ``clacks up`` and ``clacks agent``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from clacks.agent.recording import Recorder
    from clacks.agent.service import Agent
    from clacks.bus import Bus
    from clacks.common.schema import SchemaRegistry
    from clacks.common.settings import Settings

__all__ = ["Record", "running_recorder"]

Record: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--record/--no-record",
        help="Whether the agent keeps the event log. Else as the settings say: up does, agent does not.",
        show_default=False,
    ),
]


@contextlib.asynccontextmanager
async def running_recorder(
    bus: Bus,
    agent: Agent,
    registry: SchemaRegistry,
    settings: Settings,
    *,
    asked: bool | None,
    usual: bool,
) -> AsyncIterator[Recorder | None]:
    """Record while the block runs, and yield who does; None if nothing is recorded.

    Args:
        asked: What the command line says, if it says something.
        usual: What holds if neither it nor the settings say something.

    Raises:
        StoreError: The store cannot be opened, or somebody else records this domain.
    """
    wanted = asked if asked is not None else settings.log.record
    if not (usual if wanted is None else wanted):
        yield None
        return
    from clacks.agent.recording import Recorder
    from clacks.store import open_store

    store = open_store(
        settings.log.store or settings.state_dir / "log.sqlite",
        sync=settings.log.sync,
        domain=bus.domain,
        recorder=agent.node,
        limits=settings.limits,
    )
    async with (
        store,
        Recorder(
            bus,
            registry,
            store,
            commands=agent.commands,
            node=agent.node,
            settings=settings.log,
            limits=settings.limits,
        ) as recorder,
    ):
        yield recorder
