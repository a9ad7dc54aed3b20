"""Index, engine and SaxonC give the same answer, for random queries and events.

One case is one to four queries in one index (some of them removed again), and one or two events. Each query
is asked three ways: by the index, by itself, by SaxonC. `python -m tests.filters.proof 20000` runs as many
cases in processes of 1000 (SaxonC keeps some 15 KB of each query that it compiles, so a process has an end),
and prints what kind of cases they were.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.common.xmltext import read_document
from clacks.filters import parts, postings, trie
from clacks.filters.index import FilterIndex
from clacks.xquery import compile_query, wrap
from tests.filters.generation import Query, events, properties, queries

__all__ = ["CASES_OF_A_PROCESS", "check", "prove", "run"]

CASES_OF_A_PROCESS = 1000

Case = tuple[list[Query], list[tuple[bytes, dict[str, object]]], set[int]]


def cases() -> st.SearchStrategy[Case]:
    documents = st.lists(st.tuples(events(), properties()), min_size=1, max_size=2)
    return st.tuples(
        st.lists(queries(), min_size=1, max_size=4), documents, st.sets(st.integers(0, 9), max_size=2)
    )


def check(case: Case, counts: Counter[str] | None = None) -> None:
    """Compare the three answers of a case; AssertionError with all that is needed to repeat it."""
    asked, documents, gone = case
    counted: Counter[str] = Counter() if counts is None else counts
    index = FilterIndex()
    for key, query in enumerate(asked):
        index.add(key, query.text)
    for key in gone & set(range(len(asked))):
        index.remove(key)
    counted["cases"] += 1
    compiled = {key: compile_query(query.text) for key, query in enumerate(asked) if key not in gone}
    for key in compiled:
        told = index.explain(key)
        counted[told.exactness] += 1
        counted["decided by facts"] += told.decides
    evaluated = by_engine = 0
    for data, variables in documents:
        root, _ = read_document(data)
        shared = wrap(root)
        with as_if_large():
            in_bulk = index.match(root, variables)
        before = index.statistics.evaluations, index.statistics.engine
        found = index.match(root, variables)
        assert in_bulk == found, ([query.text for query in asked], data, variables)
        evaluated += index.statistics.evaluations - before[0]
        by_engine += index.statistics.engine - before[1]
        for key, query in compiled.items():
            answer = alone(query, shared, variables)
            counted[f"engine says {answer}"] += 1
            assert (key in found) is (answer == "true"), (
                f"index says {key in found}, engine {answer}",
                asked[key].text,
                data,
                variables,
                index.explain(key),
            )
            # What was read, not what was sent: comments and instructions are left out on receipt.
            other = saxon_says(asked[key], etree.tostring(root), variables)
            counted[f"SaxonC says {other}"] += 1
            if other == answer:
                continue
            reason = deviation(asked[key], data, variables, answer, other)
            counted[f"SaxonC differs: {reason}"] += 1
            assert reason is not None, (
                f"engine says {answer}, SaxonC {other}",
                asked[key].text,
                data,
                variables,
            )
    counted["evaluated by the index, one by one"] += evaluated - by_engine
    counted["left to the engine by the index"] += by_engine


@contextmanager
def as_if_large() -> Iterator[None]:
    """Let the index take the ways of large events and many filters, which random cases seldom are."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_MANY": 0, "_LISTS": 1, "_FEW": 0}.items():
            patch.setattr(trie, name, value)
        patch.setattr(parts, "_MOST_WAITING", 0)
        patch.setattr(postings, "_FEW_PARTS", 0)
        yield


def alone(query: Any, document: Any, variables: dict[str, object]) -> str:
    try:
        return "true" if query.matches(document, variables) else "false"
    except QueryBudgetExceeded:
        raise
    except QueryError as error:
        return f"error {error.code}"


NAN_ORDER = "SaxonC orders untyped NaN above all numbers; it is false (F&O 3.1, 4.3.2 and 4.3.3)"
ORDER = re.compile(r"[<>]|\b(?:lt|le|gt|ge)\b")


