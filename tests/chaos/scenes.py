"""A publisher and a consumer that talk through a broker: short for every run, long for the soak."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from clacks.bus import Bus
from tests.chaos.ledger import Ledger
from tests.chaos.part import Ear, Mouth
from tests.chaos.town import Town, account, quiet

__all__ = ["BOTH", "LONG", "SHORT", "Scale", "Scene", "limited", "scene"]


@dataclass(frozen=True)
class Scale:
    """How much of a case: events a second, seconds of calm before and after, seconds of the fault."""

    long: bool
    rate: float
    calm: float
    fault: float

    def __str__(self) -> str:
        return "long" if self.long else "short"


SHORT = Scale(long=False, rate=400, calm=0.3, fault=0.4)
LONG = Scale(long=True, rate=2000, calm=5.0, fault=10.0)

BOTH = pytest.mark.parametrize(
    "scale",
    [
        pytest.param(SHORT, marks=[pytest.mark.slow, pytest.mark.net]),
        pytest.param(LONG, marks=[pytest.mark.soak, pytest.mark.net]),
    ],
    ids=str,
)


def limited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test in a loop of its own, five minutes at most."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def work() -> None:
            async with asyncio.timeout(300):
                await test(*args, **kwargs)

        asyncio.run(work())

    return run


class Scene:
    """One publisher and one consumer at work."""

    def __init__(self, town: Town, talker: Bus, listener: Bus, mouth: Mouth, ear: Ear) -> None:
        self.town = town
        self.talker = talker
        self.listener = listener
        self.mouth = mouth
        self.ear = ear
        self.talking: asyncio.Task[None] | None = None

    async def silence(self) -> None:
        """End the publisher, and wait for what is on its way."""
        self.mouth.stop()
        if self.talking is not None:
            await self.talking
        await quiet(self.ear)

    async def ledger(self, case: str, **more: Any) -> Ledger:
        """Return what became of the events."""
        await self.silence()
        dropped = await self.town.dropped(publisher=self.talker, consumer=self.listener)
        return account(case, self.mouth, self.ear, dropped=dropped, **more)


@contextlib.asynccontextmanager
async def scene(
    town: Town,
    scale: Scale,
    *,
    consumer_port: int | None = None,
    publisher_port: int | None = None,
    limits: dict[str, Any] | None = None,
    rate: float | None = None,
) -> AsyncIterator[Scene]:
    """Have events flow, for a while before the block begins."""
    talker = await town.bus(publisher_port, limits)
    listener = await town.bus(consumer_port, limits)
    ear = await town.ear(listener)
    this = Scene(town, talker, listener, town.mouth(talker), ear)
    this.talking = asyncio.ensure_future(this.mouth.talk(scale.rate if rate is None else rate))
    try:
        await asyncio.sleep(scale.calm)
        yield this
    finally:
        this.mouth.stop()
        this.talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await this.talking
