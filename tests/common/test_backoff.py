from __future__ import annotations

import pytest

from clacks.common.backoff import Backoff


def highest() -> float:
    return 1.0


def test_pauses_double_up_to_the_limit() -> None:
    backoff = Backoff(first=1.0, limit=10.0)
    assert [backoff.failed(0.0, highest) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff.attempts == 6


@pytest.mark.parametrize(("random", "pause"), [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0)])
def test_jitter_takes_the_upper_half_of_the_pause(random: float, pause: float) -> None:
    backoff = Backoff(first=4.0)
    assert backoff.failed(0.0, lambda: random) == pause


def test_a_connection_that_lasted_starts_the_count_anew() -> None:
    backoff = Backoff(first=1.0, settled=10.0)
    backoff.failed(0.0, highest)
    backoff.failed(0.0, highest)
    backoff.succeeded(100.0)
    assert backoff.failed(110.0, highest) == 1.0


def test_a_broker_that_drops_connections_at_once_is_not_asked_more_often_for_it() -> None:
    backoff = Backoff(first=1.0, settled=10.0)
    pauses = []
    for now in range(4):
        backoff.succeeded(float(now))
        pauses.append(backoff.failed(now + 0.5, highest))
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_a_success_of_long_ago_does_not_excuse_failures_since() -> None:
    backoff = Backoff(first=1.0, settled=10.0)
    backoff.succeeded(0.0)
    assert [backoff.failed(now, highest) for now in (100.0, 200.0, 300.0)] == [1.0, 2.0, 4.0]


def test_what_hardly_gets_better_by_itself_waits_longer() -> None:
    backoff = Backoff(first=1.0, limit=30.0)
    assert backoff.failed(0.0, highest, at_least=60.0) == 60.0
    assert backoff.failed(0.0, highest) == 2.0


def test_a_thousand_failures_do_not_overflow() -> None:
    backoff = Backoff()
    assert max(backoff.failed(0.0, highest) for _ in range(5000)) == 30.0


def test_while_nobody_is_there_pauses_stay_short_and_do_not_make_later_ones_longer() -> None:
    backoff = Backoff(first=0.25, limit=30.0)
    assert [backoff.failed(0.0, highest, at_most=0.8) for _ in range(5)] == [0.25, 0.5, 0.8, 0.8, 0.8]
    assert backoff.failed(0.0, highest) == 1.0
