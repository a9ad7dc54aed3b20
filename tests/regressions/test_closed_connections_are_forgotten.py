"""Found by fuzzing WebSocket frames: a connection that failed after its first request was kept, with all that
had come over it, for as long as an open one may be silent (75 s)."""

from __future__ import annotations

import gc
from random import Random

import pytest

from clacks.net.web import _Requests
from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS


@pytest.mark.slow
@pytest.mark.net
def test_a_connection_that_is_gone_is_not_kept_until_it_would_have_been_cut() -> None:
    target = TARGETS["websocket"]
    seeds, chance = target.seeds("websocket"), Random(7)
    with target.make() as one:
        for _ in range(120):
            one(mutate(seeds, target.words, chance))
        gc.collect()
        kept = [found for found in gc.get_objects() if isinstance(found, _Requests)]
        assert len(kept) < 60
