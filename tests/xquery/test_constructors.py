"""Constructed nodes: content, namespaces, order, identity."""

from __future__ import annotations

import pytest
from lxml import etree

from clacks.common.errors import QueryError
from clacks.xquery import compile_query
from clacks.xquery.serialize import serialize


def xml(query, document=None):
    items = compile_query(query).sequence(document)
    return serialize(items, {"method": "xml", "omit-xml-declaration": True})


def run(query, document=None):
    return compile_query(query).evaluate(document)


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("<a>{1 + 2}it's (: text {'x'}</a>", "<a>3it's (: text x</a>"),
        ("<a> {1, 2} <b/> </a>", "<a>1 2<b/></a>"),
        ("declare boundary-space preserve; <a> <b/> </a>", "<a> <b/> </a>"),
        ("<a>{{ }}&lt;&#65;&#x42;<![CDATA[<&]]></a>", "<a>{ }&lt;AB&lt;&amp;</a>"),
        ("<a b='{1, 2}-{()}' c=\"&quot;''\"/>", "<a b=\"1 2-\" c=\"&quot;''\"/>"),
        ("<a><!--c--><?p d?>{<b/>, attribute c {1}}</a>", None),
        ("element {concat('a', 1)} {attribute {'b'} {2}, text {'x'}, comment {'c'}}",
         '<a1 b="2">x<!--c--></a1>'),
        ("document {<a/>, 'x'}", "<a/>x"),
        ("<a xmlns='u'><b xmlns=''/></a>", '<a xmlns="u"><b xmlns=""/></a>'),
        ("<p:a xmlns:p='u' p:b='1'>{element p:c {}}</p:a>", '<p:a xmlns:p="u" p:b="1"><p:c/></p:a>'),
        ("element e {namespace p {'u'}, attribute {QName('u', 'p:x')} {1}}", '<e xmlns:p="u" p:x="1"/>'),
        ("<a>{'x'}{'y', 'z'}{()}</a>", "<a>xy z</a>"),
        ("``[a `{1 + 1}` {b}]``", "a 2 {b}"),
        ("(# p:x any #) { 1 }", None),
    ],
)  # fmt: skip
def test_constructor_makes(query, result):
    if result is None:
        with pytest.raises(QueryError):
            xml(query)
    else:
        assert xml(query) == result


def test_copies_are_new_nodes_and_leave_the_document_alone():
    document = etree.XML("<r><a><b/></a></r>")
    query = (
        "let $a := /r/a let $c := <c>{$a}</c> return ($c/a is $a, $a/.. is /r, $c/a/.. is $c, count($c//b))"
    )
    assert run(query, document) == [False, True, True, 1]
    assert etree.tostring(document) == b"<r><a><b/></a></r>"


def test_nodes_of_several_trees_have_one_stable_order():
    query = "let $a := <a><x/><y/></a>, $b := <b><x/></b> return (($b/x, $a/y, $a/x) | ()) ! name(..)"
    found = run(query)
    assert sorted(found) == ["a", "a", "b"]
    assert found in (["a", "a", "b"], ["b", "a", "a"])


def test_steps_from_unordered_nodes_come_back_in_document_order_without_doubles():
    document = etree.XML("<r><a><x>1</x></a><b><x>2</x></b></r>")
    assert run("((/r/b, /r/a, /r/b)/x) ! string()", document) == ["1", "2"]
    assert run("(//x/ancestor::*) ! name()", document) == ["r", "a", "b"]


def test_copied_element_inherits_the_namespaces_of_its_new_parent():
    query = (
        "let $b := <b/> let $a := <a xmlns:p='u'>{$b}</a> return (in-scope-prefixes($a/b) = 'p', "
        "in-scope-prefixes($b) = 'p')"
    )
    assert run(query) == [True, False]
    assert run("declare copy-namespaces preserve, no-inherit; " + query) == [False, False]


def test_no_preserve_drops_namespaces_that_names_do_not_use():
    query = (
        "let $b := <b xmlns:p='u' xmlns:q='v' q:c=''/> let $a := <a>{$b}</a> return in-scope-prefixes($a/b)"
    )
    assert sorted(run("declare copy-namespaces no-preserve, inherit; " + query)) == ["q", "xml"]


def test_namespaces_declared_by_an_element_hold_inside_and_not_behind():
    assert run("(<a xmlns:p='u'>{count(<p:b/>/self::p:b)}</a>, 1) ! string()") == ["1", "1"]
    with pytest.raises(QueryError) as caught:
        run("<a xmlns:p='u'/>, <p:b/>")
    assert caught.value.code == "XPST0081"


def test_namespace_declared_after_an_expression_holds_for_it_too():
    assert run("string(<a b='{local-name-from-QName(xs:QName(\"p:x\"))}' xmlns:p='u'/>/@b)") == ["x"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("<a>{'x', attribute b {}}</a>", "XQTY0024"),
        ("<a b='1'>{attribute b {}}</a>", "XQDY0025"),
        ("<a>{function() {1}}</a>", "XQTY0105"),
        ("comment {'a--b'}", "XQDY0072"),
        ("processing-instruction xml {}", "XQDY0064"),
        ("element {'1'} {}", "XQDY0074"),
        ("attribute xmlns {}", "XQDY0044"),
        ("namespace xmlns {'u'}", "XQDY0101"),
        ("<e xmlns:p='a'>{namespace p {'b'}}</e>", "XQDY0102"),
        ("<e>{namespace p {'a'}, namespace p {'b'}}</e>", "XQDY0102"),
        ("<e>{namespace {''} {'a'}}</e>", "XQDY0102"),
        ("document {attribute a {}}", "XPTY0004"),
    ],
)
def test_constructor_is_refused_with_its_code(query, code):
    with pytest.raises(QueryError) as caught:
        run(query)
    assert caught.value.code == code
