"""Found by fuzzing: xs:QName of a name that XML has and elementpath has not raised a ValueError.

In the broker it came out at the publisher of an event. The name is an error of the query now; and whatever
else the engine may raise stays with the query that met it.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from clacks.common.errors import QueryEvaluationError
from clacks.filters.index import FilterIndex
from clacks.xquery import Query, compile_query
from tests.broker.world import World, phone_status


def test_a_name_that_is_not_taken_is_an_error_of_the_query() -> None:
    with pytest.raises(QueryEvaluationError, match="FORG0001"):
        compile_query("xs:QName('\ufffda')").evaluate(None)
    assert compile_query("try { xs:QName('\ufffda') } catch * { 1 }").evaluate(None) == [1]


def test_a_fault_of_the_engine_stays_with_the_query_that_met_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(query: Query, *_: Any) -> bool:
        if "hostile" in query.text:
            raise ValueError("a fault of ours")
        return True

    monkeypatch.setattr(Query, "matches", fail)
    failed: list[object] = []
    index = FilterIndex(on_error=lambda key, error: failed.append((key, str(error))))
    # Neither is one that the index understands.
    index.add(1, "fold-left(//*, 'hostile', function($a, $b) { $a }) != ''")
    index.add(2, "fold-left(//*, 'good', function($a, $b) { $a }) != ''")
    with caplog.at_level(logging.ERROR):
        assert index.match(phone_status()) == {2}
    assert failed == [(1, "a fault of ours")]
    assert "the engine failed on a filter" in caplog.text

    world = World()
    hostile, publisher, good = world.peer(), world.peer(), world.peer()
    hostile.receiver("org.clacks.event", query="fold-left(//*, 'hostile', function($a, $b) { $a }) != ''")
    good.receiver("org.clacks.event", query="true()")
    publisher.event(publisher.sender("org.clacks.event.PhoneStatus"))
    assert (len(hostile.got), len(good.got)) == (0, 1)
