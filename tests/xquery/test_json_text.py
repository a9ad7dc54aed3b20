"""Reading and escaping JSON text: what RFC 8259 allows, nothing more."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.errors import QueryBudgetExceeded, QueryEvaluationError
from clacks.xquery import compile_query
from clacks.xquery.budget import Meter, QueryBudget
from clacks.xquery.json_text import escape_json, read_json, unescape_json

# Characters that XML lacks become U+FFFD.
TEXTS = st.text(
    st.characters(min_codepoint=32, exclude_characters="\ufffe\uffff", exclude_categories=["Cs"]), max_size=8
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def parsed(text, options="map { }"):
    body = f"serialize(parse-json($text, {options}), map {{ 'method': 'json' }})"
    return compile_query(f"declare variable $text external; {body}").evaluate(None, {"text": text})[0]


@given(VALUES)
def test_text_of_python_is_read_as_python_reads_it(value):
    text = json.dumps(value)
    assert json.loads(parsed(text)) == value
    assert json.loads(parsed(json.dumps(value, ensure_ascii=False, indent=2))) == value


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "nul", "tru e", "01", "+1", ".5", "1.", "1e", "0x1", "NaN", "Infinity", "'a'", '"a',
        '"\\x"', '"\\u12"', '"\t"', "[1,]", "[,1]", "[1 2]", "{", "{a:1}", '{"a" 1}', '{"a":1,}', "[1]]",
        "1 2", "[1]//c",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(text):
    with pytest.raises(QueryEvaluationError) as caught:
        parsed(text)
    assert caught.value.code == "FOJS0001"


def test_refusal_says_where_it_is():
    with pytest.raises(QueryEvaluationError, match="1"):
        parsed("[1, 2,, 3]")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("map{'duplicates': 'use-first'}", '{"a":1}'),
        ("map{'duplicates': 'use-last'}", '{"a":2}'),
        ("map{ }", '{"a":1}'),
    ],
)
def test_key_that_is_there_twice_is_for_the_caller_to_decide(options, text):
    assert parsed('{"a": 1, "a": 2}', options) == text


def test_key_that_is_there_twice_may_be_refused():
    with pytest.raises(QueryEvaluationError) as caught:
        parsed('{"a": 1, "a": 2}', "map{'duplicates': 'reject'}")
    assert caught.value.code == "FOJS0003"


@pytest.mark.parametrize(
    ("raw", "text"),
    [(r"\n\t\"\\\/", '\n\t"\\/'), (r"\u0041", "A"), (r"\ud83d\ude00", "\U0001f600"), ("é", "é")],
)
def test_escapes_become_characters(raw, text):
    assert unescape_json(raw) == text


@given(TEXTS)
def test_escaped_text_is_read_back(text):
    assert json.loads('"' + escape_json(text) + '"') == text


class Nothing:
    """A builder that keeps nothing."""

    def __getattr__(self, name):
        return lambda *args: None


def test_reading_is_paid_by_the_step():
    with pytest.raises(QueryBudgetExceeded):
        read_json("[" + "1," * 5000 + "1]", Nothing(), Meter(QueryBudget(steps=1000)))
