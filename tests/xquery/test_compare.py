"""Comparison of atomic values: promotion, instants, collations, sorting."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from elementpath.datatypes import (
    Base64Binary,
    Date,
    DateTime,
    DayTimeDuration,
    Duration,
    GregorianYear,
    HexBinary,
    QName,
    Time,
    Timezone,
    UntypedAtomic,
    YearMonthDuration,
)
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.errors import QueryEvaluationError
from clacks.xquery.collation import CODEPOINT, HTML_ASCII, find_collation
from clacks.xquery.compare import (
    Incomparable,
    civil_from_days,
    days_from_civil,
    deep_equal,
    equal,
    instant,
    less,
    order,
    sort_sequences,
    value_key,
)
from clacks.xquery.maps import XArray, XMap
from clacks.xquery.values import to_float

UTC = Timezone(datetime.timedelta(0))
HOUR = Timezone(datetime.timedelta(hours=1))
PLAIN = find_collation(CODEPOINT)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (1, Decimal(1)),
        (2**53 + 1, float(2**53)),  # as doubles
        (to_float(0.1), Decimal("0.1")),  # as floats
        ("a", UntypedAtomic("a")),
        (YearMonthDuration(0), DayTimeDuration(0)),
        (Duration(12, 0), YearMonthDuration(12)),
        (QName("u", "a:x"), QName("u", "b:x")),
        (HexBinary("61"), HexBinary("61")),
        (Time(12, tzinfo=UTC), Time(13, tzinfo=HOUR)),
        (DateTime(2020, 1, 1, 0, tzinfo=HOUR), DateTime(2019, 12, 31, 23, tzinfo=UTC)),
        (True, True),
    ],
)
def test_equal_values(a, b):
    assert equal(a, b, PLAIN, UTC)
    assert value_key(a, PLAIN, UTC) == value_key(b, PLAIN, UTC)


@pytest.mark.parametrize(
    ("a", "b"), [(1, 2), (to_float(0.1), 0.1), (float("nan"), float("nan")), ("a", "A"), (True, False)]
)
def test_unequal_values(a, b):
    assert not equal(a, b, PLAIN, UTC)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, "1"),
        (True, 1),
        ("a", QName("u", "a")),
        (HexBinary("61"), Base64Binary("YQ==")),
        (Date(2020, 1, 1), 1),
    ],
)
def test_incomparable_values(a, b):
    with pytest.raises(Incomparable):
        equal(a, b, PLAIN, UTC)


def test_value_without_timezone_is_taken_in_the_implicit_one():
    assert equal(Date(2020, 1, 1), Date(2020, 1, 1, HOUR), PLAIN, HOUR)
    assert less(Date(2020, 1, 1, HOUR), Date(2020, 1, 1), PLAIN, UTC)


def test_year_before_christ_is_before():
    assert less(DateTime(-1, 12, 31), DateTime(1, 1, 1), PLAIN, UTC)
    assert instant(DateTime(1, 1, 1), UTC) - instant(DateTime(-1, 12, 31), UTC) == 86_400_000_000


@pytest.mark.parametrize(
    ("a", "b"),
    [(GregorianYear(2020), GregorianYear(2021)), (Duration(1, 0), Duration(2, 0)), (QName("u", "a"),) * 2],
)
def test_types_without_order_are_incomparable(a, b):
    with pytest.raises(Incomparable):
        less(a, b, PLAIN, UTC)


def test_collation_decides_on_strings():
    html = find_collation(HTML_ASCII)
    assert equal("A", "a", html)
    assert not less("B", "a", html)


def test_empty_sorts_first_then_nan_then_numbers():
    keys = [1, None, float("nan"), -1]
    ordered = sort_sequences(keys, lambda key: [] if key is None else [key], PLAIN, UTC, lambda: None)
    assert ordered[0] is None
    assert ordered[1] != ordered[1]
    assert ordered[2:] == [-1, 1]
    assert order(None, 1) < 0 < order(1, float("nan"))


def test_sorting_incomparable_keys_is_a_type_error():
    with pytest.raises(QueryEvaluationError) as caught:
        sort_sequences([1, "a"], lambda key: [key], PLAIN, UTC, lambda: None)
    assert caught.value.code == "XPTY0004"


def test_deep_equal_looks_into_maps_and_arrays():
    def same(a, b):
        return deep_equal(a, b, PLAIN, UTC, lambda: None)

    assert same([XMap([(1, [XArray([[1], [2, 3]])])])], [XMap([(1.0, [XArray([[1.0], [2, 3]])])])])
    assert not same([XArray([[1], [2]])], [XArray([[1, 2]])])
    assert not same([1], ["1"])
    assert same([float("nan")], [to_float(float("nan"))])


@given(st.integers(-3_000_000, 3_000_000))
def test_civil_days_there_and_back(days):
    assert days_from_civil(*civil_from_days(days)) == days


@given(st.dates())
def test_civil_days_agree_with_the_calendar(day):
    assert civil_from_days(day.toordinal() - 719163) == (day.year, day.month, day.day)
