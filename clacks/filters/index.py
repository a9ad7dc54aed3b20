"""One index for all filters: which of many standing queries want this event.

How an event finds its filters, in three steps:

1. The tree of paths (`trie`) is walked once; every path that some filter speaks of and the event has, gives
   its nodes.
2. The values found there wake filters through hash tables and sorted thresholds (`postings`). A filter is
   stored under the fewest and rarest facts of which one must hold if the query is true (`access`). Many
   filters are decided by that.
3. The rest of a woken filter is evaluated on the same tree (`evaluate`); what is not understood, by the
   XQuery engine, on one node tree for all.

So the cost of an event follows the filters that it wakes, not the filters that there are. The answer is
always the one that the engine gives for each query by itself: where an error makes it doubtful what an engine
would do, the engine is asked.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from lxml import etree

from clacks.common.errors import QueryError
from clacks.common.event_document import EVENTS_NS
from clacks.common.metrics import Metrics
from clacks.common.xmltext import read_document
from clacks.filters.access import access
from clacks.filters.entry import Entry
from clacks.filters.evaluate import Undecided, holds
from clacks.filters.facts import Access, Fact, possible_children
from clacks.filters.postings import Slot
from clacks.filters.trie import PathTrie
from clacks.filters.values import ConditionError
from clacks.filters.view import Node, View, levels_apart
from clacks.xquery import Query, compile_query, wrap
from clacks.xquery.analysis import read_condition
from clacks.xquery.budget import DEFAULT, QueryBudget
from clacks.xquery.conditions import Condition, NameTest, Opaque, is_exact, parts

__all__ = ["Explanation", "FilterIndex", "Statistics", "event_kinds"]

_log = logging.getLogger(__name__)

_ROOT: Final = NameTest(EVENTS_NS, "Event")
_NOTHING: Final = Slot()
_REMEMBERED: Final = 512  # queries kept compiled for irregular events


class HasRoot(Protocol):
    """Anything with the root of an event document, such as an `Event`."""

    @property
    def root(self) -> etree._Element:
        """The root element."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the index knows of one filter.

    Attributes:
        text: The query.
        exactness: ``exact`` (the engine is not needed), ``partly indexed`` (facts find it, the engine
            finishes), ``not indexed`` (the engine evaluates it on every event).
        facts: The facts of which one must hold, as sentences; empty if none is known.
        decides: Whether these facts decide alone.
        kinds: The event types that it can match, or None for any.
        unknown: What was not understood.
        shared: How many keys share this entry.
        name: A few letters that stand for the query in metrics and logs.
        errors: Events on which it failed since it was added.
    """

    text: str
    exactness: str
    facts: tuple[str, ...]
    decides: bool
    kinds: frozenset[str] | None
    unknown: tuple[str, ...]
    shared: int
    name: str
    errors: int


@dataclass(slots=True)
class Statistics:
    """Counts since the index was made; ``filters`` and ``exact`` are as of now.

    Attributes:
        filters: Keys in the index.
        distinct: Different queries among them.
        exact: Different queries that never need the engine on regular events.
        events: Events matched.
        evaluations: Conditions and queries evaluated one by one.
        engine: Of these, by the engine.
        errors: Evaluations that ended in an error, hence no match.
    """

    filters: int = 0
    distinct: int = 0
    exact: int = 0
    events: int = 0
    evaluations: int = 0
    engine: int = 0
    errors: int = 0


class FilterIndex:
    """Standing XQuery filters, asked all at once.

    >>> index = FilterIndex()
    >>> index.add("me", "declare namespace f='http://www.gonicus.de/Events'; //f:Status = 'busy'")
    >>> index.match(b"<Event xmlns='http://www.gonicus.de/Events'><P><Status>busy</Status></P></Event>")
    {'me'}

    Not safe for use by several threads at once: its owner is one event loop or one lock.

    Args:
        budget: What each evaluation of a query by the engine may cost.
        on_error: Called with a key and the error when a query fails on an event, at every failure.
        metrics: Where to count, together with other indexes of the service: ``filters``, ``filters_exact``
            (both as of now), ``filter_evaluations``, ``filter_evaluations_by_engine``, and
            ``filter_errors_by_filter{filter}`` with the `Explanation.name` of the query.
    """

    def __init__(
        self,
        *,
        budget: QueryBudget = DEFAULT,
        on_error: Callable[[Hashable, Exception], None] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.statistics = Statistics()
        self._metrics = metrics if metrics is not None else Metrics()
        self._filters = self._metrics.counter("filters")
        self._exact = self._metrics.counter("filters_exact")
        self._evaluations = self._metrics.counter("filter_evaluations")
        self._by_engine = self._metrics.counter("filter_evaluations_by_engine")
        self._budget = budget
        self._on_error = on_error
        self._entries: dict[Hashable, Entry] = {}
        self._by_key: dict[Hashable, Entry] = {}
        self._paths = PathTrie()
        self._properties: dict[str, Slot] = {}
        self._always: dict[Entry, None] = {}
        self._serials = itertools.count()
        self._compiled: OrderedDict[str, Query] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._by_key

    def add(self, key: Hashable, query: str | Query) -> None:
        """Let ``key`` stand for ``query`` from the next match on; a query that it stood for is forgotten.

        Raises:
            QuerySyntaxError: If the text does not compile; the index is unchanged.
        """
        compiled = compile_query(query, budget=self._budget) if isinstance(query, str) else query
        condition = read_condition(compiled)
        # What a query was compiled with beside its text is not read from the text again.
        exact = compiled.stands_alone and is_exact(condition)
        identity: Hashable = _identity(condition) if exact else compiled.text
        if not compiled.stands_alone:
            identity = compiled
        if key in self._by_key:
            self.remove(key)
        entry = self._entries.get(identity)
        if entry is None:
            found = self._choose(access(condition), exact)
            entry = Entry(
                identity,
                next(self._serials),
                compiled.text,
                found,
                condition=condition if exact and not found.decides else None,
                query=None if exact else compiled,
            )
            self._entries[identity] = entry
            self._store(entry)
            self.statistics.distinct += 1
            self.statistics.exact += exact
        entry.join(key)
        self._by_key[key] = entry
        self.statistics.filters += 1
        self._filters.value += 1
        self._exact.value += exact

    def remove(self, key: Hashable) -> None:
        """Forget ``key``.

        Raises:
            KeyError: If it is not there.
        """
        entry = self._by_key.pop(key)
        self.statistics.filters -= 1
        self._filters.value -= 1
        self._exact.value -= entry.query is None
        if entry.leave(key):
            del self._entries[entry.identity]
            self._unstore(entry)
            self.statistics.distinct -= 1
            self.statistics.exact -= entry.query is None

    def match(
        self,
        event: HasRoot | bytes | etree._Element | etree._ElementTree,
        variables: Mapping[str, object] | None = None,
    ) -> set[Hashable]:
        """Return the keys whose queries are true for ``event``.

        ``variables`` are the properties of the message: values of the queries' external variables.

        Raises:
            MalformedEvent: If bytes are given that are no XML document.
        """
        root = _root(event)
        view = View(root, variables)
        alone: set[Entry] = set()  # woken by a path with one node, or by a property
        among: list[tuple[set[Entry], list[Node]]] = []  # woken by a path with several nodes
        doubtful: set[Entry] = set()
        for slot, nodes in self._paths.walk(view):
            if len(nodes) == 1:
                slot.wake(nodes, view, alone, doubtful)
            else:
                woken: set[Entry] = set()
                slot.wake(nodes, view, woken, doubtful)
                if woken:
                    among.append((woken, nodes))
        if self._properties and variables:
            for name, given in variables.items():
                property_slot = self._properties.get(name)
                if property_slot is not None and isinstance(given, str):
                    property_slot.wake_text(given, alone)
        return self._judge(view, alone, among, doubtful)

    def _judge(
        self,
        view: View,
        alone: set[Entry],
        among: list[tuple[set[Entry], list[Node]]],
        doubtful: set[Entry],
    ) -> set[Hashable]:
        matched: set[Hashable] = set()
        checked = doubtful
        for entry in alone:
            if entry.decides:
                matched.update(entry.keys)
            else:
                checked.add(entry)
        for woken, nodes in among:
            levels: int | None = None
            for entry in woken:
                if entry.decides:
                    if entry.single and levels is None:
                        levels = levels_apart(nodes, max(each.single for each in woken))
                    if not entry.single or entry.single <= levels:  # type: ignore[operator]  # then it is known
                        matched.update(entry.keys)
                        continue
                checked.add(entry)
        statistics = self.statistics
        evaluations, by_engine = statistics.evaluations, statistics.engine
        engine = _Engine(self, view)
        for entries in (checked, self._always):
            for entry in entries:
                if engine.holds(entry):
                    matched.update(entry.keys)
        statistics.events += 1
        self._evaluations.value += statistics.evaluations - evaluations
        self._by_engine.value += statistics.engine - by_engine
        return matched

    def explain(self, key: Hashable) -> Explanation:
        """Tell how the index sees the query of ``key``.

        Raises:
            KeyError: If the key is not there.
        """
        entry = self._by_key[key]
        condition = read_condition(entry.query if isinstance(entry.query, Query) else self._query(entry))
        facts = entry.access.facts
        if entry.query is None:
            exactness = "exact"
        else:
            exactness = "not indexed" if facts is None else "partly indexed"
        return Explanation(
            text=entry.text,
            exactness=exactness,
            facts=tuple(sorted(map(_sentence, facts or ()))),
            decides=entry.decides,
            kinds=possible_children(access(condition), _ROOT),
            unknown=tuple(dict.fromkeys(_unknown(condition))),
            shared=len(entry.keys),
            name=_name(entry.text),
            errors=entry.errors,
        )

    def _choose(self, found: Access, exact: bool) -> Access:
        """Return the facts under which to store a filter: of those that are necessary, the rarest now."""
        best, decides = found.facts, exact and found.decides
        if best is None:
            return found
        if found.others and not decides:
            best = min((best, *found.others), key=self._load)
        # Paths take most of the memory that a fact needs; nearly all filters share theirs with others.
        # To the tables two facts that differ in ``single`` alone are one; the stricter of them stays.
        shared: dict[tuple[object, ...], Fact] = {}
        for fact in sorted(best, key=lambda fact: fact.single):
            path = fact.path if isinstance(fact.path, str) else self._paths.common(fact.path)
            shared[path, fact.kind, fact.value] = replace(fact, path=path)
        return Access(frozenset(shared.values()), decides)

    def _load(self, facts: frozenset[Fact]) -> float:
        load = 0.0
        for fact in facts:
            slot = (
                self._properties.get(fact.path) if isinstance(fact.path, str) else self._paths.find(fact.path)
            )
            load += (slot or _NOTHING).load(fact)
        return load

    def _store(self, entry: Entry) -> None:
        facts = entry.access.facts
        if facts is None:
            self._always[entry] = None
            return
        for fact in facts:
            if isinstance(fact.path, str):
                self._properties.setdefault(fact.path, Slot()).add(fact, entry)
            else:
                self._paths.slot(fact.path).add(fact, entry)

    def _unstore(self, entry: Entry) -> None:
        facts = entry.access.facts
        if facts is None:
            del self._always[entry]
            return
        for fact in facts:
            if isinstance(fact.path, str):
                slot = self._properties[fact.path]
                slot.remove(fact, entry)
                if slot.empty:
                    del self._properties[fact.path]
            else:
                self._paths.slot(fact.path).remove(fact, entry)
                self._paths.prune(fact.path)

    def _query(self, entry: Entry) -> Query:
        """Return the compiled query of an entry that keeps none; a few hundred are remembered."""
        if isinstance(entry.query, Query):
            return entry.query
        query = self._compiled.get(entry.text)
        if query is None:
            query = compile_query(entry.text, budget=self._budget)
            self._compiled[entry.text] = query
            if len(self._compiled) > _REMEMBERED:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(entry.text)
        return query

    def _failed(self, entry: Entry, error: Exception) -> None:
        self.statistics.errors += 1
        entry.errors += 1
        self._metrics.count("filter_errors_by_filter", filter=_name(entry.text))
        if self._on_error is not None:
            for key in entry.keys:
                self._on_error(key, error)


class _Engine:
    """Evaluates woken filters one by one on one event, sharing what the event costs."""

    __slots__ = ("_document", "_index", "_view")

    def __init__(self, index: FilterIndex, view: View) -> None:
        self._index = index
        self._view = view
        self._document: object | None = None

    def holds(self, entry: Entry) -> bool:
        try:
            return self._holds(entry)
        except Exception as error:  # noqa: BLE001 - logged, and counted against that query
            # Somebody else's query met a fault of the engine. It is no match for that query, as any other
            # error: raised from here it would be the publisher's, and that of all other subscribers.
            _log.exception("the engine failed on a filter query=%s", ascii(entry.text[:300]))
            self._index._failed(entry, error)
            return False

    def _holds(self, entry: Entry) -> bool:
        index = self._index
        index.statistics.evaluations += 1
        if entry.query is None:
            try:
                condition = entry.condition
                if condition is None:
                    condition = read_condition(index._query(entry))
                return holds(condition, self._view)
            except ConditionError as error:
                index._failed(entry, error)
                return False
            except Undecided:
                pass
        index.statistics.engine += 1
        if self._document is None:
            self._document = wrap(self._view.root)
        try:
            return index._query(entry).matches(self._document, self._view.properties)
        except QueryError as error:
            index._failed(entry, error)
            return False


def _root(event: HasRoot | bytes | etree._Element | etree._ElementTree) -> etree._Element:
    if isinstance(event, bytes):
        return read_document(event)[0]
    if isinstance(event, etree._Element):
        return event
    if isinstance(event, etree._ElementTree):
        return event.getroot()
    return event.root


def _name(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _identity(condition: Condition) -> bytes:
    # The digest, not the condition: an exact filter keeps nothing that it does not need.
    return hashlib.blake2b(repr(condition).encode(), digest_size=16).digest()


def _unknown(condition: Condition) -> list[str]:
    if isinstance(condition, Opaque):
        return [condition.reason]
    return [reason for part in parts(condition) for reason in _unknown(part)]


_SLASHES: Final = {"child": "/", "descendant": "//", "descendant-or-self": "//self::", "attribute": "/@"}


def _sentence(fact: Fact) -> str:
    if isinstance(fact.path, str):
        where = f"${fact.path}"
    else:
        where = "".join(
            _SLASHES.get(axis, f"/{axis}::") + (test.local if isinstance(test, NameTest) else test)
            for axis, test in fact.path
        )
    if fact.kind == "present":
        return f"{where} is there"
    if isinstance(fact.value, tuple):
        return f"{where} from {fact.value[0]:.9g} to {fact.value[1]:.9g}"
    value = f"'{fact.value}'" if isinstance(fact.value, str) else f"{fact.value:g}"
    return f"{where} {fact.kind} {value}"


def event_kinds(query: str | Query) -> frozenset[str] | None:
    """Return the event types that a query can possibly match, or None if it may match any.

    Raises:
        QuerySyntaxError: If the text does not compile.
    """
    compiled = compile_query(query) if isinstance(query, str) else query
    return possible_children(access(read_condition(compiled)), _ROOT)
