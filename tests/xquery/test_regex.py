"""Regular expressions: XPath's grammar, nothing more, and bounded in time."""

from __future__ import annotations

import contextlib

import pytest

from clacks.common.errors import QueryBudgetExceeded, QueryEvaluationError
from clacks.xquery.budget import BROKER_BUDGET, DEFAULT, Meter, QueryBudget
from clacks.xquery.regex import compile_pattern, expand_replacement
from tests.costs import cpu_seconds
from tests.xquery.oracle import saxon_says, we_say


def meter():
    return Meter(QueryBudget(steps=10**8, seconds=10))


def matches(pattern, text, flags=""):
    return compile_pattern(pattern, flags, meter(), text).search(text, meter())


def found(pattern, text, flags=""):
    return [f.spans for f in compile_pattern(pattern, flags, meter(), text).find_all(text, meter())]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"^[a-z-[aeiou]]+$", "xyz", "xaz"),
        (r"^[\d-[5]]$", "4", "5"),
        (r"^[a-c-[b-[b]]]+$", "abc", "d"),
        (r"^[^a-z-[b]]$", "1", "c"),
        (r"^\i\c*$", "élan-1", "1a"),
        (r"^\I$", "1", "a"),
        (r"^\C$", " ", "a"),
        (r"^\w+$", "aé1", "a-b"),
        (r"^\W$", "-", "a"),
        (r"^\s$", "\t", "\u00a0"),
        (r"^\d$", "٣", "a"),
        (r"^\p{Lu}\P{Lu}$", "Éa", "aA"),
        (r"^\p{IsGreek}$", "α", "a"),
        (r"^\P{IsBasicLatin}$", "é", "a"),
        (r"^[\p{L}\-_]+$", "a-é_", "1"),
        (r"^[-a]$", "-", "b"),
        (r"^[a-]$", "-", "b"),
        (r"^[^^]$", "a", "^"),
        (r"^(a|b)\1$", "aa", "ab"),
        (r"^(?:a|b)+?c$", "abc", "ad"),
        (r"^.$", "\U0001f600", "\n"),
        (r"^a{2,3}$", "aaa", "aaaa"),
        (r"^\$\^\.\-$", "$^.-", "a"),
        (r"a$", "ba", "a\n"),
    ],
)
def test_expression_matches_what_xpath_says(pattern, yes, no):
    assert matches(pattern, yes)
    assert not matches(pattern, no)


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "[", "]", "{", "}", "*", "+a", "a**", "a{2,1}", "a{x}", "[]", "[^]", "[b-a]", "[a-\\d]",
        "\\",
        "\\q", "\\p{Foo}", "\\pL", "(?=a)", "(?<n>a)", "(?i)a",
        "\\1", "(a\\1)", "[\\1]", "[a[b]", "a|*",
        "\\b",
        "[a-[b]c]", "\\x41", "\\u0041", "[[:alpha:]]",
    ],
)  # fmt: skip
def test_what_the_grammar_lacks_is_refused(pattern):
    with pytest.raises(QueryEvaluationError) as caught:
        compile_pattern(pattern, "", meter())
    assert caught.value.code == "FORX0002"


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "result"),
    [
        ("HELLO", "i", "hello", True),
        ("[A-Z-[IO]]", "i", "i", False),
        ("[A-Z-[IO]]", "i", "b", True),
        ("[^Q]", "i", "q", False),
        (r"\p{Lu}", "i", "a", False),
        ("[K]", "i", "\u212a", True),
        ("a.b", "s", "a\nb", True),
        ("a.b", "", "a\nb", False),
        ("^b$", "m", "a\nb\nc", True),
        ("^$", "m", "a\n", False),
        ("^$", "m", "a\n\nb", True),
        ("a b", "x", "ab", True),
        ("[ ]", "x", " ", True),
        ("a.b*", "q", "xa.b*x", True),
        ("A.B", "qi", "a.b", True),
    ],
)
def test_flags(pattern, flags, text, result):
    assert matches(pattern, text, flags) is result


def test_unknown_flag_is_refused():
    with pytest.raises(QueryEvaluationError) as caught:
        compile_pattern("a", "z", meter())
    assert caught.value.code == "FORX0001"


def test_places_are_counted_in_characters_not_bytes():
    assert found("(b)(c)?", "é\U0001f600b€bc") == [[(2, 3), (2, 3), (-1, -1)], [(4, 6), (4, 5), (5, 6)]]


def test_both_engines_give_the_same_places():
    linear = compile_pattern("(a+)(b)?", "", meter())
    backtracking = compile_pattern("(a+)(b)?(?:\\1{0})", "", meter())
    assert linear.linear
    assert not backtracking.linear
    text = "xaab aé ab"
    assert [f.spans for f in linear.find_all(text, meter())] == [
        f.spans for f in backtracking.find_all(text, meter())
    ]


def test_replacement_takes_as_many_digits_as_there_are_groups():
    assert expand_replacement("a$1b", 1) == ["a", 1, "b"]
    assert expand_replacement("$12", 12) == [12]
    assert expand_replacement("$12", 1) == [1, "2"]
    assert expand_replacement("$9", 1) == []


@pytest.mark.parametrize("replacement", ["$", "$x", "\\", "\\n"])
def test_stray_mark_in_a_replacement_is_refused(replacement):
    with pytest.raises(QueryEvaluationError) as caught:
        expand_replacement(replacement, 1)
    assert caught.value.code == "FORX0004"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 50_000 + "!"),
        ("(x+x+)+y", "x" * 50_000),
        ("(.*)(.*)(.*)(.*)(.*)[^a]", "a" * 20_000),
        ("(a|aa)+$", "a" * 50_000 + "!"),
    ],
)
def test_exponential_expression_is_linear(pattern, text):
    compiled = compile_pattern(pattern, "", Meter())
    assert not compiled.search(text, Meter())
    assert cpu_seconds(lambda: compiled.search(text, Meter())) < 0.5


@pytest.mark.parametrize("pattern", [r"(\w+)+\1$", r"(a*)*b\1", r"((a|b|ab)*)*\1!"])
def test_backtracking_ends_with_the_time_of_the_query(pattern):
    def search():
        spent = Meter(BROKER_BUDGET)
        with contextlib.suppress(QueryBudgetExceeded):
            compile_pattern(pattern, "", spent).search("a" * 30_000 + "?", spent)

    assert cpu_seconds(search) < 0.5


def test_meter_is_charged_for_the_worst_case():
    spent = Meter(DEFAULT)
    compile_pattern("[ab]*a[ab]{900}$", "", spent).search("ab" * 1000, spent)
    assert spent.steps > 50_000


CHOICES = [
    r"[\w-_]", r"[a-c-e]", r"\p{IsBasicLatin}+?", r"[\P{Lu}a]", r"(a)(b)?", r"\^", "[.]", "[$]", "é",
    r"\n", "k",    r"(x)\1", r"\c{1,2}", r"[À-ÿ]?", r"\S", "-", "#",
]  # fmt: skip


@pytest.mark.parametrize("first", CHOICES)
@pytest.mark.parametrize("second", ["", "a*?", r"\s", "|b", "{2,}"])
def test_replacing_is_as_in_saxon(first, second):
    literal = (first + second).replace("'", "''")
    for text in ("abc é-K k_", "xx yy", "aab^.$#é\nKk"):
        text = text.replace("\n", "&#10;")
        body = f"replace('{text}', '{literal}', '<$0>')"
        assert we_say(body) == saxon_says(body)
