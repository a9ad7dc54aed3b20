"""Predicates: what is computed from positions is what looking at each item gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from clacks.common.errors import QueryError
from clacks.xquery import BROKER_BUDGET, QueryBudget, compile_query

BOUNDS = st.sampled_from(
    ["0", "1", "2", "3.5", "2e0", "-1", "99", "()", "(1, 3)", "(2, 2.0)", "1 to 3", "last()", "last() - 1",
     "last() div 2", "xs:double('NaN')", "number('INF')", "'x'", "xs:untypedAtomic('2')", "1 div 0", "$n"]
)  # fmt: skip
COMPARISONS = st.builds(
    lambda left, symbol, flip: f"{left} {symbol} position()" if flip else f"position() {symbol} {left}",
    BOUNDS.map(lambda bound: f"({bound})"),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge"]),
    st.booleans(),
)
PREDICATES = st.one_of(
    COMPARISONS,
    st.builds("{} and {}".format, COMPARISONS, COMPARISONS),
    st.builds("{} or {}".format, COMPARISONS, COMPARISONS),
)


def answer(query, document=None):
    try:
        return compile_query(f"let $n := 2 return {query}").evaluate(document)
    except QueryError as error:
        return error.code


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(PREDICATES, st.sampled_from(["('a', 'b', 'c', 'd', 'e')", "()", "('a')", "(1 to 7)"]))
def test_positions_are_computed_as_items_are_looked_at(predicate, items):
    plain = f"{items}[if ({predicate}) then true() else false()]"
    assert answer(f"{items}[{predicate}]") == answer(plain)


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("(1 to 10000000000)[position() < 4]", [1, 2, 3]),
        ("(1 to 10000000000)[position() = (2, 5, 10000000001)]", [2, 5]),
        ("count((1 to 10000000000)[position() > 2 and position() <= last() - 1])", [9999999997]),
        ("('a', 'b', 'c')[position() = 2 to 10000000000]", ["b", "c"]),
        ("('a', 'b', 'c')[position() != 2]", ["a", "c"]),
        ("('a', 'b', 'c')[position() = (3, 1)]", ["a", "c"]),
        ("('a', 'b', 'c')[position() lt 1.5 or position() ge 2.5]", ["a", "c"]),
        ("()[position() = error()]", []),
    ],
)
def test_position_is_a_question_of_arithmetic(query, result):
    assert compile_query(query, budget=BROKER_BUDGET).evaluate(None) == result


def test_a_predicate_that_is_the_same_for_all_items_comes_before_what_it_filters():
    query = compile_query(
        "declare variable $r external; declare variable $n external; declare variable $unused := error();"
        "(1 div $n)[$r = 1]"
    )
    assert query.evaluate(None, {"r": 2, "n": 0}) == []
    assert query.evaluate(None, {"r": 1, "n": 1}) == [1]
    with pytest.raises(QueryError) as caught:
        query.evaluate(None, {"r": 1, "n": 0})
    assert caught.value.code == "FOAR0001"


ROW = etree.fromstring("<r>" + "".join(f"<{'ab'[n % 2]} n='{n}'/>" for n in range(20)) + "</r>")


@pytest.mark.parametrize("axis", ["following-sibling", "preceding-sibling"])
@pytest.mark.parametrize(
    "number", ["1", "3", "5", "0", "-1", "99", "2.0", "1.5", "(1, 2)", "()", "true()", "'x'"]
)
@pytest.mark.parametrize("test", ["a", "*", "node()"])
def test_sibling_by_number_is_found_as_among_all_siblings(axis, number, test):
    step = f"/r/*[11]/{axis}::{test}"
    near, all_of_them = f"{step}[{number}]/@n/string()", f"({step})[{number}]/@n/string()"
    if axis == "preceding-sibling":
        all_of_them = f"reverse({step})[{number}]/@n/string()"
    found, wanted = answer(near, ROW), answer(all_of_them, ROW)
    if isinstance(found, list) and isinstance(wanted, list):
        found, wanted = sorted(found), sorted(wanted)
    assert found == wanted


def test_sibling_by_number_does_not_go_through_all_siblings():
    wide = etree.fromstring("<r>" + "<a/>" * 5000 + "</r>")
    query = "count(/r/a/following-sibling::a[2])"
    budget = QueryBudget(steps=100_000, seconds=20)
    assert compile_query(query, budget=budget).evaluate(wide) == [4998]
