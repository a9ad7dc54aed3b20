"""The collector of garbage and queries that others wait for."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping

import pytest

from clacks.common.errors import QueryBudgetExceeded, QueryEvaluationError
from clacks.xquery import BROKER_BUDGET, DEFAULT, QueryBudget, Resolvers, compile_query
from clacks.xquery.nodes import Node


class Watch(Mapping[str, str]):
    """Environment variables that note whether the collector works when they are asked for."""

    def __init__(self) -> None:
        self.noted: list[bool] = []

    def __getitem__(self, name: str) -> str:
        self.noted.append(gc.isenabled())
        return name

    def __iter__(self) -> Iterator[str]:
        return iter("x")

    def __len__(self) -> int:
        return 1


@pytest.fixture
def working() -> Iterator[None]:
    before = gc.isenabled()
    gc.enable()
    yield
    assert gc.isenabled()
    if not before:
        gc.disable()


def noted(text: str, budget: QueryBudget) -> list[bool]:
    watch = Watch()
    query = compile_query(text, budget=budget, resolvers=Resolvers(environment=watch))
    try:
        query.matches(None)
    except QueryEvaluationError:
        watch.noted.append(gc.isenabled())
    return watch.noted


LONG = QueryBudget(steps=10_000_000, seconds=60)
ASKING = "environment-variable('x') = 'x'"


@pytest.mark.parametrize("budget", [BROKER_BUDGET, DEFAULT])
def test_collector_rests_while_a_query_with_a_short_budget_runs(working: None, budget: QueryBudget) -> None:
    assert noted(ASKING, budget) == [False]


def test_collector_works_while_a_query_with_a_long_budget_runs(working: None) -> None:
    assert noted(ASKING, LONG) == [True]


def test_collector_works_again_after_a_query_that_failed(working: None) -> None:
    assert noted(f"{ASKING} and error()", BROKER_BUDGET) == [False, True]


def test_collector_that_was_switched_off_stays_so() -> None:
    before = gc.isenabled()
    gc.disable()
    try:
        assert noted(ASKING, BROKER_BUDGET) == [False]
        assert not gc.isenabled()
    finally:
        if before:
            gc.enable()


def test_what_a_query_built_until_its_budget_ended_is_the_first_garbage_that_is_found(working: None) -> None:
    # What outlives the first look at it is walked again and again, and in the end all of it at once.
    query = compile_query(
        "count((1 to 10000000) ! <a><b/></a>)", budget=QueryBudget(steps=100_000, nodes=2000, seconds=0.1)
    )
    gc.collect()
    before = sum(issubclass(type(thing), Node) for thing in gc.get_objects())
    for _ in range(3):
        with pytest.raises(QueryBudgetExceeded):
            query.matches(None)
    gc.collect(0)
    assert sum(issubclass(type(thing), Node) for thing in gc.get_objects()) <= before


def test_a_large_map_is_made_without_collections_of_what_is_old(working: None) -> None:
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            generations.append(info["generation"])

    query = compile_query("map:size(map:merge((1 to 200000) ! map:entry(., [.])))", budget=LONG)
    gc.callbacks.append(note)
    try:
        assert query.evaluate() == [200_000]
    finally:
        gc.callbacks.remove(note)
    assert generations.count(1) >= 9
    assert generations.count(2) <= 2  # at the end it works again


def test_the_collector_works_again_after_a_large_map_that_failed(working: None) -> None:
    with pytest.raises(QueryEvaluationError):
        compile_query(
            "map:merge((1 to 60000) ! (if (. = 50000) then 1 else map:entry(., .)))", budget=LONG
        ).evaluate()
    assert gc.isenabled()
