"""The API: compile once, run on documents; values in and out."""

from __future__ import annotations

import contextlib
import datetime
import gc
import resource
import subprocess
import sys
import time
from decimal import Decimal

import pytest
from elementpath.xpath31 import XPath31Parser
from lxml import etree

from clacks.common.errors import QueryError, QueryEvaluationError, QuerySyntaxError
from clacks.xquery import Resolvers, compile_query, wrap

EVENT = etree.XML(
    b"<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus><CallerId>012345</CallerId>"
    b"<ReceiverId>200</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)
REFERENCE = "declare namespace f='http://www.gonicus.de/Events'; let $e := ./f:Event return $e/f:PhoneStatus"


def run(query, document=None, variables=None, **options):
    return compile_query(query, **options).evaluate(document, variables)


def test_query_of_the_reference_document_finds_the_phone_status_element():
    found = run(REFERENCE, EVENT)
    assert found == [EVENT[0]]
    assert found[0] is EVENT[0]


def test_query_of_the_reference_document_matches_only_its_own_event():
    query = compile_query(REFERENCE)
    assert query.matches(EVENT) is True
    other = etree.XML(b"<Event xmlns='http://www.gonicus.de/Events'><NodeStatus/></Event>")
    assert query.matches(other) is False


def test_context_item_is_the_document_node_for_element_and_for_tree():
    for document in (EVENT, etree.ElementTree(EVENT), wrap(EVENT)):
        assert run("self::document-node()/*/local-name()", document) == ["Event"]


def test_element_inside_a_larger_tree_is_seen_alone():
    outer = etree.XML("<a><b><c/></b><d/></a>")
    assert run("(count(//*), count(//d), name(/*))", outer[0]) == [2, 0, "b"]


def test_without_document_the_context_item_is_absent():
    with pytest.raises(QueryEvaluationError) as caught:
        run("./a")
    assert caught.value.code == "XPDY0002"


def test_comments_and_processing_instructions_around_the_root_are_children_of_the_document():
    tree = etree.ElementTree(etree.XML("<?a b?><!--c--><r/><!--d-->"))
    assert run("/node() ! (if (. instance of comment()) then 'c' else name())", tree) == ["a", "c", "r", "c"]


def test_version_declaration_and_nested_comments_are_read():
    assert run("xquery version '3.1' encoding 'utf-8'; (: a (: b :) c :) 1 (::) + 1") == [2]


def test_default_element_namespace_holds_for_steps_but_not_for_attributes():
    document = etree.XML("<a xmlns='u' b='1'/>")
    assert run("declare default element namespace 'u'; string(/a/@b)", document) == ["1"]


def test_namespaces_may_be_given_by_the_caller():
    assert run("count(/f:Event)", EVENT, namespaces={"f": "http://www.gonicus.de/Events"}) == [1]
    assert run("count(/Event)", EVENT, namespaces={"": "http://www.gonicus.de/Events"}) == [1]


def test_external_variables_are_named_and_take_python_values():
    query = compile_query(
        "declare namespace p='urn:p'; declare variable $a external; declare variable $p:b as xs:integer "
        "external := 7;"
        "($a, $p:b)"
    )
    assert query.external_variables == ("a", "{urn:p}b")
    assert query.evaluate(None, {"a": ["x", Decimal("1.5")]}) == ["x", Decimal("1.5"), 7]
    assert query.evaluate(None, {"a": None, "{urn:p}b": 8, "unknown": 1}) == [8]


def test_external_variable_without_value_fails_only_where_it_is_used():
    query = compile_query("declare variable $a external; if (/x) then 1 else $a")
    assert query.evaluate(etree.XML("<x/>")) == [1]
    with pytest.raises(QueryEvaluationError) as caught:
        query.evaluate(etree.XML("<y/>"))
    assert caught.value.code == "XPDY0002"


def test_external_variable_of_the_wrong_type_is_refused():
    query = compile_query("declare variable $a as xs:integer external; $a")
    with pytest.raises(QueryEvaluationError) as caught:
        query.evaluate(None, {"a": "one"})
    assert caught.value.code == "XPTY0004"


def test_python_values_become_values_of_their_type():
    query = compile_query("declare variable $v external; $v")
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert str(query.evaluate(None, {"v": moment})[0]) == "2026-01-02T03:04:05Z"
    assert query.evaluate(None, {"v": EVENT}) == [EVENT]
    deep = compile_query("declare variable $v external; $v?list[2]")
    assert deep.evaluate(None, {"v": {"list": [1, 2, 3]}}) == [2]


def test_values_come_back_as_python_values_of_their_type():
    found = run("1, 1.5, 1e0, 'a', true(), xs:date('2026-01-02'), [1, 2], map{'a': 1}, function($x){$x}")
    assert found[:5] == [1, Decimal("1.5"), 1.0, "a", True]
    assert [type(v).__name__ for v in found[5:]] == ["Date", "XArray", "XEntry", "UserFunction"]


def test_effective_boolean_value_of_two_strings_is_an_error():
    with pytest.raises(QueryEvaluationError) as caught:
        compile_query("'a', 'b'").matches(EVENT)
    assert caught.value.code == "FORG0006"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("doc('file:///etc/passwd')", "FODC0002"),
        ("collection()", "FODC0002"),
        ("unparsed-text('file:///etc/passwd')", "FOUT1170"),
        ("json-doc('file:///etc/passwd')", "FOUT1170"),
    ],
)
def test_queries_see_no_files_and_no_network(query, code):
    with pytest.raises(QueryEvaluationError) as caught:
        run(query)
    assert caught.value.code == code


