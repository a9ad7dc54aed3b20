from __future__ import annotations

import pytest

from clacks.xquery.literals import LiteralSet


def test_all_texts_are_found_that_occur_however_they_overlap() -> None:
    texts = ["disk", "disk full", "k f", "a.b", "(", "\\d", "\u00fc\u20ac", "\U0001f600", "disk"]
    value = "<a disk full of \u00fc\u20ac\U0001f600> a.b axb (\\d)\0disc"
    assert set(LiteralSet(texts).find(value)) == {each for each in texts if each in value}
    assert LiteralSet(texts).find("") == []


def test_more_than_an_automaton_holds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"compile|memory"):
        LiteralSet(["".join(map(str, range(400_000)))])
