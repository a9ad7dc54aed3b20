"""FLWOR: all clauses, windows, grouping, ordering."""

from __future__ import annotations

import pytest
from lxml import etree

from clacks.common.errors import QueryError
from clacks.xquery import compile_query


def run(query, document=None):
    return compile_query(query).evaluate(document)


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("for $x at $i in ('a', 'b') return ($i, $x)", [1, "a", 2, "b"]),
        ("for $x allowing empty at $i in () return (count($x), $i)", [0, 0]),
        ("for $x in 1 to 2, $y in $x to 2 return 10 * $x + $y", [11, 12, 22]),
        ("for $x in 1 to 2 let $y := $x * 2 for $z in 1 to $y where $z mod 2 = 0 return $z", [2, 2, 4]),
        ("for $x in (3, 1, 2) order by $x return $x", [1, 2, 3]),
        ("for $x in (3, 1, 2) count $c order by $x descending return $c", [1, 3, 2]),
        ("for $x in (2, (), 1) order by $x return $x", [1, 2]),
        ("for $x in ([2], [], [1]) order by $x?* empty greatest return count($x?*)", [1, 1, 0]),
        ("for $x in ([2], [], [1]) order by $x?* empty least return count($x?*)", [0, 1, 1]),
        ("for $x in (1e0, xs:double('NaN'), -1e0) order by $x return string($x)", ["NaN", "-1", "1"]),
        ("for $x in 1 to 6 order by $x mod 2, $x descending return $x", [6, 4, 2, 5, 3, 1]),
        ("for $x in 1 to 6 group by $k := $x mod 3 order by $k return ($k, sum($x))", [0, 9, 1, 5, 2, 7]),
        ("for $x in (1, 1.0, 'a', 1e0) group by $x return count($x)", [1, 1]),
        ("for $x in 1 to 3 let $y := 'c' group by $y return ($y, $x)", ["c", 1, 2, 3]),
        ("for $x in ('b', 'B', 'a') group by $x collation "
         "'http://www.w3.org/2005/xpath-functions/collation/html-ascii-case-insensitive' return "
             "count($x)", [1, 1]),
        ("for tumbling window $w in 1 to 7 start at $s when $s mod 3 = 1 return sum($w)", [6, 15, 7]),
        ("for tumbling window $w in 1 to 7 start $s when true() only end $e when $e - $s = 2 return "
            "sum($w)", [6, 15]),
        ("for sliding window $w in 1 to 4 start at $s when true() only end at $e when $e - $s = 1 "
            "return sum($w)",
         [3, 5, 7]),
        ("for tumbling window $w in (1, 5, 2, 3) start $a previous $p next $n when $a > $n or empty($p) "
         "return string-join($w, ' ')", ["1", "5 2 3"]),
        ("some $x in 1 to 3, $y in ($x, 5) satisfies $y - $x = 4", [True]),
        ("every $x in () satisfies false()", [True]),
    ],
)  # fmt: skip
def test_flwor_yields(query, result):
    assert run(query) == result


def test_order_by_keeps_the_order_of_equal_keys():
    assert run("for $x in ('bb', 'a', 'cc', 'b') order by string-length($x) return $x") == [
        "a",
        "b",
        "bb",
        "cc",
    ]


def test_group_by_sees_all_values_of_the_other_variables():
    document = etree.XML("<r><e k='a'>1</e><e k='b'>2</e><e k='a'>3</e></r>")
    query = (
        "for $e in //e let $v := number($e) group by $k := string($e/@k) order by $k return <g "
        "k='{$k}'>{$v}</g>"
    )
    assert run(f"({query}) ! concat(@k, '=', .)", document) == ["a=1 3", "b=2"]


def test_keys_of_different_types_are_an_error():
    with pytest.raises(QueryError) as caught:
        run("for $x in (1, 'a') order by $x return $x")
    assert caught.value.code == "XPTY0004"


def test_declared_type_of_a_loop_variable_is_matched_not_converted():
    with pytest.raises(QueryError) as caught:
        run("for $x as xs:string in <a>b</a> return $x")
    assert caught.value.code == "XPTY0004"


@pytest.mark.parametrize(
    "name", ["for", "let", "if", "return", "order", "where", "element", "map", "switch", "some", "in"]
)
def test_no_name_is_reserved(name):
    document = etree.XML(f"<{name}><{name}>1</{name}></{name}>")
    assert run(f"for ${name} in {name}/{name} where ${name} return ${name}/text() ! number()", document) == [
        1.0
    ]


def test_switch_typeswitch_and_try():
    assert run("switch ('b') case 'a' case 'b' return 1 default return 2") == [1]
    assert run(
        "typeswitch (5) case xs:string return 's' case $n as xs:integer | xs:double return $n + 1 "
        "default return 0"
    ) == [6]
    assert run("try { 1 div 0 } catch err:FOAR0001 | err:X { 'zero' }") == ["zero"]
