"""Match one event against many filters: what it costs by their number.

    python -m benchmarks.filters [PART ...] [--most N] [--json FILE]

PART is equality, mixed, ranges, large or churn; all of them if none is named. Times are CPU microseconds, the
best of several rounds, because other work on the machine only ever adds (large: the middle of many turns); an
event is bytes and its parsing is included unless the line says "over parsing". What is compared is measured
in one run.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import random
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from elementpath import XPathContext
from elementpath.exceptions import ElementPathError
from elementpath.tree_builders import get_node_tree
from elementpath.xpath31 import XPath31Parser
from lxml import etree

from benchmarks.filter_corpus import PROLOG, WORDS, events, filters, large_event
from clacks.common.errors import QueryError
from clacks.common.event_document import EVENTS_NS
from clacks.common.xmltext import read_document
from clacks.filters.index import FilterIndex
from clacks.xquery import compile_query, wrap

PHONE = (
    b"<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus><CallerId>7</CallerId>"
    b"<ReceiverId>200</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)
STATUS = (
    b"<Event xmlns='http://www.gonicus.de/Events'><NodeStatus><Id>n1</Id><Load>%s</Load>"
    b"<Latency>0.1</Latency><Workers>4</Workers></NodeStatus></Event>"
)
Figures = dict[str, object]


def cpu(action: Callable[[], object], times: int, rounds: int = 7) -> float:
    """Return CPU microseconds of one call."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            action()
        best = min(best, time.process_time() - start)
    return best / times * 1e6


