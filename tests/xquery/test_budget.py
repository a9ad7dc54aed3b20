"""Budgets: hostile queries end soon, the process goes on, and nobody else waits long."""

from __future__ import annotations

import contextlib
import gc
import weakref

import pytest
from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError, QuerySyntaxError
from clacks.xquery import compile_query
from clacks.xquery.budget import BROKER_BUDGET, DEFAULT, Meter, QueryBudget, small_cache
from clacks.xquery.collation import CODEPOINT
from clacks.xquery.context import Execution
from tests.costs import cpu_seconds

DOCUMENT = etree.fromstring("<Event xmlns='urn:e'><a>1</a><b>x</b></Event>")

DOUBLING = {
    "strings": "string-length(fold-left(1 to 60, 'ab', function($a, $b) { $a || $a }))",
    "strings by concat": "string-length(fold-left(1 to 60, 'ab', function($a, $b) { concat($a, $a) }))",
    "strings by join": "string-length(fold-left(1 to 60, 'ab', function($a, $b) { string-join(($a, $a)) }))",
    "arrays": "array:size(fold-left(1 to 60, [1, 2], function($a, $b) { array:join(($a, $a)) }))",
    "sequences": "count(fold-left(1 to 60, (1, 2), function($a, $b) { $a, $a }))",
    "integers": "fold-left(1 to 24, 3, function($a, $b) { $a * $a }) mod 7",
    "integers, more": "fold-left(1 to 60, 3, function($a, $b) { $a * $a })",
}

RANGES = {
    "a loop": "for $i in 1 to 10000000000 return $i",
    "a filtered loop": "for $i in 1 to 10000000000 where $i = -1 return $i",
    "a predicate": "(1 to 10000000000)[. = -1]",
    "a quantifier": "some $x in 1 to 10000000000 satisfies $x = -1",
    "a map operator": "string-join((1 to 10000000000) ! 'x')",
    "a sequence": "count((1 to 10000000000, 1))",
    "distinct values": "count(distinct-values((1 to 10000000000, 1)))",
    "an array": "array { 1 to 10000000000 }",
    "a reversal": "reverse(1 to 10000000000)[3]",
    "a conversion": "math:sqrt(1 to 10000000000)",
    "an order": "for $i in 1 to 100000000 order by -$i return $i",
    "a group": "for $i in 1 to 100000000 group by $g := $i mod 7 return count($i)",
    "a window": "for tumbling window $w in 1 to 100000000 start when true() return count($w)",
    "an element": "<a>{1 to 100000000}</a>",
    "a text": "string-join(1 to 100000000)",
    "an insertion": "insert-before(1 to 10000000000, 5, 3)[2]",
    "a removal": "remove(1 to 10000000000, 5)[2]",
    "serialization": "serialize(1 to 10000000000)",
    "a permutation": "random-number-generator()?permute(1 to 10000000000)[1]",
    "a map": "map:merge((1 to 100000000) ! map { . : 1 })",
    "two long sequences": "(for $i in 1 to 90000 return string($i)) < (for $i in 1 to 90000 return '!')",
}

OTHERS = {
    "recursion": "declare function local:f($x) { local:f($x + 1) + 1 }; local:f(1)",
    "mutual recursion": (
        "declare function local:f($x) { local:g($x) }; declare function local:g($x) { local:f($x) };"
        "local:f(1)"
    ),
    "recursion without names": "let $f := function($f, $n) { $f($f, $n + 1) } return $f($f, 1)",
    "recursion that catches": (
        "declare function local:f($x) { try { local:f($x + 1) } catch * { 1 } }; local:f(1)"
    ),
    "nodes": "count((1 to 10000000) ! <a/>)",
    "copies": "let $x := <a>{(1 to 1000) ! <b/>}</a> return count((1 to 100000) ! <c>{$x}</c>)",
    "deep nodes": "count(fold-left(1 to 100000, <a/>, function($a, $b) { <a>{$a}</a> }))",
    "deep arrays": "serialize(fold-left(1 to 1000000, [], function($a, $b) { [$a] }), map{'method':'json'})",
    "deep JSON": "parse-json(string-join((1 to 1000000) ! '['))",
    "a long picture of a number": "format-number(1, string-join((1 to 5000000) ! '0'))",
    "a long picture of an integer": "format-integer(1, string-join((1 to 5000000) ! '0'))",
    "wide components": "format-date(xs:date('2020-01-01'), string-join((1 to 1000) ! '[Y,999999]'))",
    "a replacement": ("replace(string-join((1 to 100000) ! 'a'), 'a', string-join((1 to 1000) ! '$0'))"),
    "back-references": r"matches(string-join((1 to 3000) ! 'a') || '!', '(\w+)+\1$')",
    "a large repetition": r"matches('a', '((a{0,1000}){0,1000}){0,1000}')",
    "an automaton": r"matches(string-join((1 to 40000) ! 'ab'), '(?:[ab]{0,30}){30}c')",
    "a cross product": "count(for $a in 1 to 3000, $b in 1 to 3000, $c in 1 to 3000 return 1)",
    "sorting": "count(sort((1 to 10000000) ! (-.)))",
}

