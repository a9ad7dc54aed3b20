"""Paths that many filters share: their nodes in an event, found by libxml2 or one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from clacks.common.xmltext import read_document
from clacks.filters.facts import AbsolutePath
from clacks.filters.index import FilterIndex
from clacks.filters.trie import _Branch
from clacks.filters.view import View, axis_nodes
from clacks.xquery.conditions import NameTest
from tests.costs import cpu_seconds
from tests.filters.proof import as_if_large

PROLOG = "declare namespace f='http://www.gonicus.de/Events'; "
STEPS = st.tuples(
    st.sampled_from(("child", "descendant")),
    st.sampled_from([NameTest("", name) for name in ("a", "b", "*")]),
)
TREES = st.recursive(
    st.just([]),
    lambda inner: st.lists(st.tuples(st.sampled_from("ab"), inner), max_size=3),
    max_leaves=25,
)


def grown(name: str, content: list[tuple[str, list]]) -> etree._Element:  # type: ignore[type-arg]  # nested
    element = etree.Element(name)
    element.extend(grown(*child) for child in content)
    return element


@given(st.lists(STEPS, min_size=1, max_size=5).map(tuple), TREES)
def test_libxml2_finds_what_the_steps_find_one_by_one(path: AbsolutePath, content: list) -> None:  # type: ignore[type-arg]
    root = grown("a", content)
    nodes: list[object] = [View(root)]
    for axis, test in path:
        nodes = list({hit: None for node in nodes for hit in axis_nodes(node, axis, test)})  # type: ignore[arg-type]
    order = {element: number for number, element in enumerate(root.iter())}
    branch = _Branch(path)
    assert branch.direct
    for _ in range(2):
        assert branch.find(root) == sorted(nodes, key=order.__getitem__)  # type: ignore[arg-type]


def records(count: int) -> etree._Element:
    body = "<L><a>1</a><b>text</b></L>" * count
    data = f"<Event xmlns='http://www.gonicus.de/Events'><R>{body}</R></Event>"
    return read_document(data.encode())[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["//f:L//f:a", "//*//f:a", "/f:Event/f:R/f:L//f:a", "//f:L[.//f:a = 'x']/f:a"]
)
def test_the_time_grows_with_the_event_and_not_with_its_square(path: str) -> None:
    index = FilterIndex()
    index.add(1, f"{PROLOG}{path} = 'x'")
    few, many = records(1_000), records(30_000)
    # It takes 30 times as long; squared it would be 600 times, a second.
    spent = cpu_seconds(lambda: index.match(few)), cpu_seconds(lambda: index.match(many))
    assert spent[1] < 300 * spent[0]


@pytest.mark.parametrize("large", [False, True])
def test_an_element_in_two_others_of_one_name_is_found_once(large: bool) -> None:
    index = FilterIndex()
    index.add("one", f"{PROLOG}count(//f:L//f:a) = 1")
    index.add("text", f"{PROLOG}//f:L//f:a eq 'x'")  # an error if there are two
    text = "<Event xmlns='http://www.gonicus.de/Events'><L><L><L><a>x</a></L></L></L></Event>"
    root = etree.fromstring(text)
    if large:
        with as_if_large():
            assert index.match(root) == {"one", "text"}
    else:
        assert index.match(root) == {"one", "text"}
