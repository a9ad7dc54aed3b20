from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_events import GOOD

F = "declare namespace f='http://www.gonicus.de/Events'; "


@pytest.fixture
def file(home: Path) -> str:
    (home / "e.xml").write_text(GOOD)
    return "e.xml"


@pytest.mark.parametrize(
    ("query", "out"),
    [
        ("1 + 1", "2\n"),
        (F + "string(//f:Status)", "busy\n"),
        (F + "//f:Status", '<Status xmlns="http://www.gonicus.de/Events">busy</Status>\n'),
        (
            F + "for $x in //f:PhoneStatus/* order by $x descending return local-name($x)",
            "Status\nReceiverId\nCallerId\n",
        ),
        ("true(), 1.50, 1e3, 'a b'", "true\n1.5\n1000\na b\n"),
        ("map{'a': 1}, [1, 2]", 'map{"a":1}\n[1,2]\n'),
        ("<a b='1'>{1 + 1}</a>", '<a b="1">2</a>\n'),
        ("()", ""),
    ],
)
def test_each_item_is_a_line(run: Callable, file: str, query: str, out: str) -> None:
    ended = run("query", file, "--xquery", query)
    assert (ended.code, ended.out, ended.err) == (0, out, "")


@pytest.mark.parametrize(
    ("method", "query", "out"),
    [
        ("xml", "<a/>, 1, <b>&lt;</b>", "<a/>1<b>&lt;</b>\n"),
        (
            "xhtml",
            "<br xmlns='http://www.w3.org/1999/xhtml'/>",
            '<br xmlns="http://www.w3.org/1999/xhtml" />\n',
        ),
        ("html", "<p>a<br/>&lt;</p>", "<p>a<br>&lt;</p>\n"),
        ("text", "<a>x<b>y</b></a>, 1, 2, 3", "xy1 2 3\n"),
        ("json", "map{'a': (1 to 1), 'b': [true(), ()]}", '{"a":1,"b":[true,null]}\n'),
        ("adaptive", "1, 'a', <b/>, map{'k': [2]}, count#1", '1\n"a"\n<b/>\nmap{"k":[2]}\nfn:count#1\n'),
    ],
)
def test_a_method_serializes_the_whole(run: Callable, file: str, method: str, query: str, out: str) -> None:
    ended = run("query", file, "-q", query, "--method", method)
    assert (ended.code, ended.out, ended.err) == (0, out, "")


def test_output_options_of_the_query_hold_and_another_method_is_refused(run: Callable, file: str) -> None:
    declared = (
        "declare namespace output = 'http://www.w3.org/2010/xslt-xquery-serialization';"
        "declare option output:method 'json'; map{'a': true()}"
    )
    assert run("query", file, "-q", declared).out == '{"a":true}\n'
    assert run("query", file, "-q", "1", "--method", "yaml").code == 2


def test_the_query_may_be_in_a_file_and_the_document_come_from_standard_input(
    run: Callable, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "q.xq").write_text(F + "string(//f:CallerId)")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert run("query", "-", "--xquery-file", "q.xq").out == "1\n"


def test_external_variables_are_given(run: Callable, file: str) -> None:
    query = "declare variable $who external; concat('hello ', $who)"
    assert run("query", file, "-q", query, "--var", "who=jane=x").out == "hello jane=x\n"
    assert run("query", file, "-q", query, "--var", "who").code == 2
    assert run("query", file, "-q", query).code == 5


@pytest.mark.parametrize(("query", "out", "code"), [("//*", "true\n", 0), ("//nothing", "false\n", 1)])
def test_matches_tells_what_a_subscription_would(
    run: Callable, file: str, query: str, out: str, code: int
) -> None:
    ended = run("query", file, "--matches", "-q", query)
    assert (ended.code, ended.out) == (code, out)