HOSTILE = {**DOUBLING, **RANGES, **OTHERS}


def outcome(call):
    """Return what the call raised, or gave."""
    try:
        return call()
    except QueryError as error:
        return error


def cpu(call, tries=1):
    """Return CPU seconds of this thread and what the call raised, or gave."""
    result = None

    def act():
        nonlocal result
        result = outcome(call)

    return cpu_seconds(act, tries), result


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_query_exceeds_the_budget_of_a_broker_within_fifty_milliseconds(name):
    query = compile_query(HOSTILE[name], budget=BROKER_BUDGET)
    seconds, result = cpu(lambda: query.evaluate(DOCUMENT), tries=3)
    assert isinstance(result, QueryBudgetExceeded), result
    assert result.code == "CLBG0001"
    # 50 ms is the promise; "python -m benchmarks.xquery" prints the figures on a quiet machine.
    assert seconds < 0.25


@pytest.mark.parametrize(
    "text",
    [
        RANGES["an order"],
        RANGES["a sequence"],
        OTHERS["nodes"],
        OTHERS["recursion"],
        "error()",
        "xs:integer('x')",
        "try { error() } catch * { 1 }",
        "try { error() } catch err:unknown { 1 }",
        "declare function local:f($n) { try { local:f($n + 1) } catch * { error() } }; local:f(1)",
    ],
)
def test_run_that_failed_leaves_nothing_to_the_collector_of_garbage(text):
    query = compile_query(text, budget=BROKER_BUDGET)
    outcome(lambda: query.evaluate(DOCUMENT))
    collecting = gc.isenabled()
    gc.disable()
    try:
        execution = Execution(Meter(BROKER_BUDGET))
        gone = weakref.ref(execution)
        with contextlib.suppress(QueryError):
            query.execute(execution, None)
        del execution
        assert gone() is None
    finally:
        if collecting:
            gc.enable()


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_query_exceeds_the_default_budget_soon(name):
    query = compile_query(HOSTILE[name])
    seconds, result = cpu(lambda: query.evaluate(DOCUMENT))
    assert isinstance(result, QueryBudgetExceeded), result
    assert seconds < 5


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("count(1 to 10000000000)", [10000000000]),
        ("sum(1 to 10000000000)", [50000000005000000000]),
        ("avg(1 to 10000000000)", [5000000000.5]),
        ("max(1 to 10000000000)", [10000000000]),
        ("subsequence(1 to 10000000000, 5, 2)", [5, 6]),
        ("index-of(1 to 10000000000, 77)", [77]),
        ("(1 to 10000000000) = (20000000000 to 30000000000)", [False]),
        ("5 = (1 to 10000000000)", [True]),
        ("(1 to 10000000000) instance of xs:integer+", [True]),
        ("(1 to 10000000000)[5]", [5]),
        ("exists(tail(1 to 10000000000))", [True]),
    ],
)
def test_long_range_is_never_made_into_a_list_where_it_need_not(query, result):
    assert compile_query(query, budget=BROKER_BUDGET).evaluate(DOCUMENT) == result


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "<a>" * 10_000 + "</a>" * 10_000,
        "-" * 10_000 + "1",
        "if (1) then " * 3000 + "1" + " else 1" * 3000,
        "for $x in 1 return " * 5000 + "1",
        "function() {" * 3000 + "1" + "}" * 3000,
        "for $x in 1 " * 20_000 + "return 1",
        "/".join(["a"] * 50_000),
    ],
    ids=["parentheses", "elements", "signs", "conditions", "loops", "functions", "bindings", "steps"],
)
def test_deeply_nested_query_is_refused_not_crashed_on(text):
    seconds, result = cpu(lambda: compile_query(text).evaluate(DOCUMENT))
    assert isinstance(result, QueryBudgetExceeded), result
    assert seconds < 10


