"""Functions that are left out say so with the codes made for it, when they are called and not before."""

from __future__ import annotations

import pytest

from clacks.common.errors import QueryError
from clacks.xquery import compile_query


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("load-xquery-module('urn:m')", "FOQM0006"),
        ("load-xquery-module('urn:m', map { })", "FOQM0006"),
        ("transform(map { })", "FOXT0004"),
    ],
)
def test_function_that_is_left_out_raises_its_code(call, code):
    with pytest.raises(QueryError) as caught:
        compile_query(call).evaluate(None)
    assert caught.value.code == code
    assert compile_query(f"if (false()) then {call} else 1").evaluate(None) == [1]
    assert compile_query(f"try {{ {call} }} catch err:{code} {{ 'caught' }}").evaluate(None) == ["caught"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("import schema 'urn:s'; 1", "XQST0009"),
        ("validate { <a/> }", "XQST0075"),
        ("validate lax { <a/> }", "XQST0075"),
    ],
)
def test_expression_that_is_left_out_is_refused_with_its_code(query, code):
    with pytest.raises(QueryError) as caught:
        compile_query(query)
    assert caught.value.code == code
