"""fn:format-number: pictures, scaling, exponents, decimal formats."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from clacks.common.errors import QueryError
from clacks.xquery import compile_query
from clacks.xquery.format_number import format_number
from tests.xquery.oracle import saxon_says, we_say


@pytest.mark.parametrize(
    ("value", "picture", "text"),
    [
        (12345.6, "#,###.00", "12,345.60"),
        (12345678.9, "9,999.99", "12,345,678.90"),
        (123.9, "9999", "0124"),
        (0.14, "01%", "14%"),
        (0.14, "001‰", "140‰"),
        (-6, "000", "-006"),
        (-6, "000;(000)", "(006)"),
        (12.5, "0", "12"),
        (13.5, "0", "14"),
        (Decimal("2.5"), "0", "2"),
        (1234.5678, "00.000e0", "12.346e2"),
        (0.000123, "0.0e0", "1.2e-4"),
        (Decimal("1234567890123456789.987"), "#,##0.00", "1,234,567,890,123,456,789.99"),
        (10**30, "#,###", "1,000,000,000,000,000,000,000,000,000,000"),
        (0, "#.#", ".0"),
        (0.5, "#.#", ".5"),
        (0.5, "#.0", ".5"),
        (0, "0.00", "0.00"),
        (math.inf, "0", "Infinity"),
        (-math.inf, "0", "-Infinity"),
        (math.nan, "0", "NaN"),
        (5, "a0b", "a5b"),
        (1e100, "0", "1" + "0" * 100),
    ],
)
def test_number_is_written_by_its_picture(value, picture, text):
    assert format_number(value, picture, {}) == text


@pytest.mark.parametrize(
    "picture",
    [
        "",
        "x",
        "0;0;0",
        "0.0.0",
        "0,",
        ",,0",
        "0,,0",
        "0#",
        "#.#0",
        "0%%",
        "0%‰",
        "0e0e0",
        "0a0",
        "0e#",
        "0.,0",
    ],
)
def test_wrong_picture_is_an_error(picture):
    with pytest.raises(QueryError) as caught:
        format_number(1, picture, {})
    assert caught.value.code == "FODF1310"


def test_decimal_format_of_the_prolog_is_used():
    query = (
        "declare decimal-format de decimal-separator = ',' grouping-separator = '.' NaN = 'keine Zahl';"
        "declare default decimal-format minus-sign = '~';"
        "format-number(1234.5, '#.##0,00', 'de'), format-number(xs:double('NaN'), '0', 'de'),"
        " format-number(-1, '0')"
    )
    assert compile_query(query).evaluate(None) == ["1.234,50", "keine Zahl", "~1"]


def test_format_that_was_not_declared_is_an_error():
    with pytest.raises(QueryError) as caught:
        compile_query("format-number(1, '0', 'none')").evaluate(None)
    assert caught.value.code == "FODF1280"


@pytest.mark.slow
@pytest.mark.parametrize(
    "picture",
    [
        "0",
        "#",
        "#.#",
        "0.00",
        "#,##0.0#",
        "000.000",
        "0%",
        "#0.0‰",
        "0.0e0",
        "#,##,#0",
        "0;-0-",
        "$#,##0.00",
        "0.00e00",
    ],
)
def test_saxon_writes_the_same(picture):
    values = "(0, 1, -1, 0.5, 1.5, 2.5, -0.05, 1234.5678, 99.995, 1e10, 1.1e-5, xs:float(0.1), 1e0 div 3)"
    body = f"{values} ! format-number(., '{picture}')"
    assert we_say(body) == saxon_says(body)