def memory() -> int:
    """Return the resident memory of this process in bytes, now."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def verdict(good: bool) -> str:
    """Return the word for a line with a limit."""
    return "ok" if good else "MISSED"


def indexed(texts: list[str]) -> FilterIndex:
    """Return an index of these queries."""
    index = FilterIndex()
    for number, text in enumerate(texts):
        index.add(number, PROLOG + text)
    return index


# -- the parts


def equality(most: int) -> Figures:
    """Filters ``... return $e/f:PhoneStatus[f:CallerId = 'i']``, of which one matches."""
    print("equality on one element, one filter matches")
    print(f"{'filters':>9} {'match us':>9} {'add us':>8} {'load s':>7} {'bytes a filter':>15}")
    rows: dict[int, Figures] = {}
    count = 1
    while count <= most:
        index = FilterIndex()
        before, start = memory(), time.process_time()
        for number in range(count):
            text = f"{PROLOG}let $e := ./f:Event return $e/f:PhoneStatus[f:CallerId = '{number + 7}']"
            index.add(number, text)
        spent = time.process_time() - start
        grown = (memory() - before) / count
        assert index.match(PHONE) == {0}
        match = cpu(lambda index=index: index.match(PHONE), 2000)  # type: ignore[misc]
        rows[count] = {"match_us": match, "load_s": spent}
        size = ""
        if count >= 1000:
            rows[count]["bytes"] = grown
            size = f"{grown:.0f}"
        print(f"{count:9} {match:9.1f} {spent / count * 1e6:8.0f} {spent:7.1f} {size:>15}")
        count *= 10
    return {"rows": rows}


def mixed(count: int = 10_000, rounds: int = 5) -> Figures:
    """The corpus of `filter_corpus` by the index, by elementpath and by our engine, each one by one."""
    corpus = filters(count)
    index = indexed([each.expression for each in corpus])
    sorts = Counter(each.sort for each in corpus)
    found = Counter(index.explain(number).exactness for number in range(count))
    print(f"\n{count} filters of all sorts: " + ", ".join(f"{n} {sort}" for sort, n in sorts.items()))
    print("the index knows them as: " + ", ".join(f"{n} {name}" for name, n in found.items()))
    documents = list(events(90))
    by_index = cpu(lambda: [index.match(document) for document in documents], 1, rounds * 3) / len(documents)
    before = index.statistics.evaluations, index.statistics.engine
    matches = sum(len(index.match(document)) for document in documents) / len(documents)
    looked = (index.statistics.evaluations - before[0]) / len(documents)
    engine = (index.statistics.engine - before[1]) / len(documents)

    few = documents[: len(documents) // 10]  # every type once: one by one an event takes a second
    parser = XPath31Parser(namespaces={"f": EVENTS_NS})
    tokens = [parser.parse(each.expression) for each in corpus]

    def by_elementpath(document: bytes) -> set[int]:
        tree = get_node_tree(read_document(document)[0].getroottree())
        keys = set()
        for key, token in enumerate(tokens):
            with contextlib.suppress(ElementPathError):
                if token.boolean_value(token.select(XPathContext(tree))):
                    keys.add(key)
        return keys

    queries = [compile_query(each.query) for each in corpus]

    def by_engine(document: bytes) -> set[int]:
        tree = wrap(read_document(document)[0])
        keys = set()
        for key, query in enumerate(queries):
            with contextlib.suppress(QueryError):
                if query.matches(tree):
                    keys.add(key)
        return keys

    for document in few:
        assert index.match(document) == by_engine(document)
    apart = sum(len(index.match(document) ^ by_elementpath(document)) for document in few)
    theirs = cpu(lambda: [by_elementpath(document) for document in few], 1, 2) / len(few)
    ours = cpu(lambda: [by_engine(document) for document in few], 1, 2) / len(few)
    ratio = theirs / by_index
    print(f"{matches:.0f} match an event, {looked:.0f} are looked at, {engine:.0f} of them by the engine")
    print(f"{'index':>36} {by_index:12.0f} us an event  (limit 1000: {verdict(by_index <= 1000)})")
    print(
        f"{'elementpath, one by one, one tree':>36} {theirs:12.0f} us an event, {ratio:.0f} times as much",
        end="",
    )
    print(f"  (limit 150: {verdict(ratio >= 150)}); {apart} answers differ")
    print(f"{'our engine, one by one, one tree':>36} {ours:12.0f} us an event, {ours / by_index:.0f} times")
    return {
        "index_us": by_index,
        "elementpath_us": theirs,
        "engine_us": ours,
        "matches": matches,
        "evaluations": looked,
    }


def ranges(count: int = 10_000) -> Figures:
    """Thresholds and bands, as many as filters, by how many match; and the same matches among fewer."""
    print("\nranges by how many match: `f:Load > t`, and bands `a < f:Load and f:Load < b`")
    print(f"{'filters':>9} {'matches':>9} {'match us':>9} {'over no match, us a match':>26}")
    figures: dict[str, list[Figures]] = {"thresholds": [], "bands": []}
    chance = random.Random(3)
    for number in (count // 10, count):
        lines = [f"/f:Event/f:NodeStatus/f:Load > {at / number}" for at in range(number)]
        shares = dict.fromkeys((0, 10, 100, number // 10, number))
        values = [share / number for share in shares]
        _ranges("thresholds", indexed(lines), number, values, figures)
    for width in (0.0, 0.001, 0.1):
        bands = []
        for _ in range(count):
            low = chance.uniform(0, 1 - width)
            bands.append(f"/f:Event/f:NodeStatus[{low:.9f} < f:Load and f:Load < {low + width + 1e-5:.9f}]")
        _ranges("bands", indexed(bands), count, [2.0, 0.5], figures)
    return dict(figures)


def _ranges(
    name: str, index: FilterIndex, count: int, values: list[float], figures: dict[str, list[Figures]]
) -> None:
    nothing = 0.0
    for value in values:
        event = STATUS % str(value).encode()
        matched = len(index.match(event))
        spent = cpu(lambda event=event: index.match(event), 100)  # type: ignore[misc]
        nothing = nothing or spent
        each = f"{(spent - nothing) / matched:26.3f}" if matched else ""
        print(f"{count:9} {matched:9} {spent:9.1f} {each}  {name}")
        figures[name].append({"filters": count, "matches": matched, "match_us": spent})


ABSENT = ("battery", "fan", "raid", "nfs", "ldap", "login denied", "oom", "quota", "reboot", "temperature")
"""Words that the large event does not have."""


def _part(number: int, words: Sequence[str] = ABSENT) -> str:
    """Return a part of a text as people look for it: words and numbers, 4 to 30 characters."""
    chance = random.Random(number)
    first, second = chance.choice(words), chance.choice(words)
    forms = (f"{first[:3]}{number}", f"{first} {number}", f"{first} {number}: {second}", f"{number} {second}")
    return chance.choice(forms)


def _all_sorts(number: int, name: str) -> str:
    """Return one of the conditions that filters name, on one of the elements."""
    part = _part(number)
    forms = (f". = '{part}'", f"starts-with(., '{part}')", f"contains(., '{part}')", f". > {10**10 + number}")
    return f"//f:{name}[{forms[number // 7 % 4]}]"


LARGE: dict[str, tuple[float, Callable[[int, str], str]]] = {
    "equality, one element": (1, lambda i, name: f"//f:Source = 'x{i}'"),
    "equality, all elements by path": (
        1,
        lambda i, name: f"/f:Event/f:PuppetReport/f:PuppetLog/f:{name} = 'x{i}'",
    ),
    "equality, all elements in predicates": (1, lambda i, name: f"//f:PuppetLog[f:{name} = 'x{i}']"),
    "equality, all elements anywhere": (1, lambda i, name: f"//f:{name} = 'x{i}'"),
    "numbers": (1, lambda i, name: f"//f:Line > {i + 1000}" if i % 2 else f"//f:Timestamp = {i}"),
    "parts of texts": (1, lambda i, name: f"//f:PuppetLog[contains(f:Message, '{_part(i)}')]"),
    "parts of texts, some match": (
        1,
        lambda i, name: f"//f:PuppetLog[contains(f:Message, '{_part(i, WORDS) if i % 4 else f'host{i}.'}')]",
    ),
    "parts of texts, all elements": (1, lambda i, name: f"//f:{name}[contains(., '{_part(i)}')]"),
    "all sorts, all elements": (1, _all_sorts),
    "equality, //* among them": (3, lambda i, name: f"//{'*' if i % 10 else 'f:' + name} = 'x{i}'"),
    "parts of texts, //*": (3, lambda i, name: f"//*[contains(., '{_part(i)}')]"),
}
"""For filters on an event of 20 KB: how often the cost of parsing they may cost, and the filters."""


def large(count: int = 10_000) -> Figures:
    """Events of 20 KB: what filters cost over parsing, none of which matches unless the name says so."""
    event = large_event()
    root = read_document(event)[0]
    names = sorted({etree.QName(leaf).localname for leaf in root[0].iter("*") if not len(leaf)})
    size = sum(1 for _ in root.iter("*"))
    print(f"\nan event of {len(event)} bytes, {size} elements, {len(names) + 2} names; {count} filters")
    print(f"{'filters':>38} {'parsing':>9} {'over it':>9} {'ratio':>6} {'limit':>6}")
    rows: dict[str, Figures] = {}
    for name, (limit, make) in LARGE.items():
        index = indexed([make(number, names[number % len(names)]) for number in range(count)])
        matches = len(index.match(event))
        assert (matches > 0) is name.endswith("some match")
        parsing, ratio = _in_turns(lambda: read_document(event), lambda index=index: index.match(event))  # type: ignore[misc]
        over = ratio * parsing
        print(f"{name:>38} {parsing:9.0f} {over:9.0f} {ratio:6.2f} {limit:6.0f}  {verdict(ratio <= limit)}")
        rows[name] = {"parsing_us": parsing, "over_us": over, "limit": limit}
    return {"rows": rows}


def _in_turns(
    parse: Callable[[], object], match: Callable[[], object], times: int = 1500
) -> tuple[float, float]:
    """Return the CPU microseconds of parsing, and how often those match costs over it; match parses, too.

    Both are the middle of many pairs: what disturbs the one half of a pair disturbs the other.
    """
    parsings, ratios = [], []
    for _ in range(times):
        start = time.process_time()
        parse()
        between = time.process_time()
        match()
        end = time.process_time()
        if between > start:  # a clock that stood still for a moment says nothing
            parsings.append(between - start)
            ratios.append((end - between) / (between - start) - 1)
    return statistics.median(parsings) * 1e6, statistics.median(ratios)


CHURN: dict[str, Callable[[int], str]] = {
    "equality": lambda i: f"/f:Event/f:PhoneStatus[f:CallerId = '{i}']",
    "one query for all": lambda i: "/f:Event/f:PhoneStatus[f:CallerId = '1']",
    "one value for all": lambda i: f"/f:Event/f:PhoneStatus[f:Status = 'busy'][not(f:CallerId = '{i}')]",
    "one threshold for all": lambda i: f"/f:Event/f:NodeStatus[f:Load > 3][not(f:Id = '{i}')]",
    "thresholds": lambda i: f"/f:Event/f:NodeStatus/f:Load > {i}",
    "bands": lambda i: f"/f:Event/f:NodeStatus[{i} < f:Load and f:Load < {i + 5}]",
    "parts of texts": lambda i: f"/f:Event/f:PuppetReport/f:PuppetLog[contains(f:Message, 'word {i}')]",
    "beginnings": lambda i: f"/f:Event/f:PhoneStatus[starts-with(f:CallerId, '+49{i}')]",
    "parts of texts, //*": lambda i: f"//*[contains(., 'word {i}')]",
    "equality, //*": lambda i: f"//* = 'x{i}'",
    "negation": lambda i: f"/f:Event/f:PhoneStatus[not(f:CallerId = '{i}')]",
    "disjunction": lambda i: f"/f:Event/f:PhoneStatus[f:CallerId = 'a{i}' or f:ReceiverId = 'b{i}']",
    "type only": lambda i: f"/f:Event/f:PhoneStatus[f:Status != 'x{i}']",
}


def churn(count: int) -> Figures:
    """One more and one less at ``count`` filters: adding, and removing oldest first, newest first, anyhow."""
    print(f"\nadding to and removing from {count} filters, us: p99 and worst of 1,000, the collector off")
    print(f"{'':>24} {'add p99':>9} {'worst':>9} {'remove p99':>11} {'worst':>9}")
    rows: dict[str, Figures] = {}
    chance = random.Random(5)
    for name, make in CHURN.items():
        index = indexed([make(number) for number in range(count)])
        old, new = list(range(400)), list(range(count - 400, count))
        gone = [*old, *reversed(new), *chance.sample(range(400, count - 400), 200)]
        gc.collect()
        gc.disable()
        added = _each(lambda n: index.add(n, PROLOG + make(n)), range(count, count + 1000))  # noqa: B023
        removed = _each(index.remove, gone)
        gc.enable()
        figures = [added[990], added[-1], removed[990], removed[-1]]
        print(f"{name:>24} {figures[0]:9.0f} {figures[1]:9.0f} {figures[2]:11.0f} {figures[3]:9.0f}", end="")
        print(f"  {verdict(max(figures[0], figures[2]) < 1000)}")
        rows[name] = {"add_p99_us": added[990], "remove_p99_us": removed[990]}
    return {"rows": rows}


def _each(action: Callable[[int], object], numbers: range | list[int]) -> list[float]:
    found = []
    for number in numbers:
        start = time.process_time_ns()
        action(number)
        found.append((time.process_time_ns() - start) / 1000)
    return sorted(found)


def main() -> int:
    """Print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts: dict[str, Callable[[int], Figures]] = {
        "equality": equality,
        "mixed": lambda most: mixed(min(most, 10_000)),
        "ranges": lambda most: ranges(min(most, 10_000)),
        "large": lambda most: large(min(most, 10_000)),
        "churn": churn,
    }
    parser.add_argument("parts", nargs="*", choices=[*parts, []], metavar="PART")
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {}
    for name in options.parts or parts:
        figures[name] = parts[name](options.most)
        gc.collect()
    if options.json:
        known = json.loads(options.json.read_text()) if options.json.exists() else {}
        options.json.write_text(json.dumps({**known, **figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