def deviation(query: Query, data: bytes, variables: dict[str, object], ours: str, theirs: str) -> str | None:
    """Name the reason why SaxonC may differ, or None if it may not."""
    if "NullPointerException" in theirs or "cannot be cast to net.sf.saxon" in theirs:
        return "SaxonC fails inside (an exception of Java)"
    if ORDER.search(query.body) and (b"NaN" in data or "NaN" in variables.values()):
        return NAN_ORDER
    if theirs.startswith("static XPTY0004"):
        return "a type error that it finds before it runs (XQuery 3.1, 2.3.1)"
    if ours.startswith("error") or theirs.startswith("error"):
        if ours.startswith("error") and theirs.startswith("error"):
            return "another error, where there are several (XQuery 3.1, 2.3.4)"
        # Whoever rewrites or stops early may miss an error or meet one that need not be met.
        return "an error that one of them does not meet (XQuery 3.1, 2.3.4)"
    return None


@cache
def saxon() -> tuple[Any, Any]:
    from saxonche import PySaxonProcessor

    processor = PySaxonProcessor(license=False)
    # Without rewriting, errors come in the order of the text, as far as SaxonC can.
    processor.set_configuration_property("http://saxon.sf.net/feature/optimizationLevel", "0")
    return processor, processor.new_xquery_processor()


def saxon_says(query: Query, data: bytes, variables: dict[str, object]) -> str:
    processor, engine = saxon()
    engine.clear_parameters()
    for name, value in variables.items():
        if f"${name} " in query.declarations:
            engine.set_parameter(name, saxon_value(processor, value))
    engine.set_context(xdm_item=document_of(data))
    body = f"if ({query.body}) then 'true' else 'false'"
    engine.set_query_content(
        f"declare namespace err = 'http://www.w3.org/2005/xqt-errors'; {query.declarations}"
        f"try {{ {body} }} catch * {{ 'error ' || local-name-from-QName($err:code) }}"
    )
    try:
        return str(engine.run_query_to_value().head.string_value)
    except Exception as error:
        codes = [code for code in re.findall(r"\b[A-Z]{4}\d{4}\b", str(error)) if not code.startswith("SX")]
        # What SaxonC finds wrong before it runs, we find when it is evaluated, if it ever is.
        return f"static {codes[0] if codes else error}"


def document_of(data: bytes) -> Any:
    processor, _ = saxon()
    return processor.parse_xml(xml_text=data.decode("ascii"))


def saxon_value(processor: Any, value: object) -> Any:
    if isinstance(value, bool):
        return processor.make_boolean_value(value)
    if isinstance(value, int):
        return processor.make_integer_value(value)
    if isinstance(value, float):
        return processor.make_double_value(value)
    return processor.make_string_value(str(value))


def run(number: int, size: int) -> Counter[str]:
    """Run one process's share of cases; the number decides which."""
    counts: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(cases())
    def property_holds(case: Case) -> None:
        check(case, counts)

    property_holds()
    return counts


def prove(total: int, *, first: int, workers: int | None = None, progress: bool = False) -> Counter[str]:
    """Run cases in processes that end after a few hundred; the first that fails raises its error."""
    shares = [min(CASES_OF_A_PROCESS, total - done) for done in range(0, total, CASES_OF_A_PROCESS)]
    counts: Counter[str] = Counter()
    # A worker ends with its share: what SaxonC keeps of compiled queries goes with it.
    with ProcessPoolExecutor(workers or os.cpu_count(), max_tasks_per_child=1) as pool:
        for found in pool.map(run, range(first, first + len(shares)), shares):
            counts.update(found)
            if progress:
                print(f"{counts['cases']} cases agree", file=sys.stderr, flush=True)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int)
    parser.add_argument("--first", type=int, default=0, help="number of the first share; others, other cases")
    parser.add_argument("--workers", type=int)
    chosen = parser.parse_args()
    began = time.monotonic()
    counts = prove(chosen.cases, first=chosen.first, workers=chosen.workers, progress=True)
    for name, count in sorted(counts.items()):
        print(f"{count:9}  {name}")
    print(f"{time.monotonic() - began:9.0f}  seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
