"""Whatever is written for a query, nothing but an error of the query comes out."""

from __future__ import annotations

import random

import pytest
from lxml import etree

from clacks.common.errors import QueryError
from clacks.xquery import QueryBudget, compile_query, wrap

SEEDS = (
    "declare namespace f='urn:f'; let $e := ./f:Event return $e/f:PhoneStatus",
    "for $x at $i in (3, 1, 2) where $x > 1 order by $x descending return <a n='{$i}'>{$x}</a>",
    "declare function local:f($n as xs:integer) as xs:integer { if ($n le 1) then 1 else "
    "$n * local:f($n - 1) }; local:f(5)",
    "<a xmlns:p='u' p:b='{1, 2}'>text {{ }} &lt; <![CDATA[<]]> <!--c--><?p i?>{//text()}</a>/@*",
    "map{'a': [1, (2, 3)], 'b': function($x) { $x + 1 }}?b(2)",
    (
        "for tumbling window $w in 1 to 9 start at $s when $s mod 3 = 1 end $e next $n when "
        "$n > 5 return sum($w)"
    ),
    "try { xs:integer(//a[1]) } catch err:FORG0001 | * { $err:code, $err:line-number }",
    (
        "typeswitch (//b) case $n as element(b)+ return $n/@* case xs:string | xs:date return "
        "1 default $d return $d"
    ),
    "switch (string(//a)) case 'x' case 'y' return ``[a `{1 + 1}` b]`` default return 'd' || 1",
    "some $x in //*, $y in $x/@* satisfies $y = (1 to 10) and not(empty($x/following-sibling::*[last()]))",
    (
        "element {concat('a', 1)} {attribute {QName('u', 'p:x')} {1}, namespace q {'v'}, text "
        "{'t'}, comment {'c'}}"
    ),
    "xs:date('2026-01-31') + xs:yearMonthDuration('P1M') lt xs:date('2026-03-01')",
    "(//a union //b) intersect //*[@n eq '1'] except //c",
    "let $f := fold-left(?, 0, function($a, $b) { $a + $b }) return $f((1, 2.5, 3e0)) cast as xs:string",
    "for $x in //* group by $k := name($x) order by $k empty greatest count $c return ($k, $c, count($x))",
    "(# p:x y #) { 1 }, validate { <a/> }, ordered { //a } ! (., 2)[. instance of xs:integer]",
)
MARKS = "( ) { } [ ] $x \" ' < > / // .. . , 1 -1 () * ? ! => := eq to &amp; & (: :) ``[ ]`` {{ % # @n"
WORDS = (
    "as xs:integer",
    "map{}",
    "return",
    "1e400",
    "xs:double('NaN')",
    "<a/>",
    "function($x) { $x }",
    "9" * 30,
)
PIECES = (*MARKS.split(), *WORDS)
BUDGET = QueryBudget(steps=20_000, nodes=2_000, string_bytes=200_000, seconds=0.5)


def mutated(chance):
    """Return a query that somebody sat upon."""
    query = chance.choice(SEEDS)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(query) + 1)
        kind = chance.random()
        if kind < 0.3:
            query = query[:place] + query[place + chance.randint(1, 6) :]
        elif kind < 0.7:
            query = query[:place] + chance.choice(PIECES) + query[place:]
        else:
            other = chance.choice(SEEDS)
            start = chance.randrange(len(other))
            query = query[:place] + other[start : start + chance.randint(1, 40)] + query[place:]
    return query


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_damaged_queries_fail_as_queries(seed):
    chance = random.Random(seed)
    document = wrap(etree.XML("<r xmlns:p='u'><a n='1'>x</a><p:b>2</p:b><b n='7'/><!--c--><?p i?></r>"))
    outcomes = set()
    for _ in range(1500):
        query = mutated(chance)
        try:
            compile_query(query, budget=BUDGET).evaluate(document)
            outcomes.add("result")
        except QueryError as error:
            outcomes.add(type(error).__name__)
    assert {"result", "QuerySyntaxError", "QueryEvaluationError"} <= outcomes
