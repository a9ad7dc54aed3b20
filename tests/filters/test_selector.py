"""What a broker without XQuery can be told of a query; that it never drops what the query lets through."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from clacks.common.errors import QueryError
from clacks.filters.selector import MOST_CHARACTERS, necessary_selector
from clacks.xquery import compile_query

PROLOG = (
    "declare namespace f='http://www.gonicus.de/Events'; declare variable $a external;"
    "declare variable $b external; declare variable $withDefault external := 'x';"
    "declare variable $jmsThing external; declare variable $e-mail external; "
)
EVENT = etree.fromstring("<Event xmlns='http://www.gonicus.de/Events'><P><X>1</X></P></Event>")


def selector(text: str) -> str | None:
    return necessary_selector(compile_query(PROLOG + text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a = 'x'", "a = 'x'"),
        ("'x' eq $a", "a = 'x'"),
        ("$a != 'x'", "a <> 'x'"),
        ("$a = ('x', 'it''s')", "(a = 'x' OR a = 'it''s')"),
        ("$a = 'x' or $b = 'y'", "(a = 'x' OR b = 'y')"),
        ("$a = 'x' and //f:X", "a = 'x'"),
        ("starts-with($a, '50%_!')", "a LIKE '50!%!_!!%' ESCAPE '!'"),
        ("contains($a, 'x')", "a LIKE '%x%' ESCAPE '!'"),
        ("ends-with($a, 'x')", "a LIKE '%x' ESCAPE '!'"),
        ("not($a = 'x')", "(NOT (a = 'x') OR a IS NULL)"),
        ("/f:Event/f:P[$a = 'x'][f:X = '1']", "a = 'x'"),
        ("for $e in /f:Event/f:P where $a = 'x' return $e", "a = 'x'"),
        ("let $e := /f:Event return $e/f:P[f:X = '1' and $a = 'x']", "a = 'x'"),
        ("some $x in //f:X satisfies $x = '1' and $a = 'x'", "a = 'x'"),
        ("if ($a = 'x') then //f:X else ()", "a = 'x'"),
        ("exists(//f:X[$a = 'x'])", "a = 'x'"),
    ],
)
def test_what_is_necessary_of_properties_becomes_a_selector(text: str, expected: str) -> None:
    assert selector(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "//f:X = '1'",
        "$a = 'x' or //f:X",
        "not($a = 'x' and //f:X)",
        "every $x in //f:Y satisfies $a = 'x'",
        "if (//f:X) then $a = 'x' else true()",
        "$withDefault = 'x'",
        "$jmsThing = 'x'",
        "$e-mail = 'x'",
        "$a = 5",
        "$a = $b",
        "$a = //f:X",
        "$a != ('x', 'y')",
        "$a = 'ü'",
        "$a < 'x'",
        "contains($a, '')",
        "$a",
    ],
)
def test_what_is_not_surely_necessary_is_left_out(text: str) -> None:
    assert selector(text) is None


def test_a_selector_too_long_to_send_is_left_out() -> None:
    texts = ", ".join(f"'{number}'" for number in range(MOST_CHARACTERS // 10))
    assert selector(f"$a = ({texts})") is None


# -- the property: three-valued logic as JMS 3.8.1.2 defines it, written down once more, by hand

Answer = bool | None


def evaluate(text: str, properties: dict[str, object]) -> Answer:
    """Evaluate a selector of the forms that we write."""
    tokens = re.findall(r"'(?:[^']|'')*'|\w+|<>|[=()]", text)
    position = 0

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1]

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def either() -> Answer:
        found = both()
        while peek() == "OR":
            take()
            other = both()
            found = True if True in (found, other) else None if None in (found, other) else False
        return found

    def both() -> Answer:
        found = one()
        while peek() == "AND":
            take()
            other = one()
            found = False if False in (found, other) else None if None in (found, other) else True
        return found

    def one() -> Answer:
        word = take()
        if word == "NOT":
            found = one()
            return None if found is None else not found
        if word == "(":
            found = either()
            assert take() == ")"
            return found
        value = properties.get(word)
        sign = take()
        if sign == "IS":
            assert take() == "NULL"
            return value is None
        text = take()[1:-1].replace("''", "'")
        if sign == "LIKE":
            assert (take(), take()) == ("ESCAPE", "'!'")
            pattern = "".join(
                ".*" if part == "%" else "." if part == "_" else re.escape(part[-1])
                for part in re.findall(r"!.|.", text)
            )
            return None if value is None else isinstance(value, str) and bool(re.fullmatch(pattern, value))
        if not isinstance(value, str):
            return None if value is None else sign == "<>"
        return (value == text) == (sign == "=")

    found = either()
    assert position == len(tokens)
    return found


TEXTS = st.sampled_from(("x", "xy", "it's", "50%", "_", ""))
LEAVES = st.one_of(
    st.builds(
        lambda name, sign, text: f"${name} {sign} '{text}'",
        st.sampled_from("ab"),
        st.sampled_from(("=", "!=", "eq", "ne")),
        TEXTS.map(lambda text: text.replace("'", "''")),
    ),
    st.builds(
        lambda name, call, text: f"{call}(${name}, '{text}')",
        st.sampled_from("ab"),
        st.sampled_from(("starts-with", "ends-with", "contains")),
        TEXTS.map(lambda text: text.replace("'", "''")),
    ),
    st.sampled_from(("//f:X = '1'", "//f:X = '2'", "//f:Y", "true()", "$withDefault = 'x'")),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not({})".format, inner),
        st.builds("/f:Event/f:P[{}]".format, inner),
        st.builds("(for $e in /f:Event/f:P where {} return $e)".format, inner),
        st.builds("(if ({}) then {} else ())".format, inner, inner),
        st.builds("(some $e in //f:X satisfies {})".format, inner),
    ),
    max_leaves=6,
)
VALUES: tuple[object, ...] = ("x", "xy", "it's", "50% off", "", 5, None, ...)  # ...: not there


@given(CONDITIONS)
def test_no_message_is_refused_that_the_query_lets_through(text: str) -> None:
    query = compile_query(PROLOG + text)
    found = necessary_selector(query)
    if found is None:
        return
    for a, b in itertools.product(VALUES, VALUES):
        properties = {name: value for name, value in (("a", a), ("b", b)) if value is not ...}
        try:
            matches = query.matches(EVENT, properties)
        except QueryError:
            continue
        if matches:
            assert evaluate(found, properties) is True, (text, found, properties)
