"""Functions on JSON: the same answers and error codes as SaxonC."""

from __future__ import annotations

import pytest

from tests.xquery.oracle import saxon_says, we_say

EXPRESSIONS = [
    (
        'parse-json("[1,2.5e3,""a\\u00e9\\n"",null,true,{""k"":[]}]"), parse-json("{""a"":1,""a"":2}"), '
        'parse-json("{""a"":1,""a"":2}",map{"duplicates":"use-last"}), '
        'parse-json("""\\\\\\t\\u0000""",map{"escape":true()}), '
        'parse-json("""\\u0000""",map{"fallback":function($s){"<"||$s||">"}}), parse-json("1")'
    ),
    'parse-json("{""a"":1,""a"":2}",map{"duplicates":"reject"})',
    'parse-json("[1,]")',
    'parse-json("01")',
    'parse-json("{a:1}")',
    "xml-to-json(<a/>)",
    'xml-to-json(<boolean xmlns="http://www.w3.org/2005/xpath-functions">maybe</boolean>)',
    'xml-to-json(json-to-xml("{""a"":[1e3,2.50,""x/\\t\\u0007é"",null,true]}"))',
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_answer_is_that_of_saxon(expression):
    assert we_say(expression) == saxon_says(expression)
