"""Joins: looked up in a table or gone through pair by pair, the answer is the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery import BROKER_BUDGET, QueryBudget, compile_query

VALUES = st.lists(st.sampled_from(["1", "01", "1.0", "2", "-3", "x", "", "NaN", "INF", "1e400"]), max_size=3)
DOCUMENTS = st.tuples(st.lists(VALUES, max_size=6), st.lists(VALUES, max_size=6))
SIDES = [
    "$b/v",
    "$b/v/string()",
    "$b/v/number()",
    "$b/@n",
    "$b/v[1]",
    "$b/v[1] + 1",
    "count($b/v)",
    "lower-case($b/v[1])",
]
OTHERS = [side.replace("$b", "$a") for side in SIDES] + ["1", "'x'", "2.5", "1e0", "$a", "(1, 'x')"]


def document(lists):
    first, second = lists
    root = etree.Element("r")
    for name, rows in (("a", first), ("b", second)):
        for number, row in enumerate(rows):
            element = etree.SubElement(root, name, n=str(number))
            for value in row:
                etree.SubElement(element, "v").text = value
    return root


def answer(query, root):
    try:
        return compile_query(query).evaluate(root)
    except QueryError as error:
        return error.code


def plan_of(query):
    body = compile_query(query).module.body
    return [clause.kind for token in body.walk() if token.symbol == "flwor" for clause in token.plan]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    DOCUMENTS,
    st.sampled_from(SIDES),
    st.sampled_from(OTHERS),
    st.sampled_from(["=", "<", "<=", ">", ">="]),
    st.booleans(),
    st.sampled_from(["", " and $b/@n > 0", " and $b/v"]),
)
def test_join_answers_as_the_loop_does(lists, inner, outer, symbol, flip, rest):
    root = document(lists)
    condition = f"{outer} {symbol} {inner}" if flip else f"{inner} {symbol} {outer}"
    query = "for $a in /r/a return ('|', for $b in /r/b where {}{} return string($b/@n))"
    joined = query.format(condition, rest)
    plain = query.format(f"(if ({condition}) then true() else false())", rest)
    assert "join" in plan_of(joined)
    assert "join" not in plan_of(plain)
    assert answer(joined, root) == answer(plain, root)


@pytest.mark.parametrize(
    "query",
    [
        "for $a in /r/a for $b at $p in /r/b where $b/v = $a/v return 1",
        "for $a in /r/a for $b as element() in /r/b where $b/v = $a/v return 1",
        "for $a in /r/a for $b allowing empty in /r/b where $b/v = $a/v return 1",
        "for $a in /r/a for $b in <b><v>1</v></b> where $b/v = $a/v return 1",
        "for $a in /r/a for $b in /r/b where $b/v eq $a/v return 1",
        "for $a in /r/a for $b in /r/b where $b/v != $a/v return 1",
        "for $a in /r/a for $b in /r/b where $b/v = ($a/v, $b/v) return 1",
        "for $a in /r/a for $b in /r/b let $c := 1 where $b/v = $a/v return 1",
        "for $a in /r/a for $b in /r/b where error() = $b/v return 1",
    ],
)
def test_loop_that_a_table_cannot_replace_stays_a_loop(query):
    assert "join" not in plan_of(query)


def test_table_is_made_anew_when_what_it_was_made_of_changes():
    query = (
        "for $group in 1 to 3 let $items := (1 to 3) ! (. * $group)"
        " for $a in (3, 3, 6) for $b in $items where $b = $a return $b"
    )
    assert compile_query(query).evaluate(None) == [3, 3, 6, 3, 3, 6]


def test_join_in_a_recursive_function_uses_its_own_frame():
    query = (
        "declare function local:f($n, $items) { if ($n = 0) then () else"
        " (for $a in (1, 2, 3) for $b in $items where $b = $a return ($b, local:f($n - 1, ($items, 3)))) };"
        "string-join(local:f(2, (1, 2)))"
    )
    naive = query.replace("where $b = $a", "where (if ($b = $a) then true() else false())")
    assert compile_query(query).evaluate(None) == compile_query(naive).evaluate(None) == ["11232123"]


@pytest.mark.slow
def test_join_of_two_long_sequences_is_no_product_of_them():
    root = etree.fromstring(
        "<r>" + "".join(f"<a k='{n}'/><b k='{n * 7 % 10007}'/>" for n in range(10007)) + "</r>"
    )
    query = "count(for $a in /r/a for $b in /r/b where $a/@k = $b/@k return 1)"
    budget = QueryBudget(steps=400_000, seconds=20)
    assert compile_query(query, budget=budget).evaluate(root) == [10007]


@pytest.mark.parametrize("side", ["$b/v = '1'", "string($b/v) = '1'", "number($b/v) = 1", "$b/v < 2e0"])
def test_many_equal_keys_are_paid_for(side):
    root = etree.fromstring("<r>" + "<a/>" * 2000 + "<b><v>1</v></b>" * 2000 + "</r>")
    query = compile_query(
        f"count(for $a in /r/a for $b in /r/b where {side} and $a/v return 1)",
        budget=BROKER_BUDGET,
    )
    with pytest.raises(QueryBudgetExceeded):
        query.evaluate(root)
