"""Every part of the language that the documentation promises, by name: one short query for each.

Depth is elsewhere (`test_flwor`, `test_constructors`, `test_modules` ... and the W3C's tests). These tables
answer the question "is it there at all".
"""

from __future__ import annotations

import pytest
from lxml import etree

from clacks.common.errors import QueryError
from clacks.xquery import compile_query
from clacks.xquery.serialize import serialize

OUTPUT = "declare namespace output = 'http://www.w3.org/2010/xslt-xquery-serialization'; "
DOCUMENT = etree.fromstring("<r xmlns:p='urn:p'><a n='2'>x</a><a n='1'>y</a><p:b/><!--c--><?d e?></r>")
LIBRARY = {
    "urn:m": "module namespace m = 'urn:m'; declare variable $m:one := 1;"
    "declare function m:twice($n as xs:integer) as xs:integer { $n * 2 };"
}
SUM = "declare function local:sum($n) { if ($n = 0) then 0 else $n + local:sum($n - 1) }; "

PROLOG = {
    "a version declaration": ("xquery version '3.1'; 1", "1"),
    "a version declaration with an encoding": ("xquery version '3.1' encoding 'utf-8'; 1", "1"),
    "a namespace": ("declare namespace p = 'urn:p'; count(//p:b)", "1"),
    "a default element namespace": ("declare default element namespace 'urn:p'; count(//b)", "1"),
    "a default function namespace": (
        "declare default function namespace 'http://www.w3.org/2005/xpath-functions/math'; sqrt(4)",
        "2",
    ),
    "a base URI": ("declare base-uri 'http://x/y/'; static-base-uri()", "http://x/y/"),
    "boundary space that is kept": ("declare boundary-space preserve; <a> {1} </a>", "<a> 1 </a>"),
    "boundary space that is stripped": ("declare boundary-space strip; <a> {1} </a>", "<a>1</a>"),
    "a construction mode": ("declare construction strip; <a>1</a>", "<a>1</a>"),
    "an ordering mode": ("declare ordering unordered; count((1, 2))", "2"),
    "namespaces that copies inherit": (
        "declare copy-namespaces preserve, inherit;"
        "let $y := <y/> return <x xmlns:q='urn:q'>{$y}</x>/y/in-scope-prefixes(.) = 'q'",
        "true",
    ),
    "namespaces that copies do not inherit": (
        "declare copy-namespaces preserve, no-inherit;"
        "let $y := <y/> return <x xmlns:q='urn:q'>{$y}</x>/y/in-scope-prefixes(.) = 'q'",
        "false",
    ),
    "namespaces that copies keep": (
        "declare copy-namespaces preserve, inherit;"
        "let $y := <y xmlns:q='urn:q'/> return <x>{$y}</x>/y/in-scope-prefixes(.) = 'q'",
        "true",
    ),
    "namespaces that copies drop": (
        "declare copy-namespaces no-preserve, inherit;"
        "let $y := <y xmlns:q='urn:q'/> return <x>{$y}</x>/y/in-scope-prefixes(.) = 'q'",
        "false",
    ),
    "empty values that come first": (
        "declare default order empty least; for $x in (1, 2) order by (2[$x = 1]) return $x",
        "2 1",
    ),
    "empty values that come last": (
        "declare default order empty greatest; for $x in (1, 2) order by (2[$x = 1]) return $x",
        "1 2",
    ),
    "a decimal format": (
        "declare decimal-format local:f decimal-separator = ',' grouping-separator = '.';"
        "format-number(1234.5, '#.##0,00', 'local:f')",
        "1.234,50",
    ),
    "the default decimal format": (
        "declare default decimal-format decimal-separator = ',' grouping-separator = '.';"
        "format-number(1.5, '0,0')",
        "1,5",
    ),
    "a default collation": (
        "declare default collation"
        " 'http://www.w3.org/2005/xpath-functions/collation/html-ascii-case-insensitive'; 'A' = 'a'",
        "true",
    ),
    "a context item": ("declare context item := 5; . + 1", "6"),
    "an external context item": ("declare context item as document-node() external; count(//a)", "2"),
    "an option": (OUTPUT + "declare option output:indent 'no'; 1", "1"),
    "an option that nobody knows": ("declare option local:o 'x'; 1", "1"),
    "a variable with a type": ("declare variable $x as xs:integer := 1; $x", "1"),
    "an external variable with a default": ("declare variable $x external := 7; $x", "7"),
    "an external variable that is given": ("declare variable $given external; $given", "from outside"),
    "a function with types": (
        "declare function local:f($x as xs:double) as xs:double { $x }; local:f(1) instance of xs:double",
        "true",
    ),
    "a recursive function": (SUM + "local:sum(4)", "10"),
    "a function with annotations": (
        "declare %public %local:a('x', 1) function local:f() { 3 }; local:f()",
        "3",
    ),
    "a variable with annotations": ("declare %private variable $x := 4; $x", "4"),
    "a module that is imported": ("import module namespace m = 'urn:m'; m:twice($m:one)", "2"),
    "a module that is imported with a hint": (
        "import module namespace m = 'urn:m' at 'm.xqm'; m:twice(2)",
        "4",
    ),
}

