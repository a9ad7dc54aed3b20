"""fn:format-integer: digits of all scripts, letters, Roman numerals, words; ordinals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.errors import QueryEvaluationError
from clacks.xquery.format_integer import format_integer, group_digits, ordinal_suffix, spell
from tests.xquery.oracle import saxon_says, we_say


@pytest.mark.parametrize(
    ("value", "picture", "text"),
    [
        (123, "1", "123"),
        (7, "001", "007"),
        (-7, "001", "-007"),
        (1234567, "#,##0", "1,234,567"),
        (1234567, "#.###.##0", "1.234.567"),
        (12345678, "##,##,000", "123,45,678"),
        (1234567, "0,0:00", "1234,5:67"),
        (15, "#٠", "١٥"),
        (1, "a", "a"),
        (26, "a", "z"),
        (27, "A", "AA"),
        (702, "a", "zz"),
        (703, "a", "aaa"),
        (0, "a", "0"),
        (-3, "a", "-c"),
        (1994, "I", "MCMXCIV"),
        (4, "i", "iv"),
        (0, "I", "0"),
        (15, "w", "fifteen"),
        (123, "Ww", "One Hundred and Twenty-Three"),
        (1000001, "w", "one million and one"),
        (21, "W;o", "TWENTY-FIRST"),
        (12, "w;o", "twelfth"),
        (30, "w;o", "thirtieth"),
        (1, "1;o", "1st"),
        (112, "1;o", "112th"),
        (23, "1;o(-e)", "23rd"),
        (5, "1;c", "5"),
    ],
)
def test_integer_is_written_by_its_picture(value, picture, text):
    assert format_integer(value, picture) == text


@pytest.mark.parametrize("picture", ["", ";o", "#", ",1", "1,", "1,,1", "0#", "1٠", "1;x", "1;oo"])
def test_picture_that_says_nothing_is_an_error(picture):
    with pytest.raises(QueryEvaluationError) as caught:
        format_integer(1, picture)
    assert caught.value.code == "FODF1310"


SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SCALES = "thousand million billion trillion quadrillion quintillion sextillion"
WORDS = {
    **{word: value for value, word in enumerate(SMALL.split(" "))},
    **{word: 10 * value for value, word in enumerate(TENS.split(" "), 2)},
}
POWERS = {word: 1000**power for power, word in enumerate(SCALES.split(" "), 1)}


@given(st.integers(0, 10**21 - 1))
def test_words_say_the_number(number):
    total = part = 0
    for word in spell(number).replace("-", " ").split():
        if word in POWERS:
            total, part = total + part * POWERS[word], 0
        elif word == "hundred":
            part *= 100
        elif word != "and":
            part += WORDS[word]
    assert total + part == number


def test_teens_are_no_first_second_third():
    assert [ordinal_suffix(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 111, 122)] == [
        "st", "nd", "rd", "th", "th", "th", "th", "st", "th", "nd",
    ]  # fmt: skip


def test_digits_are_grouped_at_places_or_regularly():
    assert group_digits("1234567", {3: ","}, 3) == "1,234,567"
    assert group_digits("1234567", {3: "."}, 0) == "1234.567"


@pytest.mark.slow
@pytest.mark.parametrize(
    "picture", ["1", "0001", "#,##0", "a", "A", "i", "I", "1;o", "#,##0;o", "١", "#'000"]
)
def test_saxon_writes_the_same(picture):
    literal = picture.replace("'", "''")
    body = f"(0 to 40, 99, 100, 110, 1999, 3999, 12345, -1, -1234) ! format-integer(., '{literal}')"
    assert we_say(body) == saxon_says(body)
