from __future__ import annotations

import itertools
from random import Random

import pytest

from clacks.client.lifecycle import STEPS, Act, Lifecycle, State
from clacks.common.presence import CLIENT_SILENCE, PING_INTERVAL


def up(now: float = 0.0, seed: int = 1) -> Lifecycle:
    life = Lifecycle(Random(seed))
    life.connected(now)
    assert life.due(now) == [Act.ANNOUNCE]
    return life


def answer_delay(seed: int, clients: int) -> float:
    life = up(seed=seed)
    life.polled(5.0, clients)
    assert life.next is not None
    while life.due(life.next) != [Act.ANNOUNCE]:  # pings come in between where the window is long
        pass
    return life._announced - 5.0


def test_it_announces_itself_at_once_when_it_comes_up() -> None:
    up()


def test_it_pings_a_little_more_often_than_agreed() -> None:
    life = up()
    pings = [0.0]
    while len(pings) < 100:
        now = life.next
        assert now is not None
        assert life.due(now) == [Act.PING]
        pings.append(now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(pings)]
    assert max(gaps) <= PING_INTERVAL
    assert min(gaps) >= 0.9 * PING_INTERVAL
    assert max(gaps) * 3 < CLIENT_SILENCE


@pytest.mark.parametrize(("clients", "window"), [(0, 10.0), (9_000, 10.0), (50_000, 50.0), (100_000, 100.0)])
def test_answers_to_a_poll_are_spread_evenly_over_the_window(clients: int, window: float) -> None:
    delays = sorted(answer_delay(seed, clients) for seed in range(2000))
    assert delays[0] >= 0.0
    assert delays[-1] <= window
    # Kolmogorov-Smirnov against an even spread: beyond 1.95 / sqrt(n) once in a thousand; seeds are fixed.
    worst = max(abs((place + 0.5) / len(delays) - delay / window) for place, delay in enumerate(delays))
    assert worst < 1.95 / len(delays) ** 0.5


def test_a_poll_that_claims_too_many_clients_does_not_silence_them() -> None:
    assert max(answer_delay(seed, 10**12) for seed in range(50)) <= 1000.0
    assert max(answer_delay(seed, -5) for seed in range(50)) <= 10.0


def test_one_answer_serves_all_polls_that_came_before_it() -> None:
    life = up()
    life.polled(1.0)
    at = life.next
    for extra in range(50):
        life.polled(1.0 + extra / 1000)
    assert life.next == at
    assert at is not None
    assert life.due(at) == [Act.ANNOUNCE]
    assert life.due(at + 1.0) == []


def test_an_announcement_counts_as_a_sign_of_life() -> None:
    life = up()
    life.polled(1.0)
    at = life.next
    assert at is not None
    life.due(at)
    assert life.next is not None
    assert life.next >= at + 0.9 * PING_INTERVAL


def test_who_comes_back_announces_itself_within_the_window_and_not_with_all_the_others() -> None:
    delays = []
    for seed in range(200):
        life = up(seed=seed)
        life.lost()
        assert life.next is None
        life.connected(100.0)
        assert life.next is not None
        delays.append(life.next - 100.0)
    assert min(delays) < 1.0
    assert 9.0 < max(delays) <= 10.0


def test_a_change_is_announced_soon_but_flapping_does_not_flood() -> None:
    life = up()
    said = []
    for tenth in range(1, 101):
        now = tenth / 10
        life.changed(now)
        said += [now for act in life.due(now) if act is Act.ANNOUNCE]
    assert 8 <= len(said) <= 10


def test_while_away_nothing_is_due_and_polls_count_for_nothing() -> None:
    life = up()
    life.lost()
    life.polled(1.0)
    life.changed(1.0)
    assert life.due(1e9) == []


def test_it_leaves_once_and_only_if_it_is_there() -> None:
    life = up()
    assert life.stop() == [Act.LEAVE]
    assert life.stop() == []
    life.connected(5.0)
    assert (life.state, life.due(9.0)) == (State.LEFT, [])
    away = up()
    away.lost()
    assert away.stop() == []


def test_a_clock_that_stood_still_for_hours_makes_one_ping_not_hundreds() -> None:
    life = up()
    assert life.due(36_000.0) == [Act.PING]
    assert life.due(36_000.0) == []


def test_every_state_but_the_last_can_be_left() -> None:
    assert {state for state, _ in STEPS} == set(State) - {State.LEFT}
    assert set(STEPS.values()) == set(State) - {State.NEW}
