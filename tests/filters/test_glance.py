"""Large events: what a glance at all values of some names leaves out, no path finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from clacks.common.errors import QueryEvaluationError
from clacks.common.xmltext import read_document
from clacks.filters.entry import Entry
from clacks.filters.facts import Access, Fact
from clacks.filters.glance import Glance
from clacks.filters.index import FilterIndex
from clacks.filters.postings import Asked, Slot
from clacks.filters.view import View
from clacks.xquery import compile_query

PROLOG = "declare namespace f='http://www.gonicus.de/Events'; "
TEXTS = (
    "",
    " ",
    "1",
    "2",
    "12",
    "3.5",
    "-1e3",
    "INF",
    "NaN",
    "busy",
    "bus",
    "sy",
    "usyx",
    "abc",
    "abcd",
    "abcdef",
    "abcdefg",
    "abcdefgh",
    "bcdefgh",
    "\u00e4rger",
    "no",
)
NUMBERS = (-1000.0, 0.0, 1.0, 2.0, 3.5, 12.0, float("inf"))


def large_event(comment: str = "") -> bytes:
    """Return a report of 20 entries; the value of Pair is that of two elements in it: 12."""
    entry = (
        f"<Entry><Name>host{comment}1</Name><Load>0.5</Load><Text>disk full</Text><Note/>"
        "<Pair><Left>1</Left><Right>2</Right></Pair></Entry>"
    )
    other = "<Entry><Name>host2</Name><Load>7</Load><Load>NaN</Load><Text>all is well</Text></Entry>"
    lone = "<Lone><Load>900</Load></Lone>"
    body = entry * 10 + other * 10 + lone
    return f"<Event xmlns='http://www.gonicus.de/Events'><Report>{body}</Report></Event>".encode()


CONDITIONS = [
    *(f"//f:{name} = '{value}'" for name in ("Name", "Text", "Pair") for value in ("host1", "12", "x")),
    *(f"//f:{name} = ''" for name in ("Note", "Name", "Text")),
    *(f"//f:{name} > {value}" for name in ("Load", "Pair", "Name") for value in (6, 11, 800, 1000)),
    *(f"//f:{name} = {value}" for name in ("Load", "Pair") for value in (7, 12, 8)),
    *(f"//f:{name}[. < {value}]" for name in ("Load", "Pair") for value in (0.5, 0.6, 12, 13)),
    *(f"//f:{name}[. >= 5 and . <= 7.5]" for name in ("Load", "Pair")),
    *(
        f"//f:{name}[starts-with(., '{value}')]"
        for name in ("Name", "Text")
        for value in ("host", "d", "x", "disk f")
    ),
    *(
        f"//f:{name}[ends-with(., '{value}')]"
        for name in ("Text", "Pair")
        for value in ("well", "2", "ull ", "is well", "x")
    ),
    *(f"//f:{name}[contains(., '{value}')]" for name in ("Text", "Name") for value in ("is", "k f", "zz")),
]
PLACES = [
    "//f:",
    "/f:Event/f:Report/f:Entry/f:",
    "//f:Entry/f:",
    "//f:Report//f:",
    "/f:Event/f:Report/f:Lone/f:",
]


def alone(query: str, root: etree._Element) -> bool:
    try:
        return compile_query(query).matches(root)
    except QueryEvaluationError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_many_names_in_a_large_event_are_answered_as_by_the_engine(place: str) -> None:
    queries = [PROLOG + condition.replace("//f:", place) for condition in CONDITIONS]
    index = FilterIndex()
    for query in queries:
        index.add(query, query)
    for comment in ("", "<!-- c -->"):  # a tree that is not ours may hold comments
        root = etree.fromstring(large_event(comment))
        assert index.match(root) == {query for query in queries if alone(query, root)}


@pytest.mark.slow
def test_each_sort_of_condition_alone_makes_its_path_be_asked() -> None:
    """Here nothing else that is asked of the same path is there, which would hide that one is forgotten."""
    root = read_document(large_event())[0]
    for condition in CONDITIONS:
        index = FilterIndex()
        index.add("it", PROLOG + condition)
        for name in ("Left", "Right", "Note"):  # enough names for a glance
            index.add(name, f"{PROLOG}//f:{name} = 'not there'")
        assert ("it" in index.match(root)) is alone(PROLOG + condition, root), condition


def test_the_glance_reads_each_element_once_for_all_that_is_asked() -> None:
    """The values of seven names are one set, whoever asks for them in whatever way."""
    index = FilterIndex()
    for number, name in enumerate(("Name", "Load", "Text", "Note", "Left")):
        index.add(number, f"{PROLOG}//f:{name} = 'x{number}'")
    root = read_document(large_event())[0]
    view = View(root)
    assert not list(index._paths.walk(view))
    (glance,) = view.glances.values()
    values = {"host1", "host2", "0.5", "7", "900", "NaN", "disk full", "all is well", "", "1"}
    assert glance.texts == {*values, "2"}  # that of f:Right, for which nobody asks


def facts() -> st.SearchStrategy[Fact]:
    kinds = st.sampled_from(("=", "starts-with", "ends-with", "contains"))
    words = st.sampled_from([text for text in TEXTS if text])
    numbers = st.sampled_from(NUMBERS)
    signs = st.sampled_from(("=", "<", "<=", ">", ">="))
    bands = st.tuples(numbers, numbers)
    return st.one_of(
        st.builds(lambda kind, text: Fact((), kind, text), kinds, words),
        st.builds(lambda sign, number: Fact((), sign, number), signs, numbers),
        st.builds(lambda band: Fact((), "between", band), bands),
    )


@given(
    st.lists(facts(), min_size=1, max_size=4),
    st.lists(facts(), max_size=3),
    st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4),
    st.sets(st.sampled_from(TEXTS), max_size=4),
)
def test_a_slot_that_wakes_somebody_meets_the_glance(
    here: list[Fact], elsewhere: list[Fact], texts: list[str], more: set[str]
) -> None:
    asked = Asked(edges=True)
    slot, other = Slot(asked), Slot(asked)
    for serial, fact in enumerate((*here, *elsewhere)):
        entry = Entry(serial, serial, "", Access(frozenset((fact,))), None, None)
        (slot if serial < len(here) else other).add(fact, entry)
    root = etree.Element("r")
    for text in texts:
        etree.SubElement(root, "a").text = text
    found: set[Entry] = set()
    slot.wake(list(root), View(root), found, found)
    meets = slot.meets(Glance({*texts, *more}, asked))
    assert meets or not found
    # Of its own values it says no more than is there; only of bands it does not look for the one.
    if not more and all(fact.kind != "between" for fact in here):
        assert meets is bool(found)


ODD_TEXTS = (
    "odd<!-- c -->ity",
    "<![CDATA[odd]]>ity",
    "odd<?p?>ity",
    "<Left>odd</Left><Right>ity</Right>",
    "<Left>oddity</Left>",
    "",
)
ODD_NUMBERS = ("4<!-- c -->5", " 45 ", "4<Left>5</Left>", "\t+4.5e1", "INF")
ODD_CONDITIONS = {
    "Name": (
        ". = 'oddity'",
        ". = ''",
        "starts-with(., 'oddi')",
        "starts-with(., 'oddity')",
        "ends-with(., 'dity')",
        "ends-with(., 'oddity')",
        "contains(., 'ddit')",
    ),
    "Load": (". > 44", ". = 45", ". >= 44 and . <= 45"),
    "Left": (". = 'not there'",),
}


@pytest.mark.slow
def test_a_leaf_like_no_other_is_found_in_an_index_that_knows_the_others() -> None:
    queries = [
        f"{PROLOG}//f:Entry/f:{name}[{condition}]"
        for name, conditions in ODD_CONDITIONS.items()
        for condition in conditions
    ]
    index = FilterIndex()
    for query in queries:
        index.add(query, query)
    keeping = etree.XMLParser(strip_cdata=False)
    regular = "<Entry><Name>host1</Name><Load>0.5</Load><Note/></Entry>" * 20
    odd = (
        "<Note/>",
        *(f"<Name>{text}</Name>" for text in ODD_TEXTS),
        *(f"<Load>{text}</Load>" for text in ODD_NUMBERS),
    )
    wanted: set[str] = set()
    for leaf in odd:
        report = f"<Report>{regular}<Entry>{leaf}</Entry></Report>"
        root = etree.fromstring(f"<Event xmlns='http://www.gonicus.de/Events'>{report}</Event>", keeping)
        expected = {query for query in queries if alone(query, root)}
        assert index.match(root) == expected, leaf
        wanted |= expected
    assert wanted == {query for query in queries if "not there" not in query}
