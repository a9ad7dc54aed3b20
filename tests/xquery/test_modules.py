"""Library modules: import, visibility, linking."""

from __future__ import annotations

import pytest

from clacks.common.errors import QuerySyntaxError
from clacks.xquery import compile_query

MATHS = """module namespace m = "urn:m";
declare variable $m:two := 2;
declare %private function m:hidden($n) { $n };
declare function m:double($n) { $m:two * m:hidden($n) };"""


def run(query, **modules):
    return compile_query(query, modules={f"urn:{k}": v for k, v in modules.items()}).evaluate(None)


def test_functions_and_variables_of_a_module_are_imported():
    assert run("import module namespace x = 'urn:m'; x:double(21) + $x:two", m=MATHS) == [44]


def test_private_function_is_not_seen_outside():
    with pytest.raises(QuerySyntaxError) as caught:
        run("import module namespace m = 'urn:m'; m:hidden(1)", m=MATHS)
    assert caught.value.code == "XPST0017"


def test_modules_may_import_each_other():
    even = (
        "module namespace e = 'urn:e'; import module namespace o = 'urn:o';"
        "declare function e:even($n) { $n = 0 or o:odd($n - 1) };"
    )
    odd = (
        "module namespace o = 'urn:o'; import module namespace e = 'urn:e';"
        "declare function o:odd($n) { $n != 0 and e:even($n - 1) };"
    )
    assert run("import module namespace e = 'urn:e'; e:even(10), e:even(7)", e=even, o=odd) == [True, False]


def test_imports_of_an_imported_module_are_not_visible():
    outer = (
        "module namespace q = 'urn:q'; import module namespace m = 'urn:m'; declare function q:f() { "
        "m:double(2) };"
    )
    query = "import module namespace q = 'urn:q'; declare namespace m = 'urn:m'; q:f(){}"
    assert run(query.replace("{}", ""), q=outer, m=MATHS) == [4]
    with pytest.raises(QuerySyntaxError) as caught:
        run(query.replace("{}", ", m:double(1)"), q=outer, m=MATHS)
    assert caught.value.code == "XPST0017"


def test_several_texts_of_one_namespace_are_one_library():
    parts = ["module namespace p = 'urn:p'; declare function p:a() { p:b() };",
             "module namespace p = 'urn:p'; declare function p:b() { 'b' };"]  # fmt: skip
    parts[0] = parts[0].replace("; declare", "; import module 'urn:p'; declare", 1)
    assert run("import module namespace p = 'urn:p'; p:a()", p=parts) == ["b"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("import module namespace m = 'urn:none'; 1", "XQST0059"),
        ("import module namespace m = 'urn:m'; import module namespace n = 'urn:m'; 1", "XQST0047"),
        ("import module namespace m = ''; 1", "XQST0088"),
        ("import module namespace m = 'urn:m'; declare function m:double($n) { 1 }; 1", "XQST0034"),
    ],
)
def test_import_is_refused_with_its_code(query, code):
    with pytest.raises(QuerySyntaxError) as caught:
        run(query, m=MATHS)
    assert caught.value.code == code


def test_module_of_another_namespace_is_refused():
    with pytest.raises(QuerySyntaxError) as caught:
        run("import module namespace z = 'urn:z'; 1", z=MATHS)
    assert caught.value.code == "XQST0059"


def test_declaration_outside_the_namespace_of_its_module_is_refused():
    with pytest.raises(QuerySyntaxError) as caught:
        run(
            "import module namespace z = 'urn:z'; 1",
            z="module namespace z = 'urn:z'; declare variable $a := 1;",
        )
    assert caught.value.code == "XQST0048"
