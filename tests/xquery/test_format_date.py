"""fn:format-dateTime and its kind: markers, widths, names, calendars, places."""

from __future__ import annotations

import pytest

from clacks.common.errors import QueryError
from clacks.xquery import compile_query
from tests.xquery.oracle import saxon_says, we_say

MOMENT = "xs:dateTime('2024-02-29T16:05:09.25+01:00')"


def written(picture, moment=MOMENT, more=""):
    return compile_query(f"format-dateTime({moment}, '{picture}'{more})").evaluate(None)[0]


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        ("[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z]", "2024-02-29T16:05:09.250+01:00"),
        ("[D1o] [MNn] [Y]", "29th February 2024"),
        ("[FNn,*-3], [D]. [MN,*-3]", "Thu, 29. FEB"),
        ("[h]:[m01] [PN] [z]", "4:05 PM GMT+01:00"),
        ("[Y,2-2]/[M]/[D]", "24/2/29"),
        ("[YI] [Dw] [MWw]", "MMXXIV twenty-nine Two"),
        ("[d] [W] [w] [F1]", "60 9 5 4"),
        ("[[[Y]]]", "[2024]"),
        ("[f,1-1] [f01] [s,3-3]", "2 25 009"),
        ("[Z0] [Z00:00t] [Z0000]", "+1 +01:00 +0100"),
        ("[E]", "AD"),
        ("[ H 0 1 ]", "16"),
    ],
)
def test_moment_is_written_by_its_picture(picture, text):
    assert written(picture) == text


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        ("[Y", "FOFD1340"),
        ("Y]", "FOFD1340"),
        ("[x]", "FOFD1340"),
        ("[]", "FOFD1340"),
        ("[Y,3-1]", "FOFD1340"),
    ],
)
def test_wrong_picture_is_an_error(picture, code):
    with pytest.raises(QueryError) as caught:
        written(picture)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "call", ["format-date(xs:date('2024-02-29'), '[H]')", "format-time(xs:time('01:02:03'), '[D]')"]
)
def test_component_that_a_value_lacks_is_an_error(call):
    with pytest.raises(QueryError) as caught:
        compile_query(call).evaluate(None)
    assert caught.value.code == "FOFD1350"


def test_nothing_is_written_of_nothing():
    assert compile_query("format-dateTime((), '[Y]')").evaluate(None) == []


def test_other_languages_and_calendars_are_named_where_english_and_iso_stand_in():
    assert written("[MNn]", more=", 'xx', (), ()").endswith("February")
    assert written("[Y]", more=", 'en', 'ISO', ()") == "2024"


def test_place_moves_the_moment_into_its_timezone():
    assert written("[H01]:[m01] [Z]", more=", 'en', (), 'America/New_York'") == "10:05 -05:00"


@pytest.mark.slow
@pytest.mark.parametrize(
    "picture",
    [
        "[Y0001]-[M01]-[D01]",
        "[D1o] [MNn] [Y]",
        "[H01]:[m01]:[s01]",
        "[h1]:[m01]",
        "[FNn,3-3] [d] [W]",
        "[Y,2-2]",
        "[f001]",
    ],
)
def test_saxon_writes_the_same(picture):
    moments = "(1 to 40) ! (xs:dateTime('2023-12-25T21:59:58.125') + . * xs:dayTimeDuration('P9DT7H31M1.5S'))"
    body = f"{moments} ! format-dateTime(., '{picture}')"
    assert we_say(body) == saxon_says(body)
