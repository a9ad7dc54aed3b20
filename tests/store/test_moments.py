from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.store import LogId
from clacks.store.moments import moment

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-1h", NOW - 3_600_000),
        (" -90 s ", NOW - 90_000),
        ("-1.5m", NOW - 90_000),
        ("-250ms", NOW - 250),
        ("-2d", NOW - 172_800_000),
        ("-1w", NOW - 604_800_000),
        ("-30", NOW - 30_000),
        (-30, NOW - 30_000),
        (-0.5, NOW - 500),
        ("-999999999999", 0),
        (1_790_000_000_123, 1_790_000_000_123),
        ("1790000000123", 1_790_000_000_123),
        ("2026-09-21", 1789948800000),
        ("20260921", 1789948800000),
        ("2026-09-21T12:00:00", 1789992000000),
        ("2026-09-21T14:00:00+02:00", 1789992000000),
        ("2026-09-21T12:00:00.5Z", 1789992000500),
        ("1790000000000-2048", LogId(1_790_000_000_000, 2048)),
        ("1900-01-01", 0),
    ],
)
def test_moments_as_people_write_them(text: str | int | float, found: int | LogId) -> None:
    assert moment(text, NOW) == found


@pytest.mark.parametrize(
    "text",
    ["", "-", "1h", "-1y", "yesterday", "--1h", "-1h ago", "2026-13-01", True, 1e300, float("nan"), -1e300],
)
def test_what_means_nothing_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="no moment"):
        moment(text, NOW)  # type: ignore[arg-type]


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        found = moment(text, NOW)
    except ValueError:
        return
    assert isinstance(found, LogId) or found >= 0
