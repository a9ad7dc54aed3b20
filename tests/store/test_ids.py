from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.errors import StoreError
from clacks.store import IdClock, LogId

MS = st.integers(0, (1 << 41) - 1)


@given(st.lists(MS, max_size=50), st.integers(0, 1023))
def test_ids_only_grow_whatever_the_clock_does(times: list[int], recorder: int) -> None:
    clock = IdClock(recorder)
    given_ids = [clock.next(ms) for ms in times]
    assert given_ids == sorted(set(given_ids))
    assert all(id_.n % 1024 == recorder for id_ in given_ids)
    packed = [id_.packed() for id_ in given_ids]
    assert packed == sorted(set(packed))
    assert [LogId.unpacked(number) for number in packed] == given_ids
    assert all(0 <= number < 1 << 63 for number in packed)


def test_a_clock_that_stands_still_does_not_stop_the_ids() -> None:
    clock = IdClock(5)
    ids = [clock.next(1000) for _ in range(5000)]
    assert ids[0] == LogId(1000, 5)
    assert ids[1] == LogId(1000, 1029)
    assert ids[2048] == LogId(1001, 5)
    assert ids == sorted(set(ids))


def test_ids_go_on_after_the_last_one() -> None:
    assert IdClock(0, LogId(1000, 2048)).next(10) == LogId(1000, 3072)
    assert IdClock(1, LogId(1000, 2048)).next(10) == LogId(1000, 3073)
    assert IdClock(0, LogId(1000, 2047 * 1024)).next(10) == LogId(1001, 0)
    assert IdClock(0, LogId(1000, 2048)).next(2000) == LogId(2000, 0)


def test_recorder_numbers_are_bounded() -> None:
    for number in (-1, 1024):
        with pytest.raises(StoreError, match="0 to 1023"):
            IdClock(number)


@pytest.mark.parametrize(
    "text", ["", "5", "-5", "5-", "5-6-7", "a-b", "5-6 ", "٣-٤", "1" * 21 + "-0", "99999999999999999999-0"]
)
def test_other_texts_are_no_ids(text: str) -> None:
    with pytest.raises(ValueError, match="not a log id"):
        LogId.parse(text)


def test_places_that_sqlite_cannot_hold_sort_where_they_belong() -> None:
    # A client may ask to read after an id of Redis, or after one that nobody ever gave.
    assert LogId(5, 1 << 30).packed() == LogId(6, 0).packed() - 1
    assert LogId((1 << 64) - 1, 0).packed() == (1 << 63) - 1
