"""Topics, patterns, and what covers what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.dialects.topics import MAX_TOPIC, PatternTree, covers, is_pattern, is_topic, matches

LEVEL = st.sampled_from(["a", "b", "", "events"])
TOPICS = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(is_topic)
PATTERNS = (
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "+", "events", ""]), max_size=3), st.sampled_from(["a", "+", "#"])
    )
    .map(lambda parts: "/".join([*parts[0], parts[1]]))
    .filter(lambda text: is_topic(text) or is_pattern(text))
)


@pytest.mark.parametrize("text", ["a", "a/b", "a//b", "A-z_0", "x" * 2000])
def test_these_are_topics(text: str) -> None:
    assert is_topic(text)
    assert not is_pattern(text)


@pytest.mark.parametrize(
    "text", ["", "/a", "a/", "a b", "ä", "a/+", "#", "x" * (MAX_TOPIC + 1), "a\n", "a/.."]
)
def test_these_are_no_topics(text: str) -> None:
    assert not is_topic(text)


@pytest.mark.parametrize("text", ["#", "+", "+/#", "+/+", "a/+/b/#", "+/", "a//+"])
def test_these_are_patterns(text: str) -> None:
    assert is_pattern(text)


@pytest.mark.parametrize("text", ["a#", "a+", "a/+b", "a/#/b", "##", "/+", "/#", "a", "", "ä/+", "+\n"])
def test_these_are_no_patterns(text: str) -> None:
    assert not is_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "topic", "does"),
    [
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ax", False),
        ("a/+", "a", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+/c", "a//c", True),
        ("#", "x", True),
        ("#", "events/PhoneStatus", False),
        ("+/PhoneStatus", "events/PhoneStatus", False),
        ("events/+", "events/PhoneStatus", True),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_a_pattern_matches_level_by_level(pattern: str, topic: str, does: bool) -> None:
    assert matches(pattern, topic) is does


def test_a_filter_of_one_level_does_not_let_a_pattern_of_many_through() -> None:
    # The hole of the original: patterns were tested against filters as if they were topics.
    assert not covers("t/+", "t/#")
    assert not covers("+", "#")
    assert covers("t/#", "t/+/deep")


@given(PATTERNS, PATTERNS, TOPICS)
def test_what_a_covered_pattern_matches_its_cover_matches(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@given(st.lists(PATTERNS, max_size=12), TOPICS)
def test_the_tree_finds_what_matches(patterns: list[str], topic: str) -> None:
    tree: PatternTree[int] = PatternTree()
    for number, pattern in enumerate(patterns):
        tree.add(pattern, number)
    assert sorted(tree.find(topic)) == [n for n, pattern in enumerate(patterns) if matches(pattern, topic)]
    for number, pattern in enumerate(patterns):
        tree.remove(pattern, number)
    assert list(tree.find(topic)) == []
    assert tree._root.empty
