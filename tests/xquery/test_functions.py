"""Functions as values: closures, recursion, partial application, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery import QueryBudget, compile_query, wrap


def run(query, document=None):
    return compile_query(query).evaluate(document)


def test_closure_keeps_the_value_it_was_made_with():
    query = (
        "let $a := function($x){function($y){$x+$y}}, $p := $a(1), $q := $a(10) return ($p(5), $q(5), $p(1))"
    )
    assert run(query) == [6, 15, 2]


def test_closures_made_in_a_loop_keep_each_its_own_value():
    query = "let $fs := for $x in 1 to 3 return function($y){$x*$y} return $fs ! .(10)"
    assert run(query) == [10, 20, 30]


def test_closure_three_functions_deep_captures_through_all_of_them():
    query = (
        "let $a := 1 return (function($b) { function($c) { function($d) { ($a, $b, $c, $d) } } })(2)(3)(4)"
    )
    assert run(query) == [1, 2, 3, 4]


def test_closure_captures_the_inner_of_two_variables_with_one_name():
    query = (
        "let $x := 1 let $f := function() { $x } let $x := 2 let $g := function() { $x } return ($f(), "
        "$g(), $x)"
    )
    assert run(query) == [1, 2, 2]


def test_parameter_used_after_a_recursive_call_has_its_own_value():
    query = "declare function local:sum($n) { if ($n = 0) then 0 else local:sum($n - 1) + $n }; local:sum(5)"
    assert run(query) == [15]
    fibonacci = (
        "declare function local:f($n) { if ($n lt 2) then $n else local:f($n - 1) + local:f($n - 2) }; "
        "local:f(10)"
    )
    assert run(fibonacci) == [55]


def test_loop_variable_survives_a_recursive_call_inside_the_loop():
    query = (
        "declare function local:t($n) { if ($n = 0) then () else for $i in 1 to 2 let $r := local:t($n - 1) "
        "return ($i, count($r)) }; local:t(3)"
    )
    assert run(query) == [1, 4, 2, 4]


def test_mutual_recursion_needs_no_order_of_declarations():
    query = (
        "declare function local:even($n) { $n = 0 or local:odd($n - 1) };"
        "declare function local:odd($n) { $n != 0 and local:even($n - 1) }; local:even(10), local:odd(10)"
    )
    assert run(query) == [True, False]


def test_anonymous_function_recurs_through_its_argument():
    query = (
        "let $f := function($self, $n) { if ($n = 0) then 1 else $n * $self($self, $n - 1) } return "
        "$f($f, 10)"
    )
    assert run(query) == [3628800]


def test_nine_hundred_levels_of_recursion_are_fine_and_endless_recursion_is_refused():
    deep = "declare function local:f($n) { if ($n = 0) then 0 else 1 + local:f($n - 1) }; local:f(900)"
    assert run(deep) == [900]
    with pytest.raises(QueryBudgetExceeded):
        run("declare function local:f($n) { local:f($n + 1) }; local:f(1)")
    with pytest.raises(QueryBudgetExceeded):
        run("declare function local:f($n) { try { <a>{local:f($n + 1)}</a> } catch * { 0 } }; local:f(1)")


@pytest.mark.slow
def test_budget_is_not_caught_by_try():
    with pytest.raises(QueryBudgetExceeded):
        run("try { count((1 to 100000000)[. mod 2 = 0]) } catch * { 0 }")


def test_partial_application_fixes_arguments_once():
    query = (
        "let $n := 3 let $f := concat(?, '-', $n, '-', ?) return ($f('a', 'b'), for-each(('x', 'y'), "
        "substring(?, 1, 1)),"
        "function-arity($f))"
    )
    assert run(query) == ["a-3-b", "x", "y", 2]


def test_reference_to_a_function_of_the_focus_keeps_its_focus():
    assert run("let $f := /a/b/name#0 return (1 to 2) ! $f()", etree.XML("<a><b/></a>")) == ["b", "b"]


def test_maps_and_arrays_are_functions():
    assert run("(map{'a': 1}('a'), [5, 6](2), ('a', 'b') ! map{'a': 1, 'b': 2}(.))") == [1, 6, 1, 2]


def test_true_is_not_the_same_key_as_one():
    assert run("let $m := map{1: 'a', true(): 'b'} return (map:size($m), $m(1), $m(true()), $m(1.0))") == [
        2,
        "a",
        "b",
        "a",
    ]


def test_function_coercion_converts_arguments_of_a_callback():
    query = (
        "declare function local:apply($f as function(xs:double) as xs:string, $x) { $f($x) };"
        "local:apply(function($d) { $d instance of xs:double }, 1)"
    )
    with pytest.raises(QueryError) as caught:
        run(query)
    assert caught.value.code == "XPTY0004"
    good = query.replace("{ $d instance of xs:double }", "{ string($d instance of xs:double) }")
    assert run(good) == ["true"]


def test_global_variables_are_evaluated_once_and_may_come_later():
    query = (
        "declare variable $a := ($b, $b); declare variable $b := local:f(2);"
        "declare function local:f($n) { $n * $c }; declare variable $c := 10; $a"
    )
    assert run(query) == [20, 20]


def test_variable_that_needs_itself_is_refused():
    with pytest.raises(QueryError) as caught:
        run("declare variable $a := local:f(); declare function local:f() { $a }; $a")
    assert caught.value.code == "XQDY0054"


@pytest.mark.slow
def test_compiled_query_is_run_by_many_threads_at_once():
    query = compile_query(
        "declare variable $k external; declare variable $g := $k * 2;"
        "declare function local:fib($n) { if ($n lt 2) then $n else local:fib($n - 1) + local:fib($n - 2) };"
        "let $add := function($y) { $k + $y }"
        "for $x in //n let $v := number($x) order by $v descending "
        "return ($add($v), local:fib(8), $g, for-each(1 to 3, function($i) { $i * $k })[2], count($x/../n))"
    )
    tree = wrap(etree.XML("<r>" + "".join(f"<n>{i}</n>" for i in range(5)) + "</r>"))

    def once(k):
        found = query.evaluate(tree, {"k": k})
        wanted = [part for v in (4, 3, 2, 1, 0) for part in (k + v, 21, k * 2, k * 2, 5)]
        return found == wanted

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(once, range(120)))


def test_threads_that_grow_one_tree_see_the_same_nodes():
    document = etree.XML("<r>" + "<a><b/><b/></a>" * 50 + "</r>")
    query = compile_query("//b")
    for _ in range(10):
        tree = wrap(document)
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: query.sequence(tree), range(8)))  # noqa: B023
        assert all(len(r) == 100 for r in results)
        assert all(a is b for r in results for a, b in zip(r, results[0]))


def test_large_maps_that_share_entries_behave_as_copies_would():
    query = (
        "let $m := map:merge((1 to 200) ! map:entry(., .)),"
        "$n := fold-left(1 to 300, $m, function($a, $i) { if ($i mod 3 = 0) then map:remove($a, $i) "
        "else map:put($a, $i, -$i) }),"
        "$p := map:put($n, 3, 'again') "
        "return (map:size($m), sum($m?*), map:size($n), sum($n?*), map:contains($n, 3), $p(3), "
        "map:size($p), $m(3),"
        "deep-equal(sort(map:keys($n)), (1 to 300)[. mod 3 != 0]))"
    )
    kept = [i for i in range(1, 301) if i % 3]
    assert run(query) == [200, 20100, len(kept), -sum(kept), False, "again", len(kept) + 1, 3, True]


def test_map_is_built_entry_by_entry_in_less_than_quadratic_steps():
    query = "map:size(fold-left(1 to 20000, map{}, function($m, $i) { map:put($m, $i, $i) }))"
    assert compile_query(query, budget=QueryBudget(steps=6_000_000, seconds=10)).evaluate(None) == [20000]
