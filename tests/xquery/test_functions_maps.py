"""Functions on maps and arrays: the same answers and error codes as SaxonC."""

from __future__ import annotations

import pytest

from tests.xquery.oracle import saxon_says, we_say

EXPRESSIONS = [
    (
        'map:merge((map{1:"a"},map{1:"b",2:"c"})), '
        'map:merge((map{1:"a"},map{1:"b"}),map{"duplicates":"combine"}), '
        'map:merge((map{1:"a"},map{1:"b"}),map{"duplicates":"use-last"}), map:size(map{}), '
        'map:contains(map{1:2},1.0), map:get(map{"a":1},"b"), map:put(map{1:2},1,3), '
        "map:remove(map{1:2,3:4},1), map:find([map{1:2},map{1:map{1:3}}],1)"
    ),
    'map:merge((map{1:"a"},map{1:"b"}),map{"duplicates":"reject"})',
    (
        'map:contains(map{xs:double("NaN"):1},xs:float("NaN")), '
        'map{xs:date("2020-01-01"):1}(xs:date("2020-01-01Z")), map{1:2}(true()), '
        'map:contains(map{xs:hexBinary("00"):1},xs:base64Binary("AA==")), map:keys(map{"a":1}), '
        "map:for-each(map{1:2},function($k,$v){$k+$v}), map:entry(1,(2,3))"
    ),
    (
        'array:get([1,2],2), array:put([1,2],1,"x"), array:append([1],(2,3)), array:subarray([1,2,3],2), '
        'array:subarray([1,2,3],2,1), array:remove([1,2,3],(1,3)), array:insert-before([1],2,"z"), '
        "array:head([1,2]), array:tail([1,2]), array:reverse([1,2,(3,4)]), array:join(([1],[2,3])), "
        "array:flatten([1,[2,[3]],(4,5)]), array:size([])"
    ),
    "array:get([1],2)",
    "array:subarray([1,2],1,5)",
    "array:subarray([1,2],1,-1)",
    "array:head([])",
    (
        "array:for-each([1,2],function($x){$x+1}), array:filter([1,2,3],function($x){$x>1}), "
        'array:fold-left([1,2],0,function($a,$b){$a+$b}), array:fold-right([1,2],"",concat#2), '
        "array:for-each-pair([1,2],[3],function($a,$b){$a*$b}), array:sort([3,1,2]), "
        'array:sort(["b","A"],"http://www.w3.org/2005/xpath-functions/collation/html-ascii-case-ins'
        'ensitive"), '
        "array:sort([1,-2],(),abs#1)"
    ),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_answer_is_that_of_saxon(expression):
    assert we_say(expression) == saxon_says(expression)