def test_a_query_that_does_not_compile_is_shown_with_the_place(run: Callable, file: str) -> None:
    ended = run("query", file, "-q", "1 +\n  +")
    assert ended.code == 5
    assert ended.err.startswith("clacks: XPST0003: ")
    assert ended.err.rstrip("\n").endswith("^")


@pytest.mark.parametrize(
    "query", ["doc('/etc/passwd')", "unparsed-text('/etc/passwd')", "doc('http://localhost/')"]
)
def test_a_query_reads_no_files(run: Callable, file: str, query: str) -> None:
    ended = run("query", file, "-q", query)
    assert ended.code == 5
    assert "root:" not in ended.out + ended.err


@pytest.mark.parametrize(
    "document",
    [
        "<a",
        "",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        "<a>" * 300 + "</a>" * 300,
    ],
)
def test_a_hostile_document_does_no_harm(run: Callable, home: Path, document: str) -> None:
    (home / "d.xml").write_text(document)
    ended = run("query", "d.xml", "-q", "string(.)")
    assert ended.code in (0, 4)
    assert "root:" not in ended.out


def test_a_document_that_is_no_xml_is_named_with_the_line(run: Callable, home: Path) -> None:
    (home / "d.xml").write_text("<a>\n<b>\n</a>")
    ended = run("query", "d.xml", "-q", "1")
    assert ended.code == 4
    assert ended.err.startswith("clacks: d.xml: not well-formed XML: Opening and ending tag mismatch")
    assert ended.err.count("line 3") == 1


def test_one_query_is_needed(run: Callable, file: str) -> None:
    assert run("query", file).code == 2
    assert run("query", file, "-q", "1", "--xquery-file", "q.xq").code == 2


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (
            F + "./f:Event/f:PhoneStatus[f:Status = 'busy']",
            [
                "event types: PhoneStatus",
                "must hold: /Event/PhoneStatus/Status = 'busy'",
                "index: exact; this alone decides",
            ],
        ),
        (
            F + "./f:Event/f:PhoneStatus[f:CallerId > 5 and starts-with(f:Status, 'b')]",
            [
                "event types: PhoneStatus",
                "must hold: /Event/PhoneStatus/Status starts-with 'b'",
                "index: exact; the index checks the rest itself",
            ],
        ),
    ],
)
def test_explain_tells_what_the_index_understands(run: Callable, query: str, told: list[str]) -> None:
    ended = run("query", "--explain", "-q", query)
    assert (ended.code, ended.out.splitlines()) == (0, told)


def test_explain_names_what_it_does_not_understand_and_the_variables(run: Callable) -> None:
    query = "declare variable $who external; //node()[matches(., $who)]"
    told = run("query", "--explain", "-q", query).out.splitlines()
    assert told[:2] == ["event types: any", "index: not indexed; the engine evaluates it at every event"]
    assert told[2].startswith("not understood: ")
    assert told[-1] == "variables: $who"


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("//f:Status = 'busy'", "true"),
        ("//f:Status = 'free'", "false"),
        (
            "//f:PhoneStatus[f:Status > 5]",
            "false, for an error is no match: FORG0001: not an xs:double: 'busy'",
        ),
    ],
)
@pytest.mark.slow
def test_explain_measures_on_a_file(run: Callable, file: str, query: str, answer: str) -> None:
    told = run("query", file, "--explain", "-q", F + query).out.splitlines()
    assert f"matches: {answer}" in told
    costs = [
        re.fullmatch(r"cost by the (index|engine): (\d+\.\d) us \(CPU, median of (\d+)\)", x)
        for x in told[-2:]
    ]
    assert [cost and cost[1] for cost in costs] == ["index", "engine"]
    assert all(cost and float(cost[2]) > 0 and int(cost[3]) >= 5 for cost in costs)


def test_explain_shows_no_result_and_the_rest_needs_a_file(run: Callable, file: str) -> None:
    assert run("query", file, "--explain", "--matches", "-q", "1").code == 2
    assert run("query", file, "--explain", "--method", "xml", "-q", "1").code == 2
    assert run("query", "-q", "1").code == 2
