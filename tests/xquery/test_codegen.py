"""Expressions as Python code do what their tokens do: values, errors, places, budgets."""

from __future__ import annotations

import threading

import pytest
from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery import QueryBudget, compile_query, hot, wrap
from clacks.xquery.budget import BROKER_BUDGET, UNBOUNDED, Meter
from clacks.xquery.codegen import expression_code, function_code
from clacks.xquery.serialize import serialize
from tests.filters.corpus import events, filters
from tests.filters.proof import run

DOCUMENT = etree.XML(
    "<r xmlns:p='urn:p'><a n='1' p:m='2'>10</a><a n='2'>9</a><b><a n='x'>7</a>text<!--note--><?go on?></b>"
    "<e/><a n='4'>not a number</a></r>"
)

PROLOG = """
declare namespace p = "urn:p";
declare variable $global := (3, 4);
declare function local:add($a as xs:double, $b as xs:double?) as xs:double? { $a + $b };
declare function local:scale($v as xs:double*, $x as xs:double) as xs:double* { for $y in $v return $y * $x };
declare function local:whole($n as xs:integer) as xs:integer
{ if ($n le 0) then 0 else $n + local:whole($n - 1) };
declare function local:even($n) { if ($n = 0) then true() else local:odd($n - 1) };
declare function local:odd($n) { if ($n = 0) then false() else local:even($n - 1) };
declare function local:first($e as element()*) as element()? { $e[1] };
declare function local:named($e as element(a)) as xs:string { string($e/@n) };
declare function local:many($v as item()+) as item()+ { $v, $v };
declare function local:nothing() as empty-sequence() { () };
declare function local:apply($f as function(item()) as item()*, $v) { $f($v) };
"""

