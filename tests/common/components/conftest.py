from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.common.components.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a running broker."""
    with World(tmp_path) as running:
        yield running


@pytest.fixture
def agent_world(world: World) -> World:
    """Return a running broker with an agent."""
    world.agent()
    return world
