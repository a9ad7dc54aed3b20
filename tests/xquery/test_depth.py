"""Deep recursion: a thousand levels of calls, wherever the query is called from."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clacks.common.errors import QueryBudgetExceeded, QueryError, QueryEvaluationError
from clacks.xquery import QueryBudget, compile_query, depth
from clacks.xquery.budget import Meter
from clacks.xquery.context import Execution
from clacks.xquery.depth import in_deep_thread

SUM = "declare function local:f($n) { if ($n = 0) then 0 else $n + local:f($n - 1) }; local:f(990)"
NESTED = "let $d := fold-left(1 to 5000, [], function($a, $b) { [$a] }) return "
DEEP = {
    "calls": SUM,
    "loops": "declare function local:f($n) { for $x in 1 where $n > 0 order by $x return local:f($n - 1) };"
    "local:f(990)",
    "groups": "declare function local:f($n) { for $x in 1 group by $g := local:f($n + 1) return 1 };"
    "local:f(1)",
    "sorting": "declare function local:f($n) { sort(1, (), function($x) { local:f($n + 1) }) }; local:f(1)",
    "comparison": NESTED + "deep-equal($d, $d)",
    "data": NESTED + "count(data($d))",
    "searching": NESTED + "array:size(map:find($d, 1))",
    "text": NESTED + "serialize($d, map { 'method': 'json' })",
    "constructors": "declare function local:f($n) { <a>{local:f($n + 1)}</a> }; local:f(1)",
}

IN_A_SMALL_THREAD = """
import sys, threading
from clacks.common.errors import QueryError
from clacks.xquery import QueryBudget, compile_query
def run():
    for text in sys.argv[1:]:
        try:
            compile_query(text, budget=QueryBudget(steps=3_000_000, seconds=60)).sequence(None)
        except QueryError:
            pass
    print("alive", end="")
threading.stack_size(256 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


@pytest.mark.slow
def test_deep_query_in_a_thread_with_a_small_stack_does_not_crash_the_process():
    done = subprocess.run(
        [sys.executable, "-c", IN_A_SMALL_THREAD, *DEEP.values()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive"), done.stderr[-500:]


def test_limit_of_the_interpreter_is_as_before_after_a_deep_query():
    before = sys.getrecursionlimit(), threading.stack_size()
    assert compile_query(SUM).evaluate(None) == [990 * 991 // 2]
    with pytest.raises(QueryBudgetExceeded):
        compile_query(DEEP["constructors"]).evaluate(None)
    assert (sys.getrecursionlimit(), threading.stack_size()) == before


@pytest.mark.slow
def test_deep_queries_of_many_threads_do_not_disturb_one_another():
    before = sys.getrecursionlimit()
    query = compile_query(SUM, budget=QueryBudget(seconds=60))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: query.evaluate(None), range(12)))
    assert results == [[990 * 991 // 2]] * 12
    assert sys.getrecursionlimit() == before


def test_error_in_a_deep_query_has_its_place():
    query = SUM.replace("then 0", "then\n  error()")
    with pytest.raises(QueryEvaluationError) as caught:
        compile_query(query).evaluate(None)
    assert (caught.value.code, caught.value.line) == ("FOER0000", 2)


def test_too_deep_is_a_budget_that_is_used_up():
    with pytest.raises(QueryBudgetExceeded, match="recurs too deeply"):
        compile_query(
            "let $d := fold-left(1 to 15000, [], function($a, $b) { [$a] }) return deep-equal($d, $d)",
            budget=QueryBudget(steps=2_000_000, seconds=60),
        ).evaluate(None)


def test_shallow_query_starts_no_thread(monkeypatch):
    monkeypatch.setattr("clacks.xquery.query.in_deep_thread", None)
    monkeypatch.setattr("clacks.xquery.context.DeepThread", None)
    assert compile_query("count((1 to 100) ! (. + 1))").evaluate(None) == [100]


def test_what_a_deep_thread_raises_is_raised_where_it_was_asked():
    def fail():
        raise ValueError("in there")

    with pytest.raises(ValueError, match="in there"):
        in_deep_thread(fail)
    assert in_deep_thread(lambda: threading.current_thread().name).startswith("clacks-deep-query")


def test_limit_is_not_lowered_under_a_thread_that_is_deep():
    # The interpreter aborts if a thread finds itself far beyond the limit.
    before = sys.getrecursionlimit()
    go_on, deep = threading.Event(), threading.Event()

    def dig(levels):
        if levels:
            return dig(levels - 1)
        deep.set()
        return go_on.wait(20)

    with depth.higher_limit():
        threading.stack_size(64 * 1024 * 1024)
        try:
            digger = threading.Thread(target=dig, args=(5000,))
            digger.start()
        finally:
            threading.stack_size(0)
        assert deep.wait(20)
    assert sys.getrecursionlimit() > 5000
    go_on.set()
    digger.join(20)
    deadline = time.monotonic() + 20
    while sys.getrecursionlimit() != before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_usual_thread_does_not_use_a_limit_that_another_query_raised(monkeypatch):
    started = []

    class Noted(depth.DeepThread):
        def __init__(self):
            super().__init__()
            started.append(True)

    monkeypatch.setattr("clacks.xquery.context.DeepThread", Noted)
    query = compile_query(SUM, budget=QueryBudget(seconds=60))
    with depth.higher_limit():
        assert query.evaluate(None) == [990 * 991 // 2]
    assert started == [True]


def test_query_that_is_deep_again_and_again_uses_one_thread_and_does_nothing_twice(monkeypatch):
    calls = []
    original = depth.DeepThread.run

    def noted(self, call):
        calls.append(self)
        return original(self, call)

    monkeypatch.setattr(depth.DeepThread, "run", noted)
    query = compile_query(SUM.replace("local:f(990)", "(1 to 20) ! local:f(100)"))
    execution = Execution(Meter(query.budget))
    assert query.execute(execution, None) == [5050] * 20
    assert len(calls) == 20
    assert len(set(calls)) == 1
    # By now the function has code, which takes fewer steps than its tokens.
    execution = Execution(Meter(query.budget))
    query.execute(execution, None)
    once = Execution(Meter(query.budget))
    query.execute(once, None)
    assert execution.meter.steps == once.meter.steps < 20 * 100 * 12


def test_time_in_the_deep_thread_counts():
    query = compile_query(
        SUM.replace("then 0", "then count((1 to 10000000)[. = 3])").replace("990", "100"),
        budget=QueryBudget(steps=10**9, seconds=0.1),
    )
    with pytest.raises(QueryBudgetExceeded, match=r"0\.1 s"):
        query.evaluate(None)


def test_deep_thread_ends_with_the_query_whatever_its_end():
    for text in (
        SUM,
        SUM.replace("then 0", "then error()"),
        "declare function local:f() { local:f() }; local:f()",
    ):
        with contextlib.suppress(QueryError):
            compile_query(text).evaluate(None)
    assert not [t for t in threading.enumerate() if t.name.startswith("clacks-deep-query")]