EXPRESSIONS = """
1
"text"
()
(1, "a", 2.5, 1e0, true())
((), 1, ())
$global
1 + 2
1 + 2.5
1e0 + 2
2 * 3e0
7 div 2
7e0 div 2
1e0 div 0
0e0 div 0
7 idiv 2
-7 mod 3
7.5e0 mod 2
1 div 0
1 idiv 0e0
9999999999999999999 * 9999999999999999999
4611686018427387904 + 4611686018427387904
() + 1
() + error()
() eq (1, 2)
//zz eq ("a", "b")
//zz = error()
() to error()
//a[1]/zz + (1, 2)
"a" + 1
() + "a"
(1, 2) + 1
xs:date("2026-01-31") + xs:yearMonthDuration("P1M")
-(3)
+(3)
-(2.5e0)
-()
-"a"
1 to 3
3 to 1
() to 2
"a" to 2
1 = 1
(1, 2, 3) = (3, 4)
(1, 2) != (1, 2)
1 = "1"
"a" < "b"
() = 1
//a = "9"
//a > 8
//a[@n > 1]/@n ! string(.)
1 eq 1e0
1 eq ()
"a" eq "a"
"a" eq 1
(1, 2) eq 1
//a/@n = "x"
/r/a[1] is /r/a[1]
/r/a[1] is ()
/r/a[1] << /r/a[2]
true() and false()
true() or error()
false() and error()
"a" and 1
if (1) then "yes" else "no"
if (()) then 1 else ()
if (//a) then //a[1] else ()
if ((1, 2)) then 1 else 2
for $x in 1 to 5 return $x * $x
for $x in (1, 2), $y in ("a", "b") return concat($y, $x)
for $x at $p in ("a", "b") return ($p, $x)
for $x in 1 to 10 where $x mod 3 = 0 return $x
for $x in 1 to 10 let $y := $x * 2 where $y > 10 return $y
let $x := 1 return $x + 1
let $x := (1, 2) return count($x)
let $x as xs:integer := 1 return $x
let $x as xs:string := 1 return $x
let $x := 5 where $x > 3 return $x
let $x := 5 where $x > 8 return $x
for $x in (3, 1, 2) order by $x return $x
for $x in (3, 1, 2) order by $x descending return $x
for $a in //a order by string($a/@n) descending return string($a)
for $a in //a order by $a/@missing empty greatest, $a return string($a)
for $x in (1, "a") order by $x return $x
for $x in (1, 2, 3) let $y := $x mod 2 group by $z := $y order by $z return <g k="{$z}">{$x}</g>
for $x in (1, 2, 3, 4) group by $k := $x mod 2 order by $k return (for $i in (1, 2) return sum($x))
for tumbling window $w in 1 to 5 start at $s when $s mod 2 = 1 return sum($w)
for $x allowing empty in () return count($x)
for $x as xs:string in ("a", 1) return $x
for $x in 1 to 3 count $c return $c * $x
for $x in (1, 2) return for $y in (3, 4) return function($z) { $x + $y + $z }(10)
for $x in 1 to 3 return try { if ($x = 2) then error() else $x } catch * { "caught" }
for $x in 1 to 3 return switch ($x) case 1 return "one" case 2 return "two" default return "many"
for $x in (1, "a", //a[1]) return typeswitch ($x) case xs:integer return 1 case $s as xs:string return $s \
case element(a) return "a" default return "other"
typeswitch (()) case empty-sequence() return "empty" default return "full"
typeswitch ((1, 2)) case $v as xs:integer+ return count($v) default $d return $d
some $x in (1, 2, 3) satisfies $x > 2
every $x in (1, 2, 3) satisfies $x > 2
some $x in (1, 2), $y in (2, 3) satisfies $x = $y
every $x in (1, 2), $y in (2, 3) satisfies $x < $y
some $x as xs:string in (1, 2) satisfies $x
some $x in () satisfies error()
(1, 2, 3)[2]
(1, 2, 3)[0]
(1, 2, 3)[9]
(1, 2, 3)[. > 1]
(1, 2, 3)[. mod 2 = 1][2]
(1, 2, 3)[last()]
(1, 2, 3)[position() > 1]
(1 to 10000000000)[position() < 4]
(1 to 10000000000)[position() = (2, 5)][. > 2]
/r/a[position() < 3][@n > 1] ! string(.)
(1 to 10)[. = (2, 4)]
(1, 2, 3)[true()]
(1, 2, 3)[1 eq 2]
(1, 2, 3)["a"]
()[error()]
()[error() = 1]
(1)[error() = 1]
let $i := 2 return (5, 6, 7)[$i]
let $i := 2.0 return (5, 6, 7)[$i]
let $s := "x" return (5, 6, 7)[$s]
for $i in 1 to 3 return (5, 6, 7)[$i + 1]
for $i in 1 to 3 return ("a")[$i]
/r/a ! string(@n)
/r/a/@n/string(.)
/r/a/xs:double(@n)
/r/b/a/xs:double(@n)
//a[1]/xs:double(@n)
/r/*[not(. is /r/a[1])] ! name(.)
/r/a[@n = "2"]/text()
/r/b/node() ! name(.)
/r/b/a/.. ! name(.)
/r/a[2]/preceding-sibling::a[1]/@n ! string(.)
/r/a/following-sibling::*[2] ! name(.)
//a/ancestor::* ! name(.)
/r/a[@p:m]/@p:m ! string(.)
/r/a/self::a[@n = "1"] ! string(.)
/r//a ! string(@n)
(//a, //b)/@n ! string(.)
(//b, //a)/.. ! name(.)
/r/(a | b) ! name(.)
/r/a/(1, 2)
/r/a/(1, .)
(1, 2)/a
1/a
string-join(/r/a/name(), ",")
//comment() ! string(.)
(1, 2, 3) ! (. * 2)
(1, 2, 3) ! position()
(1, 2, 3) ! last()
("a", "b") ! (. || position())
() ! error()
count((1, 2, 3)), count(()), count(7), exists(()), exists(7), empty((1, 2)), empty(()), not(1), not(())
sum((1e0, 2e0)), sum(()), sum((1, 2.5)), sum(for $x in (1e0, 2e0) return $x * 2)
sum(for $x in () return 1e0 * $x), boolean("a"), boolean(())
max((1, 2)), min(("a", "b")), avg((1, 2))
string(5), concat("a", 1, "b"), substring("abc", 2), upper-case(()), string-length("abc")
subsequence((1, 2, 3), 2), reverse((1, 2)), distinct-values((1, 1, 2))
number("x"), xs:double("1.5"), xs:integer("7"), xs:string(1), xs:boolean("true"), xs:date("2026-01-02")
xs:double("x")
xs:integer(())
xs:NMTOKENS("a b")
floor(2.5e0), round(2.5), abs(-1)
substring(1, 2)
concat((1, 2), "a")
local:add(1, 2), local:add(1, ()), local:add(/r/a[1], 2)
local:add("a", 1)
local:add((), 1)
local:add((1, 2), 1)
local:scale((1, 2.5, 3e0), 2), local:scale((), 1), local:scale(/r/a[1]/@n, 10)
local:scale(("a"), 1)
local:whole(10), local:even(7)
local:first(//a) ! string(@n), local:first(()), local:first(//zz)
local:first((1, 2))
local:named(/r/a[1])
local:named(/r/b)
local:many((1, 2)), local:many("a")
local:many(())
local:nothing()
local:apply(function($x) { $x * 2 }, 4), local:apply(string#1, 4), local:apply(local:even#1, 4)
local:apply(concat("a", ?), "b")
let $f := local:add(1, ?) return $f(2)
let $n := 3 return (function($x) { $x + $n })(1)
let $m := map { "a": 1, "b": (2, 3) } return ($m("a"), $m("b"), $m("c"), $m?a, map:get($m, "b"))
let $m := map { "a": 1, "b": (2, 3) } return (map:contains($m, "c"), map:contains($m, "a"))
let $m := map { 1: "one", 2.0: "two" } return ($m(1.0), $m(2), map:size(map:put($m, 3, 3)))
let $m := map { 1: "one", 2.0: "two" } return (map:size(map:remove($m, 1)), map:keys(map:remove($m, (1, 2))))
map:merge(for $x in 1 to 3 return map { $x: $x * 2 })?*
map:merge((1 to 3) ! map:entry(., position()))?*
map:merge((map { "a": 1 }, map { "a": 2 }))?a
map:merge((map { "a": 1 }, 5))
map:merge(())
let $m := map { "a": 1 } return $m(("a", "b"))
let $m := map { "a": 1 } return $m(/r/e)
let $a := [1, [2, 3]] return ($a(1), $a(2)(2), $a?1)
[1, 2](3)
[1, 2] + 1
[1] + 1
(1, 2)(1)
"a"(1)
abs#1(-2)
<x a="{1 + 1}">{for $i in 1 to 2 return <y>{$i}</y>}</x>
for $i in 1 to 2 return <y n="{$i}">{$i * 2}</y>
for $i in 1 to 2 return element { "e" || $i } { attribute n { $i }, text { "t" } }
"a" || 1 || ()
1 instance of xs:integer, "a" castable as xs:integer, "5" cast as xs:integer, 1 treat as xs:integer
//a union //b ! name(.)
codepoints-to-string((72, 105)), string-to-codepoints("Hi"), codepoints-to-string((1))
codepoints-to-string((72, 1114112))
position()
""".strip().splitlines()