FLWOR = {
    "for": ("for $x in (1, 2), $y in (3, 4) return $x * $y", "3 4 6 8"),
    "for with a type": ("for $x as xs:integer in (1, 2) return $x", "1 2"),
    "for with places": ("for $x at $p in ('a', 'b') return $p", "1 2"),
    "for that allows nothing": ("for $x allowing empty in () return count($x)", "0"),
    "let": ("let $x := 1, $y as xs:integer := $x + 1 return $y", "2"),
    "a tumbling window": (
        "for tumbling window $w in 1 to 5 start at $s when true() end at $e when $e - $s = 1"
        " return string-join($w, '+')",
        "1+2 3+4 5",
    ),
    "a tumbling window that leaves out what has no end": (
        "for tumbling window $w in 1 to 5 start at $s when true() only end at $e when $e - $s = 1"
        " return string-join($w, '+')",
        "1+2 3+4",
    ),
    "a sliding window": (
        "for sliding window $w in 1 to 4 start at $s when true() only end at $e when $e - $s = 1"
        " return string-join($w, '+')",
        "1+2 2+3 3+4",
    ),
    "a window with its neighbours": (
        "for tumbling window $w in (1, 2, 9, 10) start $f previous $p next $n"
        " when empty($p) or $f - $p > 1 return string-join($w, '+')",
        "1+2 9+10",
    ),
    "where": ("for $x in 1 to 4 where $x mod 2 = 0 return $x", "2 4"),
    "group by": ("for $x in 1 to 5 group by $g := $x mod 2 return sum($x)", "9 6"),
    "group by with a collation": (
        "for $x in ('a', 'A', 'b') group by $g := $x collation"
        " 'http://www.w3.org/2005/xpath-functions/collation/html-ascii-case-insensitive' return count($x)",
        "2 1",
    ),
    "order by": ("for $x in (2, 3, 1) order by $x descending return $x", "3 2 1"),
    "stable order by": (
        "for $x in ('b1', 'a', 'b2') stable order by substring($x, 1, 1) return $x",
        "a b1 b2",
    ),
    "order by with a collation": (
        "for $x in ('b', 'A') order by $x collation"
        " 'http://www.w3.org/2005/xpath-functions/collation/html-ascii-case-insensitive' return $x",
        "A b",
    ),
    "order by with empty keys": (
        "for $x in (1, 2) order by (1[$x = 2]) empty greatest return $x",
        "2 1",
    ),
    "count": ("for $x in ('a', 'b') order by $x descending count $n return $n || $x", "1b 2a"),
    "clauses in any order": (
        "for $x in 1 to 6 where $x > 1 let $y := $x * 2 group by $g := $x mod 2 count $n where $n = 2"
        " order by $g return sum($y)",
        "16",
    ),
}

