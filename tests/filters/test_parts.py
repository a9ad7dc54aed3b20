"""The search for many parts of texts at once, beside the plain way to say the same."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.filters import parts
from clacks.filters.parts import PartSearch

TEXTS = st.text(alphabet="abA \u00fc\U0001f600.*", min_size=1, max_size=6)


@pytest.mark.parametrize(("waiting", "most"), [(0, 3), (1, 16_384), (10_000, 16_384)])
@given(
    steps=st.lists(st.tuples(st.sampled_from(("add", "remove", "find")), TEXTS), max_size=40),
    value=st.text(alphabet="abA \u00fc\U0001f600.*\0", max_size=60),
)
def test_texts_are_found_that_occur_and_are_asked_for(
    waiting: int, most: int, steps: list[tuple[str, str]], value: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_MOST_WAITING", waiting)
        patch.setattr(parts, "_MOST_TEXTS", most)
        search = PartSearch()
        asked: Counter[str] = Counter()
        for step, text in [*steps, ("find", value)]:
            if step == "add":
                search.add(text)
                asked[text] += 1
            elif step == "remove" and asked[text]:
                search.remove(text)
                asked[text] -= 1
            elif step == "find":
                there = {each for each, count in asked.items() if count}
                # One that was removed may be found as well: nobody waits for it.
                assert search.find(text) & there == {each for each in there if each in text}


def test_thousands_of_texts_are_searched_by_few_automata() -> None:
    search = PartSearch()
    for number in range(5000):
        search.add(f"word {number};")
        if number % 50 == 0:
            assert search.find(f"a word {number}; and word 0; and word 9999;") == {
                f"word {number};",
                "word 0;",
            }
    assert len(search._compiled) <= 6
    assert len(search._waiting) <= 50


def test_texts_that_are_gone_leave_the_automata() -> None:
    search = PartSearch()
    for number in range(2000):
        search.add(f"word {number};")
    search.find("")
    for number in range(1, 2000):
        search.remove(f"word {number};")
    assert search.find("word 0;") == {"word 0;"}
    assert sum(len(each.texts) for each in search._compiled) == 1


def test_a_text_that_no_automaton_takes_is_searched_all_the_same() -> None:
    huge = "".join(map(str, range(200_000)))
    search = PartSearch()
    search.add(huge)
    for number in range(100):
        search.add(f"word {number};")
    assert search.find(f"<{huge}> word 7;") == {huge, "word 7;"}
