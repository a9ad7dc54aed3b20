"""Functions on URIs: the same answers and error codes as SaxonC."""

from __future__ import annotations

import pytest

from tests.xquery.oracle import saxon_says, we_say

EXPRESSIONS = [
    'resolve-uri("b","c")',
    (
        'encode-for-uri("http://a b/é~%"), iri-to-uri("http://a b/é%20<>"), '
        'escape-html-uri("javascript:if (a) é"), encode-for-uri(())'
    ),
    (
        'resolve-uri("b","http://a/c/d"), resolve-uri("#f","http://a/c?q"), '
        'resolve-uri("./g/../h","http://a/b/c")'
    ),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_answer_is_that_of_saxon(expression):
    assert we_say(expression) == saxon_says(expression)
