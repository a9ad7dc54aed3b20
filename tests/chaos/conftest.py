"""The table of all cases at the end of the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.islands import made_island
from tests.chaos.ledger import Ledger

HEAD = (
    "| Case | Sent | Delivered | Dropped, by the metrics | Unaccounted | Doubled | |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- |\n"
)


@pytest.fixture
def book(record_property: Callable[[str, object], None]) -> Callable[[Ledger], Ledger]:
    """Give the ledger of a case to the table; print it."""

    def keep(ledger: Ledger) -> Ledger:
        print(ledger.line())
        record_property("ledger", ledger.line())
        return ledger

    return keep


@pytest.fixture
def island() -> Iterator[tuple[str, str]]:
    """Return a network namespace with one wire to us: its name, which is that of our end, and its address."""
    with made_island() as found:
        yield found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the table; into the file ``CLACKS_CHAOS_TABLE`` as well, if that is set."""
    lines = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "ledger" and getattr(report, "when", "") == "call"
    ]
    if not lines:
        return
    table = HEAD + "\n".join(lines) + "\n"
    terminalreporter.section("what became of the events")
    terminalreporter.write(table)
    if path := os.environ.get("CLACKS_CHAOS_TABLE"):
        Path(path).write_text(table, "utf-8")