CONSTRUCTORS = {
    "a direct element": ("<a b='{1 + 1}'>{3}<c/></a>", '<a b="2">3<c/></a>'),
    "a direct comment": ("<!--x-->", "<!--x-->"),
    "a direct processing instruction": ("<?x y?>", "<?x y?>"),
    "a computed document": ("document { <a/> } instance of document-node(element(a))", "true"),
    "a computed element": ("element {'a'} {1}", "<a>1</a>"),
    "a computed attribute": ("<a>{attribute b {2}}</a>", '<a b="2"/>'),
    "a computed text": ("text {'x'}", "x"),
    "a computed comment": ("comment {'x'}", "<!--x-->"),
    "a computed processing instruction": ("processing-instruction x {'y'}", "<?x y?>"),
    "a computed namespace": ("<a>{namespace p {'urn:p'}}</a>", '<a xmlns:p="urn:p"/>'),
    "namespaces in scope": ("sort(in-scope-prefixes(<a xmlns:p='urn:p'/>))", "p xml"),
    "boundary space": ("<a> <b/> {1} </a>", "<a><b/>1</a>"),
    "references to characters and entities": (
        "<a>&#65;&#x42;&lt;&amp;{'&gt;'}</a>",
        "<a>AB&lt;&amp;&gt;</a>",
    ),
    "CDATA": ("<a><![CDATA[<x>&]]></a>", "<a>&lt;x&gt;&amp;</a>"),
    "braces": ("<a>{{1}}</a>", "<a>{1}</a>"),
}

EXPRESSIONS = {
    "typeswitch": (
        "typeswitch (1.5) case xs:integer return 'i' case $d as xs:decimal | xs:double return 'd' || $d"
        " default return 'x'",
        "d1.5",
    ),
    "switch": ("switch ('b') case 'a' return 1 case 'b' case 'c' return 2 default return 3", "2"),
    "try and catch with the variables": (
        "try { error(xs:QName('local:e'), 'why', 7) } catch local:e { local-name-from-QName($err:code),"
        " $err:description, $err:value, $err:line-number, $err:column-number > 0 }",
        "e why 7 1 true",
    ),
    "some": ("some $x in (1, 2), $y in (2, 3) satisfies $x = $y", "true"),
    "every": ("every $x as xs:integer in (1, 2) satisfies $x > 1", "false"),
    "if": ("if (()) then 1 else 2", "2"),
    "treat": ("(1 treat as xs:integer) + 1", "2"),
    "instance of": ("(1, 'a') instance of item()+", "true"),
    "castable and cast": ("'x' castable as xs:integer, '1' cast as xs:integer", "false 1"),
    "a named function": ("upper-case#1('a')", "A"),
    "an inline function": ("function($x as xs:integer) as xs:integer { $x + 1 }(1)", "2"),
    "a function partly applied": ("concat('a', ?, 'c')('b')", "abc"),
    "a closure": ("let $y := 10, $f := function($x) { $x + $y } return $f(1)", "11"),
    "a closure over a loop": ("(for $x in 1 to 3 return function($y) { $x * $y }) ! .(10)", "10 20 30"),
    "a map": ("map {'a': 1, 'b': (2, 3)}?b", "2 3"),
    "an array": ("[1, (2, 3)](2), array {4, 5}?1", "2 3 4"),
    "lookup of all": ("([1, 2], map {'x': 3})?*", "1 2 3"),
    "lookup in the context item": ("map {'x': [1, 2]} ! ?x?2", "2"),
    "an arrow": ("'a' => upper-case() => concat('b')", "Ab"),
    "the map operator": ("(1, 2) ! (. * 2)", "2 4"),
    "a string constructor": ("``[a `{1 + 1}` `b`]``", "a 2 `b`"),
    "an extension expression": ("(# local:p x #) { 5 }", "5"),
    "ordered and unordered": ("ordered { 1 }, unordered { 2 }", "1 2"),
    "paths along every axis": (
        "string-join((//a[1]/following-sibling::a/@n, //a[2]/preceding-sibling::a/@n, "
        "//a[1]/parent::r/name(), count(//a[1]/ancestor-or-self::*), count(/descendant::node()),"
        " count(//a[1]/following::*),"
        " count(//a[2]/preceding::*), count(//comment()), count(//processing-instruction(d))), ' ')",
        "1 2 r 2 8 2 1 1 1",
    ),
    "set operators": ("count(//a union //*), count(//a intersect //a[1]), count(//a except //a[1])", "4 1 1"),
    "order of nodes across trees": (
        "let $x := <x/>, $y := <y/> return (count(($y, $x, $y) | ()), ($x << $y) != ($y << $x))",
        "2 true",
    ),
    "is": ("let $x := <x/> return ($x is $x, $x is <x/>)", "true false"),
    "arithmetic": ("1 + 2 * 3 - 4 div 2, 7 idiv 2, 7 mod 2, -(1)", "5 3 1 -1"),
    "ranges": ("3 to 5", "3 4 5"),
    "concatenation": ("'a' || 1 || ()", "a1"),
}