def test_many_bindings_are_no_nesting_and_each_is_a_step():
    lets = "let $x := 1 " * 2000
    assert compile_query(lets + "return $x").evaluate() == [1]
    with pytest.raises(QueryBudgetExceeded):
        compile_query(
            f"for $i in 1 to 100000 return count(({lets} return $x)) ", budget=BROKER_BUDGET
        ).evaluate()
    query = compile_query(f"for $i in 1 to 10 return ({lets} return $x)")
    execution = Execution(Meter(DEFAULT))
    query.execute(execution, None)
    assert execution.meter.steps > 10 * 2000


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        '"' + "a" * 1_000_000 + '"',
        "1" + " + 1" * 250_000,
        ", ".join(["1"] * 333_000),
        "a" * 1_000_000,
        "(: " + "c" * 1_000_000 + " :) 1",
        "<a " + " ".join(f"a{n}='1'" for n in range(90_000)) + "/>",
    ],
    ids=["string", "sum", "sequence", "name", "comment", "attributes"],
)
def test_query_of_a_megabyte_compiles_or_is_refused_in_time(text):
    seconds, result = cpu(lambda: compile_query(text).evaluate(DOCUMENT))
    assert isinstance(result, (list, QueryBudgetExceeded))
    assert seconds < 15


def test_constants_are_not_computed_while_compiling():
    compile_query("count(1 to 3000000)")
    seconds, result = cpu(lambda: compile_query("string-join((1 to 3000000) ! 'x')"), tries=3)
    assert not isinstance(result, QueryError)
    assert seconds < 0.1  # computed, it takes seconds


def test_exceeded_budget_is_never_caught_by_the_query():
    query = compile_query(
        "try { count((1 to 100000000) ! (. + 1)) } catch * { 'caught' }", budget=BROKER_BUDGET
    )
    with pytest.raises(QueryBudgetExceeded):
        query.evaluate(DOCUMENT)


def test_process_goes_on_after_an_exceeded_budget():
    query = compile_query("if (//*:a = '1') then 'fine' else count((1 to 100000000) ! (. + 1))")
    with pytest.raises(QueryBudgetExceeded):
        query.evaluate(etree.fromstring("<x/>"))
    assert query.evaluate(DOCUMENT) == ["fine"]


def test_caller_may_widen_the_budget():
    text = "count((1 to 150000) ! (. + 1))"
    with pytest.raises(QueryBudgetExceeded):
        compile_query(text, budget=QueryBudget(steps=100_000)).evaluate(DOCUMENT)
    assert compile_query(text, budget=QueryBudget(steps=10**7, seconds=30)).evaluate(DOCUMENT) == [150000]


UCA = "http://www.w3.org/2013/collation/UCA"
GERMAN = f"{UCA}?lang=de"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (f"compare('a', 'b', '{UCA}?lang=xx')", [-1]),
        (f"compare('a', 'b', '{UCA}?lang=xx;fallback=no')", "FOCH0002"),
        (f"compare('ä', 'b', '{GERMAN}')", [-1]),
        (f"sort(('b', 'ä', 'a'), '{GERMAN}')", ["a", "ä", "b"]),
        (f"declare default collation '{GERMAN}'; 'b' > 'ä'", [True]),
        (f"for $x in ('b', 'ä') order by $x collation '{GERMAN}' return $x", ["ä", "b"]),
        (f"max(('ä', 'b'), '{GERMAN}'), contains('xäy', 'ä', '{GERMAN}')", ["b", True]),
        (f"distinct-values(('a', 'a'), '{GERMAN}'), deep-equal('a', 'a', '{GERMAN}')", ["a", True]),
        (f"collation-key('a', '{GERMAN}') = collation-key('b', '{GERMAN}')", [False]),
        ("default-collation(), default-language()", [f"{CODEPOINT}", "en"]),
        ("format-date(xs:date('2026-01-02'), '[MNn]', 'de', (), ())", ["[Language: en]January"]),
        (
            "format-number(1234.5, '#,##0.0'), format-integer(2, 'w'), upper-case('ß')",
            ["1,234.5", "two", "SS"],
        ),
    ],
)
def test_nothing_in_a_query_touches_the_locale_of_the_process(text, result, monkeypatch):
    import locale

    # Not even for a moment: other threads would see it, and a missing locale raises with a lock held.
    def touched(*given):
        raise AssertionError(f"setlocale{given}")

    for name in ("setlocale", "_setlocale"):
        monkeypatch.setattr(locale, name, touched)
    found = outcome(lambda: compile_query(text).evaluate(DOCUMENT))
    assert (found.code if isinstance(found, QueryError) else found) == result


@pytest.mark.parametrize(
    "text",
    [
        "doc('file:///etc/passwd')",
        "unparsed-text('file:///etc/passwd')",
        "unparsed-text-lines('file:///etc/passwd')",
        "json-doc('file:///etc/passwd')",
        "collection()",
        "collection('file:///etc/')",
        "uri-collection()",
        "parse-xml('<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/hostname\">]><a>&amp;e;</a>')/a/text()",
    ],
)
def test_query_sees_no_files(text):
    result = outcome(lambda: compile_query(text).evaluate(DOCUMENT))
    assert result == [] or result.code in ("FODC0002", "FOUT1170", "FODC0006")