BY_TOKENS, AT_ONCE = 10**9, 0


def outcome(text: str, often: int, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(hot, "OFTEN", often)
    query = compile_query(text)
    try:
        return [serialize([item], {"method": "adaptive"}) for item in query.sequence(DOCUMENT)]
    except QueryError as error:
        return error.code, error.line, error.column


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_code_and_tokens_agree(expression, monkeypatch):
    text = PROLOG + expression
    assert outcome(text, AT_ONCE, monkeypatch) == outcome(text, BY_TOKENS, monkeypatch)


@pytest.mark.slow
def test_values_of_most_expressions_are_values_and_not_errors(monkeypatch):
    failed = [e for e in EXPRESSIONS if isinstance(outcome(PROLOG + e, BY_TOKENS, monkeypatch), tuple)]
    assert 20 < len(failed) < len(EXPRESSIONS) / 4


def test_code_is_used_where_a_function_is_called_often():
    query = compile_query(
        "declare function local:f($x as xs:double) as xs:double { $x * 2 }; "
        f"for $i in 1 to {hot.OFTEN + 10} return local:f($i)"
    )
    (declaration,) = query.module.functions.values()
    assert declaration.code is None
    assert query.evaluate()[-1] == 2.0 * (hot.OFTEN + 10)
    assert "v" in declaration.code.text
    assert ".run(" not in declaration.code.text


LONG_LOOPS = """
(1 to 700) ! (. * 2 + position() - last())
(1 to 700) ! position()
("a", 1 to 700) ! string(.)
(1 to 700) ! (if (. mod 7 = 0) then (., ., .) else ())
((1 to 450) ! [., position()])[last()]?2
let $n := 5 return (1 to 700) ! (. + $n)
(1 to 700) ! (let $x := . return function($y) { $x + $y + last() })[position() = 1](1)
(1 to 700) ! (1 to .)[. > 698]
(1 to 300) ! ((1 to 3) ! (. + position() * last()))
(1 to 700) ! (. div (. - 611))
(1 to 700) ! xs:integer("x"[current = 500])
for $x in 1 to 700 return $x * 2
for $x at $p in ("a", 3 to 700) return ($p, $x)
for $x at $p in 11 to 700 where $p mod 3 = 0 let $y := $x - $p return $y || ":" || $p
for $x in 1 to 40, $y at $p in 1 to 20 where $x >= $y return $x * $y + $p
for $x in 1 to 40 for $y in 1 to 20 let $z as xs:integer := $x * $y where $z mod 5 = 0 return $z
for $x in 1 to 700 let $y as xs:integer := if ($x = 650) then "a" else $x return $y
for $x in 1 to 700 where $x div ($x - 611) > 0 return $x
for $x in 1 to 700 return try { $x div ($x - 611) } catch * { "none" }
for $x in 1 to 700 return <e n="{$x}">{$x + 1}</e>
for $x in 1 to 700 let $f := function($y) { $x + $y } return $f(1)
for $x in 1 to 700 order by -$x return $x
for $x in 1 to 700 let $k := $x mod 3 group by $k return sum($x)
for $x in () return 1
for $x in (1 to 700, "a") return $x + 1
every $x in 1 to 700 satisfies $x > 0
every $x in 1 to 700 satisfies $x < 640
some $x in 1 to 700 satisfies $x = 640
some $x in 1 to 700 satisfies $x > 800
some $x in 1 to 30, $y in 1 to 300 satisfies $x * $y = 8990
every $x in 1 to 30, $y in 1 to 300 satisfies $x * $y < 8990
some $x in (1 to 700, "a") satisfies $x + 1 = 0
some $x as xs:integer in (1 to 700) satisfies $x = 650
map:merge((1 to 700) ! map:entry(. mod 500, position()))?(0, 1, 499)
map:merge(for $x in 1 to 700 return map { "k" || $x mod 500: $x })?("k0", "k499")
map:merge(((1 to 700) ! map:entry(., .), 5))
map:merge((1 to 700) ! (if (. = 650) then 5 else map:entry(., .)))
map:size(map:merge(for $x in 1 to 400 return (map:entry($x, 1), map { $x: 2, -$x: 3 })))
let $m := map:merge((1 to 700) ! map:entry(., .)) return (1 to 700) ! map:size(map:remove($m, (., 1, 9999)))
let $m := map:merge((1 to 700) ! map:entry(., .)) return every $x in 1 to 700 satisfies $m($x) = $x
""".strip().splitlines()


@pytest.mark.parametrize("expression", LONG_LOOPS)
def test_a_loop_that_goes_on_as_code_is_the_same_loop(expression, monkeypatch):
    text = PROLOG + expression
    assert outcome(text, 250, monkeypatch) == outcome(text, BY_TOKENS, monkeypatch)


def test_a_long_loop_goes_on_as_code():
    query = compile_query(f"for $x in 1 to {hot.OFTEN * 3} where $x mod 2 = 0 return $x + 1")
    assert query.evaluate() == list(range(3, hot.OFTEN * 3 + 2, 2))
    assert ".run(" not in query.module.body.__dict__["hot_loop"].text


def test_a_query_that_runs_often_gets_code():
    query = compile_query("count(//a) > 2")
    for _ in range(hot.OFTEN + 2):
        assert query.matches(DOCUMENT)
    assert hasattr(query.run_body, "text")


def test_no_code_is_written_where_it_would_take_the_time_that_a_query_has():
    body = " + ".join(["$x"] * 2000)
    short = QueryBudget(seconds=0.02)
    query = compile_query(f"every $x in 1 to {hot.OFTEN + 2} satisfies {body} > 0", budget=UNBOUNDED)
    condition = query.module.body._items[-1]
    assert not hot.worth([condition], Meter(short))
    assert hot.worth([compile_query("1 + 1").module.body], Meter(short))


def test_filters_of_which_there_are_many_get_no_code_all_at_once():
    text = "declare function local:f($x) { $x + 1 }; local:f(1) = 2"
    query = compile_query(text, budget=BROKER_BUDGET)
    for _ in range(hot.OFTEN + 2):
        assert query.matches(DOCUMENT)
    assert not hasattr(query.run_body, "text")
    assert [declaration.code for declaration in query.module.functions.values()] == [None]


@pytest.mark.parametrize("loops", [5, 15, 25])
def test_loops_inside_one_another_beyond_what_python_compiles(loops, monkeypatch):
    monkeypatch.setattr(hot, "OFTEN", 0)
    text = (
        "".join(f"for $x{n} in (1, 2)[. <= {2 if n < 3 else 1}] return " for n in range(loops)) + "$x0 + $x2"
    )
    assert sorted(compile_query(text).evaluate()) == [2, 2, 3, 3, 3, 3, 4, 4]


@pytest.mark.parametrize("levels", [30, 90, 150])
def test_conditions_inside_one_another_beyond_what_python_compiles(levels, monkeypatch):
    monkeypatch.setattr(hot, "OFTEN", 0)
    text = "let $x := 5 return " + "".join(f"if ($x > {n}) then " for n in range(levels)) + "'all'"
    text += " else 'some'" * levels
    assert compile_query(text).evaluate() == ["some"]


@pytest.mark.slow
@pytest.mark.parametrize("often", [AT_ONCE, BY_TOKENS])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("declare function local:f($n) { local:f($n + 1) }; local:f(1)", "function calls"),
        ("count(for $x in 1 to 100000000 return $x * 2)", "steps"),
        ("every $x in 1 to 100000000 satisfies $x > 0", "steps"),
        ("for $x in 1 to 1000 return (1 to 100000)", "steps"),
        ("for $x in 1 to 100, $y in 1 to 100, $z in 1 to 199 where $x = 0 return 1", "steps"),
        ("(1 to 100000000)[. < 0]", "steps"),
        ("(1 to 100000000) ! (. + 1)", "steps"),
        ("fold-left(1 to 20, 3, function($a, $b) { $a * $a })", "integer"),
        ("fold-left(1 to 5000, 2, function($a, $b) { $a + $a })", "integer"),
        (
            "declare function local:f($n as xs:integer) as xs:integer { $n + local:f($n + 1) }; local:f(1)",
            "calls",
        ),
    ],
)
def test_budgets_hold_for_code_too(text, what, often, monkeypatch):
    monkeypatch.setattr(hot, "OFTEN", often)
    with pytest.raises(QueryBudgetExceeded, match=what):
        compile_query(text, budget=QueryBudget(steps=50_000, seconds=60)).evaluate()


