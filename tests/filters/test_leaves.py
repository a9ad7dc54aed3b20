"""All leaf texts at once: no value of an element that is asked for may be missing, however it is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from clacks.common.xmltext import read_document
from clacks.filters import leaves
from clacks.filters.leaves import Leaves
from tests.costs import cpu_seconds

NAMES = ("a", "b", "{u}c")
_value = etree.XPath("string()")
_AS_IT_STANDS = etree.XMLParser(strip_cdata=False)  # comments and instructions stay, too


def tree(text: str) -> etree._Element:
    return etree.fromstring(f"<r xmlns:n='u'>{text}</r>", _AS_IT_STANDS)


def values(root: etree._Element, names: tuple[str, ...]) -> set[str]:
    return {str(_value(element)) for element in root.iter(*names)}


def everything(root: etree._Element) -> set[str]:
    """Return what may be among the texts: of any node, and the values of all elements."""
    texts = {str(_value(element)) for element in root.iter("*")}
    return texts | {str(text) for text in root.xpath("descendant-or-self::text()")} | {""}


WORDS = st.sampled_from((" ", "1", "2", "x", "\n  ", "\u00e4&amp;&lt;"))
PIECES = st.one_of(
    WORDS,
    WORDS.map("<!--{}-->".format),
    st.just("<?p 1?>"),
    st.sampled_from(("<![CDATA[1]]>", "<![CDATA[<a>]]>", "<![CDATA[]]>")),
)
TREES = st.recursive(
    PIECES,
    lambda inner: st.builds(
        lambda name, content: f"<{name}>{''.join(content)}</{name}>",
        st.sampled_from(("a", "b", "n:c")),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)
ASKED = st.lists(st.sampled_from((*NAMES, "r")), min_size=1, max_size=4, unique=True).map(tuple)


@given(st.lists(st.tuples(st.lists(TREES, max_size=4), ASKED), min_size=1, max_size=5))
def test_the_texts_hold_every_value_that_is_asked_for(cases: list[tuple[list[str], tuple[str, ...]]]) -> None:
    """Frames that were learned from one tree are asked of the next."""
    reader = Leaves()
    for contents, names in cases:
        root = tree("".join(contents))
        found = reader.texts(root, names)
        assert values(root, names) <= found <= everything(root)


@pytest.mark.parametrize(
    "odd",
    [
        "<a>1<!-- c -->2</a>",
        "<a><!-- c -->12</a>",
        "<a>1<?p?>2</a>",
        "<a>1<![CDATA[2]]></a>",
        "<a><b>1</b><b>2</b></a>",
        "<a><b><b>1</b>2</b></a>",
        "<a>1<b>2</b></a>",
        "<a> <b>12</b> </a>",
        "<a/>",
        "<a><!-- c --></a>",
        "<n:c><n:c>1</n:c><a>2</a></n:c>",
    ],
)
def test_what_no_event_had_before_is_noticed(odd: str) -> None:
    plain = "".join(f"<e><a>x{number}</a><b/></e>" for number in range(20))
    reader = Leaves()
    for content in (plain, plain + odd, plain, odd, plain + f"<e>{odd}</e>"):
        root = tree(content)
        assert values(root, NAMES) <= reader.texts(root, NAMES)


def test_text_that_was_cut_by_a_node_which_is_gone_is_one_value() -> None:
    reader = Leaves()
    root = tree("<a>1<cut/>2</a><b>x</b>")
    etree.strip_tags(root, "cut")
    assert len(root[0]) == 0
    assert len(root[0].xpath("text()")) == 2
    assert "12" in reader.texts(root, NAMES)


def test_only_what_is_inside_of_the_root_is_read() -> None:
    above = tree("<r><a>1</a><a>2</a></r>tail<a>outside</a>")
    assert Leaves().texts(above[0], NAMES) == {"", "1", "2"}


def test_few_elements_among_many_are_read_by_name() -> None:
    root = tree("".join(f"<e><a>{number}</a><b>y</b></e>" for number in range(20)) + "<c>few</c>")
    reader = Leaves()
    assert reader.texts(root, ("c", "none", "never")) > {"few", "y"}  # nobody knows yet how few they are
    assert reader.texts(root, ("c", "none", "never")) == {"few"}
    assert reader.texts(root, ("a", "b", "c")) >= {"few", "y"}
    assert reader.texts(root, ("a", "b", "c")) >= {"few", "y"}


def test_events_that_differ_too_much_are_read_by_name() -> None:
    reader = Leaves()
    for number in range(3 * leaves._MOST_PLACES):
        root = tree(f"<a>{number}</a><e{number}><b/><b/></e{number}>")
        assert values(root, NAMES) <= reader.texts(root, NAMES)
    assert not reader._frames
    assert reader.texts(root, ("a",)) == {str(number)}


def test_trees_that_are_too_deep_are_read_by_name() -> None:
    reader = Leaves()
    deep = "<a>1</a>"
    for _ in range(leaves._DEEPEST + 1):
        deep = f"<a>{deep}<b/></a>"
    root = tree(deep)
    assert reader.texts(root, ("a",)) == values(root, ("a",))
    assert not reader._frames


def test_what_is_remembered_has_an_end() -> None:
    reader = Leaves()
    for number in range(2 * leaves._MOST_KINDS):
        reader.texts(tree(f"<k{number}/>"), ("a",))
    assert len(reader._frames) <= leaves._MOST_KINDS
    root = tree("<a>1</a><b>2</b>")
    for number in range(2 * leaves._MOST_SPARSE):
        reader.texts(root, (f"n{number}",))
    (frame,) = (frame for frame in reader._frames.values() if frame.sparse.keys() != {("a",)})
    assert len(frame.sparse) <= leaves._MOST_SPARSE


@pytest.mark.slow
def test_the_time_grows_with_the_event_and_not_with_its_square() -> None:
    def spent(count: int) -> float:
        record = "<L><a>1</a><b>text</b></L>"
        data = f"<Event xmlns='http://www.gonicus.de/Events'><R>{record * count}</R></Event>".encode()
        root, _ = read_document(data)
        return cpu_seconds(lambda: Leaves().texts(root, NAMES))

    # It takes 30 times as long; squared it would be 600 times, a second.
    assert spent(30_000) < 300 * spent(1_000)