def test_query_sees_no_environment():
    text = "environment-variable('PATH'), available-environment-variables()"
    assert compile_query(text).evaluate(DOCUMENT) == []
    assert compile_query("doc-available('file:///etc/passwd')").evaluate(DOCUMENT) == [False]
    assert compile_query("unparsed-text-available('file:///etc/passwd')").evaluate(DOCUMENT) == [False]


def test_the_usual_budget_and_that_of_a_broker_are_the_promised_ones():
    assert QueryBudget(10**6, 10**5, 4 * 2**20, 1000, 4096, 1.0) == DEFAULT
    assert QueryBudget(10**5, 10**5, 4 * 2**20, 1000, 4096, 0.02) == BROKER_BUDGET
    assert compile_query("1").budget is DEFAULT


# the meter itself


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_meter_allows_exactly_its_steps():
    meter = Meter(QueryBudget(steps=1000))
    for _ in range(1000):
        meter.step()
    assert meter.steps == 1000
    with pytest.raises(QueryBudgetExceeded):
        meter.step()


def test_meter_looks_at_the_clock_every_few_hundred_steps():
    clock = Clock()
    meter = Meter(DEFAULT, clock)
    meter.step(10)
    clock.now = 1.5
    steps_taken = 0

    def spend():
        nonlocal steps_taken
        while steps_taken < 300:
            steps_taken += 1
            meter.step()

    with pytest.raises(QueryBudgetExceeded, match="1 s"):
        spend()


def test_meter_counts_the_sum_of_strings_nodes_and_bits():
    meter = Meter(QueryBudget(nodes=2, string_bytes=10, integer_bits=64))
    meter.nodes(2)
    meter.text(10)
    meter.integer(64)
    for spend in (meter.nodes, lambda: meter.text(1), lambda: meter.integer(65)):
        with pytest.raises(QueryBudgetExceeded):
            spend()


@pytest.mark.parametrize("depth", [2, 50])
def test_levels_of_functions_are_as_many_as_the_budget_has(depth):
    text = "declare function local:f($n) { if ($n = 1) then 1 else 1 + local:f($n - 1) }; local:f(%d)"
    budget = QueryBudget(depth=depth)
    assert compile_query(text % depth, budget=budget).evaluate() == [depth]
    with pytest.raises(QueryBudgetExceeded, match=f"more than {depth} function calls inside one another"):
        compile_query(text % (depth + 1), budget=budget).evaluate()


def test_meter_charges_long_work_in_steps():
    meter = Meter(QueryBudget(steps=100))
    meter.work(256 * 50)
    assert meter.steps == 51


def test_small_cache_keeps_no_long_texts():
    calls = []

    @small_cache
    def measure(text):
        calls.append(len(text))
        return len(text)

    for _ in range(2):
        assert measure("short") == 5
        assert measure("l" * 2000) == 2000
    assert calls == [5, 2000, 2000]


def test_refusal_says_what_was_wanted_and_where():
    with pytest.raises(QueryBudgetExceeded) as caught:
        compile_query("1,\n  fold-left(1 to 60, 3, function($a, $b) { $a * $a })").evaluate(DOCUMENT)
    assert "4096 bits" in caught.value.reason
    assert caught.value.line == 2


def test_unknown_name_is_a_syntax_error_not_a_budget():
    with pytest.raises(QuerySyntaxError):
        compile_query("nothing()")


WIDE = {
    "children": "/*/a = 'x'",
    "all below": "count(/descendant::node()) = 0",
    "one name below": "//a/b = 'x'",
    "what follows": "/*/a[1]/following::a = 'x'",
    "siblings": "/*/a[1]/following-sibling::a[last()] = 'x'",
    "attributes": "/*/a/@n = 'x'",
    "order": "(for $a in /*/* order by $a/@n descending return $a)[1] = 'x'",
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_document_is_wrapped_within_the_budget_of_a_broker(name):
    root = etree.fromstring("<r>" + "<a n='1'/>" * 100_000 + "</r>")
    query = compile_query(WIDE[name], budget=BROKER_BUDGET)
    seconds, result = cpu(lambda: query.matches(root), tries=2)
    assert isinstance(result, (bool, QueryBudgetExceeded)), result
    assert seconds < 0.5  # wrapping it all takes longer, and is no part of a step


def test_element_with_many_prefixes_is_no_product_of_them_and_its_attributes():
    many = range(3000)
    names = " ".join(f"xmlns:p{n}='u{n}'" for n in many)
    root = etree.fromstring(f"<r {names} {' '.join(f'p{n}:a={chr(39)}1{chr(39)}' for n in many)}/>")
    query = compile_query("count(/r/@*)")
    seconds, result = cpu(lambda: query.evaluate(root), tries=2)
    assert result == [3000]
    assert seconds < 1.5
