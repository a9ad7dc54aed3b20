"""Match one event against many filters: what it costs by their number.

    python -m benchmarks.filters [MOST]

Times are CPU microseconds per event, bytes to set of keys, parse included; the median of several rounds. MOST
is the largest number of filters (default 100,000).
"""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable

from lxml import etree

from clacks.common.errors import QueryError
from clacks.filters.index import FilterIndex
from clacks.xquery import compile_query, wrap

PROLOG = "declare namespace f='http://www.gonicus.de/Events'; "
PHONE = (
    b"<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus><CallerId>7</CallerId>"
    b"<ReceiverId>200</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)
STATUS = (
    b"<Event xmlns='http://www.gonicus.de/Events'><NodeStatus><Id>n1</Id><Load>%s</Load>"
    b"<Latency>0.1</Latency><Workers>4</Workers></NodeStatus></Event>"
)


def cpu(action: Callable[[], object], times: int, rounds: int = 5) -> float:
    """Return CPU microseconds of one call."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            action()
        found.append((time.process_time() - start) / times * 1e6)
    return statistics.median(found)


def memory() -> int:
    """Return the resident memory of this process in bytes, now."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def equalities(most: int) -> None:
    """Filters ``... return $e/f:PhoneStatus[f:CallerId = 'i']``, of which one matches."""
    print("equality on one element, one filter matches")
    print(f"{'filters':>9} {'match us':>9} {'add us':>8} {'bytes a filter':>15}")
    count = 1
    while count <= most:
        index = FilterIndex()
        before, start = memory(), time.process_time()
        for number in range(count):
            text = f"{PROLOG}let $e := ./f:Event return $e/f:PhoneStatus[f:CallerId = '{number + 7}']"
            index.add(number, text)
        spent = (time.process_time() - start) / count * 1e6
        grown = (memory() - before) / count
        assert index.match(PHONE) == {0}
        size = f"{grown:15.0f}" if count >= 1000 else f"{'':>15}"
        print(f"{count:9} {cpu(lambda index=index: index.match(PHONE), 2000):9.1f} {spent:8.0f} {size}")
        count *= 10


def ranges(count: int = 10_000) -> None:
    """Filters ``f:Load > t`` with as many thresholds as filters."""
    print(f"\n{count} ranges `f:Load > t`, by how many match")
    print(f"{'matches':>9} {'match us':>9}")
    index = FilterIndex()
    for number in range(count):
        index.add(number, f"{PROLOG}/f:Event/f:NodeStatus/f:Load > {number / count}")
    for share in (0.0, 0.001, 0.01, 0.1, 1.0):
        event = STATUS % str(share).encode()
        matched = len(index.match(event))
        print(f"{matched:9} {cpu(lambda event=event: index.match(event), 200):9.1f}")


def one_by_one(count: int = 1000) -> None:
    """The same equalities, each query evaluated by itself on one shared tree."""
    queries = [
        compile_query(f"{PROLOG}let $e := ./f:Event return $e/f:PhoneStatus[f:CallerId = '{number}']")
        for number in range(count)
    ]

    def evaluate() -> int:
        tree = wrap(etree.fromstring(PHONE))
        matched = 0
        for query in queries:
            try:
                matched += query.matches(tree)
            except QueryError:
                continue
        return matched

    print(f"\n{count} queries one by one with our engine on one tree: {cpu(evaluate, 1, 3):.0f} us")


def main() -> None:
    """Print the tables."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    equalities(most)
    ranges()
    one_by_one()


if __name__ == "__main__":
    main()