@pytest.mark.parametrize("often", [AT_ONCE, BY_TOKENS])
def test_depth_is_counted_down_again_when_an_error_is_caught(often, monkeypatch):
    monkeypatch.setattr(hot, "OFTEN", often)
    text = (
        "declare function local:f($n) { if ($n = 0) then error() else local:f($n - 1) }; "
        "for $i in 1 to 30 return try { local:f(100) } catch * { $i }"
    )
    assert compile_query(text).evaluate() == list(range(1, 31))


def test_a_condition_that_does_not_hold_keeps_a_recursion_from_going_on(monkeypatch):
    text = "declare function local:f($n) { ($n, local:f($n - 1)[$n > 0]) }; sum(local:f(50))"
    for often in (AT_ONCE, BY_TOKENS):
        monkeypatch.setattr(hot, "OFTEN", often)
        assert compile_query(text).evaluate() == [1275]


def test_threads_may_write_the_same_code_at_once():
    text = (
        "declare function local:fib($n as xs:integer) as xs:integer "
        "{ if ($n < 2) then $n else local:fib($n - 1) + local:fib($n - 2) }; local:fib(16)"
    )
    query = compile_query(text)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(query.evaluate())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[987]] * 6


def test_names_of_a_query_are_never_code():
    text = (
        "declare function Q{urn:'\"();import os#}f($a as xs:integer) { $a };" + "Q{urn:'\"();import os#}f(1)"
    )
    query = compile_query(text)
    (declaration,) = query.module.functions.values()
    code = function_code(declaration)
    assert "import" not in code.text
    string = compile_query("for $x in 1 to 2 return ('\"); import os #' || $x, \"'''\")")
    assert "import" not in expression_code(string.module.body).text


@pytest.mark.slow
def test_filters_of_the_corpus_match_the_same_events_by_code(monkeypatch):
    monkeypatch.setattr(hot, "OFTEN", AT_ONCE)
    documents = [(event, wrap(etree.fromstring(event.data))) for event in events() if not event.properties]
    queries = [(entry, compile_query(entry.query)) for entry in filters()]
    plain = [(entry, query) for entry, query in queries if not query.external_variables]
    assert len(plain) > 500
    for entry, query in plain:
        for event, document in documents:
            if event.kind == entry.kind or event.id in entry.matches:
                assert fits(query, document) is (event.id in entry.matches), (entry.id, event.id)


def fits(query, document):
    try:
        return query.matches(document)
    except QueryError:
        return False


@pytest.mark.slow
def test_random_filters_match_by_code_what_the_index_and_saxon_say(monkeypatch):
    monkeypatch.setattr(hot, "OFTEN", AT_ONCE)
    monkeypatch.setattr(hot, "others_wait", lambda budget: False)
    monkeypatch.setattr(hot, "SHARE", 100)
    counts = run(31, 60)
    assert counts["cases"] == 60
    assert counts["engine says true"] > 20
