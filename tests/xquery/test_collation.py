"""Collations: codepoints, HTML's ASCII, and the Unicode Collation Algorithm with its parameters."""

from __future__ import annotations

import pytest

from clacks.common.errors import QueryEvaluationError
from clacks.xquery.collation import CODEPOINT, HTML_ASCII, UCA, find_collation


def uca(**options):
    return find_collation(UCA + "?" + ";".join(f"{name}={value}" for name, value in options.items()))


def test_codepoint_collation_sorts_by_code_points():
    assert sorted(["b", "a", "B", "é"], key=find_collation(CODEPOINT).key) == ["B", "a", "b", "é"]


def test_html_collation_folds_ascii_only():
    collation = find_collation(HTML_ASCII)
    assert collation.compare("ABC", "abc") == 0
    assert collation.compare("É", "é") != 0
    assert collation.compare("\u212a", "k") != 0
    assert collation.find("xABCx", "bc") == (2, 4)
    assert collation.starts_with("Abc", "aB")
    assert collation.ends_with("Abc", "BC")


def test_unicode_collation_sorts_letters_before_case_and_accents():
    words = ["zebra", "Éa", "éléonore", "eb", "ab", "A", "a", "B", "co-op", "coop"]
    assert sorted(words, key=uca(lang="en").key) == [
        "a", "A", "ab", "B", "co-op", "coop", "Éa", "eb", "éléonore", "zebra",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "a", "b", "result"),
    [
        ({"strength": "primary"}, "abc", "ÀBÇ", 0),
        ({"strength": "secondary"}, "abc", "ABC", 0),
        ({"strength": "secondary"}, "abc", "abç", -1),
        ({"strength": "tertiary"}, "abc", "ABC", -1),
        ({"strength": "primary"}, "strasse", "Straße", 0),
        ({"strength": "identical"}, "a\u0301", "á", 0),
        ({"alternate": "blanked"}, "a-b", "ab", 0),
        ({"alternate": "shifted"}, "a-b", "ab", 0),
        ({"alternate": "shifted", "strength": "quaternary"}, "a-b", "ab", -1),
        ({"alternate": "non-ignorable"}, "a-b", "ab", -1),
        ({"alternate": "shifted", "maxVariable": "space"}, "a-b", "ab", -1),
        ({"alternate": "shifted", "maxVariable": "currency"}, "a$b", "ab", 0),
        ({"numeric": "yes"}, "a10", "a9", 1),
        ({"numeric": "yes"}, "a٠١٠", "a9", 1),
        ({"numeric": "no"}, "a10", "a9", -1),
        ({"caseFirst": "upper"}, "a", "A", 1),
        ({"caseFirst": "lower"}, "a", "A", -1),
        ({"caseLevel": "yes", "strength": "primary"}, "a", "A", -1),
        ({"caseLevel": "yes", "strength": "primary"}, "a", "á", 0),
        ({"backwards": "yes", "strength": "secondary"}, "coté", "côte", 1),
        ({"backwards": "no", "strength": "secondary"}, "coté", "côte", -1),
    ],
)
def test_parameters_of_the_unicode_collation(options, a, b, result):
    assert uca(**options).compare(a, b) == result


def test_characters_outside_the_table_sort_by_code_points_after_letters():
    assert sorted(["\u4e01", "\u4e00", "z", "\U0001f468"], key=uca().key)[0] in ("\U0001f468", "z")
    assert uca().compare("\u4e00", "\u4e01") == -1
    assert uca().compare("z", "\u4e00") == -1


def test_searching_ignores_what_the_strength_ignores_and_finds_places_in_the_text():
    primary = uca(strength="primary")
    assert primary.find("xx Straße yy", "STRASSE") == (3, 9)
    # The shortest match (F&O 3.1, 5.5): the accent does not count at this strength.
    assert primary.find("e\u0301tude", "E") == (0, 1)
    assert primary.find("x\u00e9tude", "e\u0301t") == (1, 3)
    assert primary.find("abc", "d") is None
    assert primary.find("abc", "") == (0, 0)
    assert uca(strength="primary", alternate="blanked").contains("a-b-c", "bc")
    assert primary.starts_with("Éa", "e")
    assert primary.ends_with("aÉ", "e")
    assert not primary.ends_with("aÉ", "a")


@pytest.mark.parametrize(
    "parameter",
    [
        "strength=9",
        "alternate=x",
        "lang=tlh",
        "caseFirst=x",
        "numeric=2",
        "reorder=Grek",
        "foo=bar",
        "version=99",
    ],
)
def test_unsupported_parameter_falls_back_unless_forbidden(parameter):
    assert find_collation(f"{UCA}?{parameter}").compare("a", "b") == -1
    with pytest.raises(QueryEvaluationError) as caught:
        find_collation(f"{UCA}?fallback=no;{parameter}")
    assert caught.value.code == "FOCH0002"


def test_unknown_collation_is_refused_and_a_relative_one_resolved():
    with pytest.raises(QueryEvaluationError) as caught:
        find_collation("http://nowhere/collation")
    assert caught.value.code == "FOCH0002"
    assert find_collation("html-ascii-case-insensitive", CODEPOINT).uri == HTML_ASCII