SERIALIZATION = {
    "xml": ("<a b='1'/>", '<?xml version="1.0" encoding="UTF-8"?><a b="1"/>'),
    "xhtml": (
        "<br xmlns='http://www.w3.org/1999/xhtml'/>",
        '<?xml version="1.0" encoding="UTF-8"?><br xmlns="http://www.w3.org/1999/xhtml" />',
    ),
    "html": ("<p>a<br/>&lt;</p>", "<p>a<br>&lt;</p>"),
    "text": ("<a>x<b>y</b></a>", "xy"),
    "json": ("map {'a': [1, true(), ()]}", '{"a":[1,true,null]}'),
    "adaptive": ("1, 'a', <b/>, map {'k': [2]}", '1\n"a"\n<b/>\nmap{"k":[2]}'),
}

REFUSED = {
    "validate": ("validate { <a/> }", "XQST0075"),
    "a schema import": ("import schema 'urn:s'; 1", "XQST0009"),
    "another version": ("xquery version '9.9'; 1", "XQST0031"),
    "an external function": ("declare function local:f() external; 1", "XPST0017"),
}


def answer(query: str) -> str:
    compiled = compile_query(query, modules=LIBRARY)
    found = compiled.sequence(DOCUMENT, {"given": "from outside"})
    return serialize(found, {"method": "xml", "omit-xml-declaration": True})


@pytest.mark.parametrize("name", PROLOG)
def test_prolog_may_have(name: str) -> None:
    query, result = PROLOG[name]
    assert answer(query) == result


@pytest.mark.parametrize("name", FLWOR)
def test_flwor_expression_may_have(name: str) -> None:
    query, result = FLWOR[name]
    assert answer(query) == result


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_make(name: str) -> None:
    query, result = CONSTRUCTORS[name]
    assert answer(query) == result


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_include(name: str) -> None:
    query, result = EXPRESSIONS[name]
    assert answer(query) == result


@pytest.mark.parametrize("method", SERIALIZATION)
def test_results_are_written_by_method(method: str) -> None:
    query, result = SERIALIZATION[method]
    parameters = {"method": method, "indent": False, "omit-xml-declaration": method == "adaptive"}
    assert serialize(compile_query(query).sequence(), parameters) == result


@pytest.mark.parametrize("name", REFUSED)
def test_left_out_and_refused_with_its_code_is(name: str) -> None:
    query, code = REFUSED[name]
    with pytest.raises(QueryError) as caught:
        compile_query(query)
    assert caught.value.code == code
