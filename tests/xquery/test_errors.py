"""Errors: W3C code, line and column, source."""

from __future__ import annotations

import pytest
from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError, QueryEvaluationError, QuerySyntaxError
from clacks.xquery import compile_query


@pytest.mark.parametrize(
    ("query", "code", "line", "column"),
    [
        ("1 +", "XPST0003", 1, 4),
        ("let $x := 1\nreturn $y", "XPST0008", 2, 8),
        ("1,\n  foo(2)", "XPST0017", 2, 3),
        ("1,\n\n local:f(2)", "XPST0017", 3, 2),
        ("/p:a", "XPST0081", 1, 2),
        ("declare namespace a = 'u';\ndeclare namespace a = 'v'; 1", "XQST0033", 2, 19),
        ("<a>\n<b></c></a>", "XQST0118", 2, 6),
        ("<a>\n  <b x='1' x='2'/></a>", "XQST0040", 2, 12),
        ("for $x in (1, 2)\ngroup by $y\nreturn $x", "XQST0094", 2, 10),
        ("'abc", "XPST0003", 1, 1),
        ("1 (: no end", "XPST0003", 1, 3),
        ("import module namespace m = 'urn:none'; 1", "XQST0059", 1, 8),
        ("import schema 'urn:x'; 1", "XQST0009", 1, 8),
        ("validate { <a/> }", "XQST0075", 1, 1),
        ("declare option output:x 'y'; 1", "XPST0081", 1, 16),
        ("xquery version '9.9'; 1", "XQST0031", 1, 16),
        ("1 eq 2 eq 3", "XPST0003", 1, 8),
        ("declare function local:f($a, $a) { 1 }; 1", "XQST0039", 1, 30),
    ],
)
def test_static_error_says_code_line_and_column(query, code, line, column):
    with pytest.raises(QuerySyntaxError) as caught:
        compile_query(query)
    error = caught.value
    assert (error.code, error.line, error.column) == (code, line, column)
    assert error.source == query


@pytest.mark.parametrize(
    ("query", "code", "line", "column"),
    [
        ("let $x := 'a'\nreturn\n  $x + 1", "XPTY0004", 3, 6),
        ("1,\nxs:integer('x')", "FORG0001", 2, 1),
        ("1 div 0", "FOAR0001", 1, 3),
        ("declare function local:f($a as xs:integer) { $a };\n\n   local:f('x')", "XPTY0004", 3, 4),
        (
            "declare function local:f($a) {\n  error(xs:QName('local:bad'), 'no')\n};\nlocal:f(1)",
            "Q{%s}bad",
            2,
            3,
        ),
        ("<a>{1,\n attribute b {1}}</a>", "XQTY0024", 1, 1),
        ("(1, 2)[\n'a' < 1]", "XPTY0004", 2, 5),
        ("map{'a': 1,\n'a': 2}", "XQDY0137", 1, 1),
    ],
)
def test_dynamic_error_says_where_in_the_text_it_arose(query, code, line, column):
    with pytest.raises(QueryEvaluationError) as caught:
        compile_query(query).evaluate(None)
    error = caught.value
    assert error.code == code.replace("%s", "http://www.w3.org/2005/xquery-local-functions")
    assert (error.line, error.column) == (line, column)


def test_excerpt_shows_a_caret_below_the_place():
    with pytest.raises(QueryError) as caught:
        compile_query("let $x := 1\nreturn $y + 1")
    assert caught.value.excerpt() == "return $y + 1\n       ^"


def test_error_inside_a_library_module_shows_that_module():
    library = "module namespace m = 'urn:m';\ndeclare function m:f() {\n  1 div 0 };"
    query = compile_query("import module namespace m = 'urn:m'; m:f()", modules={"urn:m": library})
    with pytest.raises(QueryEvaluationError) as caught:
        query.evaluate(None)
    assert (caught.value.line, caught.value.column) == (3, 5)
    assert caught.value.source == library


def test_error_object_and_description_reach_the_caller():
    with pytest.raises(QueryEvaluationError) as caught:
        compile_query("error(QName('urn:e', 'e:code'), 'text', (1, 'a'))").evaluate(None)
    error = caught.value
    assert (error.code, error.reason, list(error.value)) == ("Q{urn:e}code", "text", [1, "a"])


def test_catch_binds_code_description_value_and_place():
    query = (
        "declare namespace e = 'urn:e';\ntry { error(xs:QName('e:x'), 'text', 42) }\n"
        "catch err:* { 'wrong' }\ncatch e:x { $err:code, $err:description, $err:value, "
        "$err:line-number, $err:column-number }"
    )
    code, *rest = compile_query(query).evaluate(None)
    assert (code.uri, code.qname) == ("urn:e", "e:x")
    assert rest == ["text", 42, 2, 7]


@pytest.mark.parametrize(
    "query",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "<a>" * 10_000 + "</a>" * 10_000,
        "[" * 5_000 + "]" * 5_000,
        "-" * 10_000 + "1",
        "function() {" * 3_000 + "}" * 3_000,
        "if (1) then " * 5_000 + "1" + " else 2" * 5_000,
    ],
)
def test_deeply_nested_text_is_refused(query):
    with pytest.raises(QueryBudgetExceeded):
        compile_query(query)


@pytest.mark.slow
def test_query_of_a_megabyte_compiles_or_is_refused_in_its_time():
    assert compile_query("'" + "x" * 1_000_000 + "'").evaluate(None) == ["x" * 1_000_000]
    with pytest.raises(QueryBudgetExceeded):
        compile_query("1, " * 1_000_000 + "1")


def test_lazily_read_document_is_evaluated_only_where_the_query_looks():
    broken = etree.XML("<a><b>x</b><c>1</c></a>")
    assert compile_query("number(/a/c)").evaluate(broken) == [1.0]
