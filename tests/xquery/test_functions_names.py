"""Functions on names: the same answers and error codes as SaxonC."""

from __future__ import annotations

import pytest

from tests.xquery.oracle import saxon_says, we_say

EXPRESSIONS = [
    (
        'QName("u","p:l"), prefix-from-QName(QName("u","p:l")), local-name-from-QName(QName("u","p:l")), '
        'namespace-uri-from-QName(QName("","l")), resolve-QName("p:x",<p:a xmlns:p="v"/>), '
        'namespace-uri-for-prefix("p",<p:a xmlns:p="v"/>), sort(in-scope-prefixes(<p:a xmlns:p="v"/>))'
    ),
    'QName("","p:l")',
    'QName("u","1x")',
    'resolve-QName("q:x",<p:a xmlns:p="v"/>)',
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_answer_is_that_of_saxon(expression):
    assert we_say(expression) == saxon_says(expression)
