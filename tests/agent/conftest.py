from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.common.components.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a running broker whose registry reads the folder ``events``, too."""
    events = tmp_path / "events"
    events.mkdir()
    with World(tmp_path, events=events) as running:
        yield running
