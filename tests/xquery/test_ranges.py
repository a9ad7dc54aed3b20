"""Ranges are lazy, and whoever goes through a large one pays by the step."""

from __future__ import annotations

import pytest

from clacks.common.errors import QueryBudgetExceeded, QueryEvaluationError
from clacks.xquery import BROKER_BUDGET, compile_query
from tests.costs import cpu_seconds

HUGE = "(1 to 10000000000)"


@pytest.mark.parametrize(
    ("query", "result"),
    [
        (f"count({HUGE})", [10_000_000_000]),
        (f"{HUGE}[5]", [5]),
        (f"head({HUGE}), exists({HUGE}), tail({HUGE})[1]", [1, True, 2]),
        (f"{HUGE} = 5, {HUGE} = 0", [True, False]),
        (f"let $r := {HUGE} return [$r]?1[7]", [7]),
        (f"{HUGE} instance of xs:integer+", [True]),
        (f"declare function local:f($n as xs:integer*) {{ count($n) }}; local:f({HUGE})", [10_000_000_000]),
    ],
)
def test_range_is_not_made_to_be_looked_at(query, result):
    assert compile_query(query).evaluate(None) == result


@pytest.mark.parametrize(
    "query",
    [
        HUGE,
        f"({HUGE}, 1)",
        f"{HUGE} ! 1",
        f"1 ! {HUGE}",
        f"for $x in {HUGE} return 1",
        f"for $x in {HUGE} order by $x return 1",
        f"{HUGE}[. = 0]",
        f"some $x in {HUGE} satisfies $x = 0",
        f"<a>{{{HUGE}}}</a>",
        f"array {{{HUGE}}}",
        f"map {{1: {HUGE}}}?*",
        f"string-join({HUGE} ! string())",
        f"for-each({HUGE}, function($x) {{ $x }})",
        f"declare function local:f($n as xs:double*) {{ 1 }}; local:f({HUGE})",
    ],
)
def test_going_through_a_huge_range_ends_within_the_budget_of_a_broker(query):
    compiled = compile_query(query, budget=BROKER_BUDGET)

    def run():
        with pytest.raises(QueryBudgetExceeded, match="the query wants"):
            compiled.evaluate(None)

    assert cpu_seconds(run) < 0.25


@pytest.mark.parametrize("query", ["'1' to ()", "1.5 to ()", "(1, 2) to ()", "1 to '2'"])
def test_an_end_of_a_range_that_is_no_integer_is_an_error(query):
    with pytest.raises(QueryEvaluationError, match="XPTY0004"):
        compile_query(query).evaluate()


def test_a_range_without_a_beginning_looks_no_further():
    assert compile_query("() to xs:integer('x')").evaluate() == []
    assert compile_query("1 to ()").evaluate() == []
