"""Functions on numbers: the same answers and error codes as SaxonC."""

from __future__ import annotations

import pytest

from tests.xquery.oracle import saxon_says, we_say

EXPRESSIONS = [
    (
        "abs(-1), abs(-1.5), abs(-1.5e0), abs(xs:float(-2)), abs(-0e0), ceiling(1.2), ceiling(-1.2), "
        "ceiling(-0.5e0), floor(1.7), floor(-1.2e0), ceiling(xs:byte(5))"
    ),
    (
        "round-half-to-even(0.5), round-half-to-even(1.5), round-half-to-even(2.5), "
        "round-half-to-even(3.567812e+3,2), round-half-to-even(4.7564e-3,2), "
        "round-half-to-even(35612.25,-2), round-half-to-even(-2.5), round-half-to-even(150,-2), "
        "round-half-to-even(1.005e0,2)"
    ),
    (
        'number("1e3"), number(" 12 "), number("abc"), number(true()), number(()), '
        'number(xs:date("2020-01-01")), number("INF"), number("+INF"), number("0x1"), number("1_000")'
    ),
    (
        'format-integer(123,"0000"), format-integer(123,"w"), format-integer(21,"1;o"), '
        'format-integer(14,"Ww;o(-e)"), format-integer(7,"a"), format-integer(27,"A"), '
        'format-integer(57,"I"), format-integer(1234567,"#,##0"), format-integer(-5,"01"), '
        'format-integer((),"1"), format-integer(0,"I"), format-integer(0,"a")'
    ),
    'format-integer(1234,"#;##1;"), format-integer(1,"")',
    (
        'format-integer(12,"١"), format-integer(1500000,"0\'000\'000"), format-integer(1234567,"#,#00"), '
        'format-integer(100,"w;o"), format-integer(1000001,"Ww"), format-integer(4999,"i"), '
        'format-integer(12,"#"), format-integer(5,"0a")'
    ),
    (
        'format-number(12345.6,"#,###.00"), format-number(12345678.9,"9,999.99"), '
        'format-number(123.9,"9999"), format-number(0.14,"01%"), format-number(-6,"000"), '
        'format-number(1234.5678e0,"00.000e0"), format-number(0.234,"0.0e0"), '
        'format-number(-1,"#.##;(#.##)")'
    ),
    (
        'format-number(0,"#"), format-number(0,"#.#"), format-number(0,".#"), format-number(0.5,"#.0"), '
        'format-number(1E30,"#,##0"), format-number(1.5E-5,"0.0######"), '
        'format-number(xs:double("NaN"),"0"), format-number(-1 div 0e0,"0"), format-number((),"0.0"), '
        'format-number(12.5,"0"), format-number(13.5,"0"), format-number(0.00001,"#%")'
    ),
    (
        'format-number(1234567.891,"#,##0.00#,###"), format-number(1234567,"0,00,000"), '
        'format-number(5,"0;0;0")'
    ),
    'format-number(5,"0.0.0")',
    'format-number(5,"#0#")',
    'format-number(5,"0,.0")',
    (
        'format-number(123456789012345678901234567890,"#,##0"), format-number(9.99e0,"0e0"), '
        'format-number(0,"0.00e00"), format-number(1e-10,"0.0e0"), format-number(.5,"%0.0"), '
        'format-number(5,"a0b"), format-number(5,"0.0‰")'
    ),
    (
        "math:pow(2,10), math:pow(0e0,-1), math:pow(-0e0,-1), math:pow(-1,0.5e0), math:pow((),2), "
        "math:exp(1), math:exp(1000), math:log(0), math:log(-1), math:log10(1000), math:sqrt(-1), "
        "math:sqrt(2), math:atan2(0e0,-1), math:exp10(2), math:sin(0), math:asin(2)"
    ),
    (
        "round(2.5), round(2.4999), round(-2.5), round(1.125,2), round(8452,-2), round(3.1415e0,2), "
        "round(-0.2e0), round(1e300)"
    ),
    'format-number(123456789012345678901234567890,"#,##0"), abs(-12345678901234567890123456789012345)',
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_answer_is_that_of_saxon(expression):
    assert we_say(expression) == saxon_says(expression)
