"""Functions that take functions: the same answers and error codes as SaxonC."""

from __future__ import annotations

import pytest

from tests.xquery.oracle import saxon_says, we_say

EXPRESSIONS = [
    (
        "for-each(1 to 3,function($x){$x*2}), filter(1 to 5,function($x){$x mod 2=0}), "
        "fold-left(1 to 4,0,function($a,$b){$a - $b}), fold-right(1 to 4,0,function($a,$b){$a - $b}), "
        'for-each-pair(1 to 3,("a","b"),concat#2), apply(concat#3,["a","b","c"]), sort((3,1,2)), '
        'sort(("b","a",())), sort((1,-2,3),(),abs#1), sort(([2,1],[1,2],[1]))'
    ),
    'apply(concat#3,["a"])',
    'sort((1,"a"))',
    "filter((1,2),function($x){$x})",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_answer_is_that_of_saxon(expression):
    assert we_say(expression) == saxon_says(expression)
