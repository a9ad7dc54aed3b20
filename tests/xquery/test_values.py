"""Atomic values as strings, and numbers out of strings."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from elementpath.datatypes import AnyURI, Float, QName, UntypedAtomic
from hypothesis import given
from hypothesis import strategies as st

from clacks.xquery.values import double_of, double_text, float_text, single, string_of, to_float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e6, "1.0E6"), (999999.0, "999999"), (1e-6, "0.000001"), (1e-7, "1.0E-7"),
        (123456.789, "123456.789"),
        (2.0**-24, "5.960464477539063E-8"),
        (-0.0, "-0"), (0.0, "0"), (5e-324, "5.0E-324"), (1.5e300, "1.5E300"), (math.inf, "INF"),
        (-math.inf, "-INF"), (math.nan, "NaN"), (Decimal("1.50"), "1.5"), (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"), (True, "true"), (12, "12"), ("x", "x"), (UntypedAtomic("u"), "u"),
        (AnyURI("http://a"), "http://a"), (QName("u", "p:l"), "p:l"), (to_float(0.1), "0.1"),
        (to_float(16777216.0), "1.6777216E7"), (to_float(1e-40), "1.0E-40"), (to_float(1e39), "INF"),
    ],
)  # fmt: skip
def test_lexical_form(value, text):
    assert string_of(value) == text


@given(st.floats(allow_nan=False))
def test_double_text_reads_back_as_the_same_double(value):
    assert double_of(double_text(value)) == value


@given(st.floats(allow_nan=False, width=32))
def test_float_text_reads_back_as_the_same_float(value):
    assert single(double_of(float_text(value))) == value


@pytest.mark.parametrize("text", ["", "1_0", "0x1", "infinity", "nan", "inf", "1e", ".", "1 2", "\u0661"])
def test_what_is_no_double_is_refused(text):
    with pytest.raises(ValueError):
        double_of(text)


@pytest.mark.parametrize(
    ("text", "value"), [(" 1.5e3\n", 1500.0), ("+INF", math.inf), (".5", 0.5), ("5.", 5.0)]
)
def test_doubles_are_read_by_xsd(text, value):
    assert double_of(text) == value


def test_float_holds_a_number_of_thirty_two_bits():
    value = to_float(0.1)
    assert isinstance(value, Float)
    assert float(value) == 0.10000000149011612
