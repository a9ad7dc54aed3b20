"""Filters as users write them, by event type, with example events and the ones that each filter is meant for.

One text file for each event type::

    === event NAME
    property NAME = VALUE            properties of its message, if any
    <PhoneStatus>...</PhoneStatus>   what stands inside <Event>

    === filter WHAT IT IS MEANT FOR
    matches: NAME NAME               events of this file, or none
    elsewhere: TYPE.NAME ...         events of other files; all; without the line: none
    the query

The expectations are written by hand. A query that declares nothing gets the declaration of the prefix f.
`python -m tests.filters.corpus` reports what the index makes of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from clacks.filters.index import Explanation, FilterIndex

__all__ = ["CorpusEvent", "CorpusFilter", "events", "explained", "filters", "share", "table"]

FOLDER = Path(__file__).parent
PROLOG = "declare namespace f = 'http://www.gonicus.de/Events';\n"
KINDS = ("decided by facts", "checked after facts", "checked at every event", "partly indexed", "not indexed")


@dataclass(frozen=True)
class CorpusEvent:
    """An event: its type and name, the document, the properties of its message."""

    kind: str
    name: str
    data: bytes
    properties: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True)
class CorpusFilter:
    """A query, what it is meant for, and the events (``TYPE.NAME``) that it matches."""

    kind: str
    title: str
    query: str
    matches: frozenset[str]

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.title}"


def blocks(text: str) -> list[tuple[str, str, str]]:
    found = re.split(r"^=== (event|filter) (.*)\n", text, flags=re.M)
    assert not found[0].strip()
    return [(found[at], found[at + 1].strip(), found[at + 2].strip()) for at in range(1, len(found), 3)]


@lru_cache(maxsize=1)
def events() -> tuple[CorpusEvent, ...]:
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        for what, name, body in blocks(path.read_text("utf-8")):
            if what == "event":
                given = re.findall(r"^property (\S+) = (.*)\n", body, flags=re.M)
                inner = re.sub(r"^property .*\n", "", body, flags=re.M)
                data = f'<Event xmlns="http://www.gonicus.de/Events">{inner}</Event>'.encode()
                found.append(CorpusEvent(path.stem, name, data, tuple(given)))
    return tuple(found)


@lru_cache(maxsize=1)
def filters() -> tuple[CorpusFilter, ...]:
    every = {event.id for event in events()}
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        here = {event.id for event in events() if event.kind == path.stem}
        for what, title, body in blocks(path.read_text("utf-8")):
            if what != "filter":
                continue
            first, rest = body.split("\n", 1)
            assert first.startswith("matches: "), (path.stem, title)
            names = first.removeprefix("matches: ").split()
            wanted = {f"{path.stem}.{name}" for name in names if name != "none"}
            if rest.startswith("elsewhere: "):
                second, rest = rest.split("\n", 1)
                elsewhere = second.removeprefix("elsewhere: ").split()
                wanted |= every - here if elsewhere == ["all"] else set(elsewhere)
            assert wanted <= every, (path.stem, title, wanted - every)
            declares = rest.lstrip().startswith(("declare ", "xquery "))
            query = rest if declares else PROLOG + rest
            found.append(CorpusFilter(path.stem, title, query, frozenset(wanted)))
    return tuple(found)


@lru_cache(maxsize=1)
def explained() -> dict[CorpusFilter, Explanation]:
    """Return what the index makes of each filter."""
    index = FilterIndex()
    found = {}
    for entry in filters():
        index.add(entry.id, entry.query)
        found[entry] = index.explain(entry.id)
    return found


def kind_of(told: Explanation) -> str:
    if told.exactness != "exact":
        return told.exactness
    if told.decides:
        return KINDS[0]
    return KINDS[1] if told.facts else KINDS[2]


def share() -> float:
    """Return the share of filters that need no engine."""
    told = explained().values()
    return sum(one.exactness == "exact" for one in told) / len(told)


def table() -> str:
    """Return the counts by event type as a text for people."""
    told = explained()
    types = sorted({entry.kind for entry in told})
    heads = ("event type", "filters", *KINDS)
    rows = [heads]
    for name in [*types, "all"]:
        kinds = [kind_of(one) for entry, one in told.items() if name in (entry.kind, "all")]
        rows.append((name, str(len(kinds)), *(str(kinds.count(kind)) for kind in KINDS)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    ]  # fmt: skip
    lines.append("")
    lines.append(f"exact: {share():.1%}; known by event type: {with_kinds():.1%}")
    for entry, one in told.items():
        if one.exactness != "exact":
            lines.append(f"{one.exactness}: {entry.id} ({'; '.join(one.unknown)})")
    return "\n".join(lines)


def with_kinds() -> float:
    told = explained().values()
    return sum(one.kinds is not None for one in told) / len(told)
