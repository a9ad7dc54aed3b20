"""CPU of making and receiving the PhoneStatus event of the reference document.

    python -m benchmarks.event_maker [--count N] [--repeat N]

One process, one thread; CPU time of the process, the best of ``--repeat`` runs, because other work on the
machine only ever adds. The budgets are those of the project: building, validating and serializing 25 us,
receiving 300 bytes 8 us.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from clacks.common.errors import InvalidEvent
from clacks.common.event import EventMaker, objectified
from clacks.common.schema import SchemaRegistry


@dataclass(frozen=True)
class Case:
    """One line of the table; ``budget`` in microseconds or None."""

    name: str
    run: Callable[[], object]
    budget: float | None = None
    share: float = 1.0
    """Part of the count that is run: some cases are slow."""


def cases() -> list[Case]:
    registry = SchemaRegistry(plugins=False)
    e = EventMaker(registry)

    def nested() -> etree._Element:
        return e.Event(e.PhoneStatus(e.CallerId("012345"), e.ReceiverId("12343424"), e.Status("busy")))

    def keywords() -> etree._Element:
        return e.event("PhoneStatus", CallerId="012345", ReceiverId="12343424", Status="busy")

    short = etree.tostring(nested())
    document = short.replace(b"busy", b"busy" + b"x" * (300 - len(short)))
    assert len(document) == 300
    invalid = document.replace(b"Status>", b"State>")
    event = registry.receive(document)
    fields = event.to_json()

    def refused() -> None:
        try:
            registry.receive(invalid)
        except InvalidEvent:
            return
        raise AssertionError("accepted")

    return [
        Case("build (nested), validate, serialize", lambda: etree.tostring(nested()), 25.0),
        Case("build (keywords), validate, serialize", lambda: etree.tostring(keywords())),
        Case("receive 300 bytes", lambda: registry.receive(document), 8.0),
        Case("make objects for a callback", lambda: objectified(event)),
        Case("to JSON", event.to_json),
        Case("from JSON, validate", lambda: registry.from_json("PhoneStatus", fields)),
        Case("refuse and explain", refused, share=0.02),
    ]


def cpu(case: Case, count: int, repeat: int) -> float:
    """Return the microseconds of CPU of one call."""
    runs = max(1, int(count * case.share))
    case.run()
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        for _ in range(runs):
            case.run()
        best = min(best, (time.process_time() - start) / runs)
    return best * 1e6


def main() -> int:
    """Print the table; return 1 if a budget was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    missed = False
    print(f"{'':40} {'us of CPU':>10} {'budget':>8}")
    for case in cases():
        found = cpu(case, given.count, given.repeat)
        missed = missed or (case.budget is not None and found > case.budget)
        print(f"{case.name:40} {found:10.1f} {case.budget if case.budget is not None else '':>8}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
