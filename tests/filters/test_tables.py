"""The searches behind the index, beside the plain way to say the same."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.filters.entry import Entry
from clacks.filters.facts import Access
from clacks.filters.tables import Bands, Beginnings, Ends, Table, Thresholds
from clacks.filters.values import to_double, to_doubles
from tests.costs import cpu_seconds

NUMBERS = st.one_of(
    st.sampled_from((-math.inf, -1.0, -5e-324, -0.0, 0.0, 5e-324, 0.1, 1.0, 1.5, 2.0, math.inf)),
    st.floats(allow_nan=False),
)
TEXTS = st.text(alphabet="abA ", min_size=1, max_size=20)


def entries(count: int) -> list[Entry]:
    return [Entry(number, number, "", Access(None), None, None) for number in range(count)]


@given(
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), st.lists(NUMBERS, min_size=1, max_size=3), st.data()
)
def test_bands_find_what_lies_around_a_value(
    bands: list[tuple[float, float]], values: list[float], data: st.DataObject
) -> None:
    table, all_entries = Bands(), entries(len(bands))
    for (low, high), entry in zip(bands, all_entries):
        table.add(low, high, entry)
    gone = data.draw(st.sets(st.sampled_from(all_entries))) if all_entries else set()
    for (low, high), entry in zip(bands, all_entries):
        if entry in gone:
            table.remove(low, high, entry)
    found: set[Entry] = set()
    least, most = min(values), max(values)
    table.find(least, most, found)
    inside = {
        entry
        for (low, high), entry in zip(bands, all_entries)
        if low <= most and high >= least and entry not in gone
    }
    if least == most:
        assert found == inside
    else:
        backwards = {entry for (low, high), entry in zip(bands, all_entries) if low > high}
        assert inside <= found <= inside | backwards
    assert table.size == len(bands) - len(gone)


@given(st.lists(TEXTS, max_size=20), st.sets(st.text(alphabet="abA ", max_size=60), min_size=1, max_size=4))
def test_texts_are_found_by_what_they_begin_or_end_with(texts: list[str], values: set[str]) -> None:
    for table, test in (
        (Beginnings(), str.startswith),
        (Ends(), str.endswith),
    ):
        all_entries = entries(len(texts))
        for text, entry in zip(texts, all_entries):
            table.add(text, entry)
        found: set[Entry] = set()
        table.find(values, found)
        assert found == {
            entry for text, entry in zip(texts, all_entries) if any(test(value, text) for value in values)
        }
        for text, entry in zip(texts, all_entries):
            table.remove(text, entry)
        assert not table.table.rows


def test_thresholds_are_removed_in_any_order() -> None:
    table: Thresholds[float] = Thresholds()
    all_entries = entries(200)
    marks = [float(number % 7) for number in range(200)]
    for mark, entry in zip(marks, all_entries):
        table.add(mark, entry)
    order = list(zip(marks, all_entries))
    random.Random(1).shuffle(order)
    while order:
        mark, entry = order.pop()
        table.remove(mark, entry)
        assert set(table.below(3.0, True)) == {other for at, other in order if at <= 3.0}


def removal(fill: Callable[[list[Entry]], Callable[[Entry], None]], count: int) -> float:
    """Return the CPU seconds that the removal of 150 entries takes: the oldest, the newest, others."""
    all_entries = entries(count)
    remove = fill(all_entries)
    order = [
        *all_entries[:50],
        *reversed(all_entries[-50:]),
        *all_entries[50:-50][:: max(1, count // 100)][:50],
    ]
    began = iter(order)
    return cpu_seconds(lambda: [remove(next(began)) for _ in range(50)], tries=3)


def filled_table(all_entries: list[Entry]) -> Callable[[Entry], None]:
    table: Table[str] = Table()
    for entry in all_entries:
        table.add("busy", entry)
    return lambda entry: table.remove("busy", entry)


def filled_thresholds(all_entries: list[Entry]) -> Callable[[Entry], None]:
    table: Thresholds[float] = Thresholds()
    for entry in all_entries:
        table.add(3.0, entry)
    return lambda entry: table.remove(3.0, entry)


def filled_bands(all_entries: list[Entry]) -> Callable[[Entry], None]:
    table = Bands()
    for entry in all_entries:
        table.add(1.0, 2.0, entry)
    return lambda entry: table.remove(1.0, 2.0, entry)


@pytest.mark.parametrize("fill", [filled_table, filled_thresholds, filled_bands])
def test_an_entry_leaves_among_many_equals_without_a_walk_over_them(
    fill: Callable[[list[Entry]], Callable[[Entry], None]],
) -> None:
    # A walk over 20,000 takes a hundred times what one over 200 does.
    assert removal(fill, 20_000) < 20 * removal(fill, 200) + 0.001


def test_a_key_joins_and_leaves_a_query_of_many_without_a_walk_over_them() -> None:
    def churn(count: int) -> float:
        entry = entries(1)[0]
        for key in range(count):
            entry.join(key)

        def change() -> None:
            for key in range(50):
                entry.join(count + key)
                entry.leave(count + key)

        return cpu_seconds(change, tries=3)

    assert churn(20_000) < 20 * churn(200) + 0.001


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ("INF", "-INF", "+INF", "NaN", "-NaN", " INF\n", "1_0", "1e400", "inf", "\u0661", ".")
            ),
            st.text(alphabet="01+-.eE \n\x0cINFa", max_size=6),
        ),
        max_size=6,
    )
)
def test_texts_are_read_as_numbers_together_as_alone(texts: list[str]) -> None:
    numbers, known = to_doubles(texts)
    alone = [to_double(text) for text in texts]
    # No comparison finds NaN: it does not count.
    comparable = [each for each in alone if each is not None and each == each]
    assert sorted(map(repr, numbers)) == sorted(map(repr, comparable))
    assert known is (len(comparable) == len(texts))


LEXICAL = re.compile(
    r"[ \t\r\n]*([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?INF|NaN)[ \t\r\n]*"
)


@given(st.text(alphabet="01+-.eE_ \n\x0b\x0cINFa\u0661", max_size=8))
def test_a_number_is_what_xml_schema_calls_one(text: str) -> None:
    assert (to_double(text) is not None) is bool(LEXICAL.fullmatch(text))