def test_queries_see_no_environment():
    assert run("available-environment-variables(), environment-variable('PATH')") == []
    assert run("doc-available('file:///etc/passwd'), unparsed-text-available('file:///etc/passwd')") == [
        False,
        False,
    ]


def test_resolvers_open_only_what_the_caller_gives():
    asked = []

    def document(uri):
        asked.append(uri)
        return etree.ElementTree(EVENT) if uri == "urn:event" else None

    resolvers = Resolvers(document=document, environment={"A": "1"})
    query = (
        "count(doc('urn:event')//*), doc('urn:event') is doc('urn:event'), doc-available('urn:x'), "
        "environment-variable('A')"
    )
    assert run(query, resolvers=resolvers) == [5, True, False, "1"]
    assert asked == ["urn:event", "urn:x"]


@pytest.mark.slow
def test_the_engine_brings_nothing_of_the_bus_along():
    program = (
        "import sys; from clacks.xquery import compile_query; compile_query('1 + 1').evaluate();"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in ('clacks', 'proton')"
        " and not name.startswith('clacks.xquery')))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split() == [
        "clacks", "clacks.common", "clacks.common.errors", "clacks.common.limits", "clacks.common.xmltext",
    ]  # fmt: skip


def test_token_table_of_elementpath_is_not_changed():
    classes = XPath31Parser.symbol_table
    assert all(not cls.__module__.startswith("clacks") for cls in classes.values())
    assert XPath31Parser(namespaces={"a": "u"}).parse("for $x in 1 to 3 return $x * 2").evaluate is not None
    assert XPath31Parser().parse("2 < 3").evaluate() is True


def test_syntax_error_of_a_query_is_no_evaluation_error():
    with pytest.raises(QuerySyntaxError):
        compile_query("let $x := return 1")


def test_one_query_run_many_times_gives_the_same_and_keeps_nothing():
    query = compile_query("for $s in //*:Status let $n := <n>{$s/text()}</n> return string($n)")
    tree = wrap(EVENT)
    assert all(query.evaluate(tree) == ["busy"] for _ in range(200))


def test_elements_found_by_name_below_a_node_are_the_same_nodes_as_by_steps():
    document = etree.XML("<r xmlns:p='u'><a><b/><p:b/></a><b><b/><!--c--></b>text<a/></r>")
    tree = wrap(document)
    assert run("//b ! path()", tree) == run(
        "for $n in /descendant::node()[name() = 'b'] return path($n)", tree
    )
    assert run(
        "(//b)[3] is /r/b/b, count(/r/b//b), count(/r//*:b), /r/b[1]/descendant::b/..  is /r/b", tree
    ) == [
        True,
        1,
        4,
        True,
    ]
    assert run("count(//none), count(//@none), count(//Q{u}b)", wrap(document)) == [0, 0, 1]


def test_few_steps_into_a_large_document_wrap_only_what_they_meet():
    document = etree.XML("<r>" + "<e><f><g/></f></e>" * 200 + "<x><y>1</y></x></r>")
    tree = wrap(document)
    assert run("string(//y)", tree) == ["1"]
    first = tree.children[0].children[0]
    assert first._children is None


def test_value_of_a_foreign_type_is_refused_as_an_error_of_the_query():
    query = compile_query("declare variable $v external; 1")
    with pytest.raises(QueryEvaluationError) as caught:
        query.evaluate(None, {"v": object()})
    assert caught.value.code == "XPTY0004"


@pytest.mark.slow
def test_memory_is_flat_over_twenty_thousand_runs():
    query = compile_query(
        "declare function local:f($n) { if ($n = 0) then () else ($n, local:f($n - 1)) };"
        "for $s in //*:Status let $m := map{'a': string($s)}, $f := function($x) { $x || $m?a } "
        "return <n>{$f('1'), local:f(3)}</n>"
    )
    trees = [wrap(EVENT), EVENT]
    for _ in range(500):
        query.evaluate(trees[0])
    gc.collect()
    before = sys.getallocatedblocks()
    for turn in range(20_000):
        query.evaluate(trees[turn % 2])
    gc.collect()
    assert sys.getallocatedblocks() - before < 1000


@pytest.mark.soak
def test_memory_is_flat_over_a_million_runs(capsys):
    """One query, a million runs over three kinds of document; errors and deep recursion now and then."""
    query = compile_query(
        "declare variable $limit external := 2;"
        "let $e := /*/* where $e/*:Status = ('idle', 'busy') and matches($e/*:CallerId, '^[0-9]{3,}$')"
        " return if (count($e/*) > $limit) then <hit n='{local-name($e)}'>{$e/*:CallerId/text()}</hit>"
        " else error()"
    )
    deep = compile_query("declare function local:f($n) { local:f($n + 1) }; local:f(1)")
    sources = [etree.tostring(EVENT), b"<a><b/></a>", etree.tostring(EVENT).replace(b"Status>", b"State>")]

    def run(turns):
        for turn in range(turns):
            with contextlib.suppress(QueryError):
                query.matches(etree.fromstring(sources[turn % 3]), {"limit": turn % 5})
            if turn % 10_000 == 0:
                with contextlib.suppress(QueryError):
                    deep.matches(None)
        gc.collect()
        return sys.getallocatedblocks(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    run(5_000)
    blocks, kilobytes = run(50_000)
    began = time.process_time()
    blocks_after, kilobytes_after = run(1_000_000)
    with capsys.disabled():
        print(
            f"\na million runs: {time.process_time() - began:.0f} s of CPU, {blocks_after - blocks} blocks"
            f" and {kilobytes_after - kilobytes} KiB more"
        )
    assert blocks_after - blocks < 1000
    assert kilobytes_after - kilobytes < 4096
