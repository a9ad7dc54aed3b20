from __future__ import annotations

import itertools
from random import Random

import pytest

from clacks.agent.lifecycle import STEPS, Act, Lifecycle, State
from clacks.common.presence import STATUS_INTERVAL, client_window, node_window


def joined(now: float = 0.0, nodes: int = 1, seed: int = 1) -> Lifecycle:
    """An agent that has its capabilities back."""
    life = Lifecycle(Random(seed))
    life.connected(now)
    assert life.due(now) == [Act.ANNOUNCE, Act.CAPABILITIES]
    assert life.returned(now, nodes)
    return life


def acts(
    life: Lifecycle, start: float, end: float, clients: int = 0, strangers: int = 0
) -> list[tuple[float, Act]]:
    """Everything that is done until then."""
    done = []
    while (when := life.next) is not None and when <= end:
        now = max(when, start)
        done += [(now, act) for act in life.due(now, clients, strangers)]
    return done


def test_an_agent_announces_itself_and_then_its_capabilities_and_is_ready_when_they_come_back() -> None:
    life = Lifecycle(Random(1))
    assert life.state is State.NEW
    assert life.next is None
    life.connected(10.0)
    assert life.next == 10.0
    assert life.due(10.0) == [Act.ANNOUNCE, Act.CAPABILITIES]
    assert life.state is State.JOINING
    assert life.returned(10.1, 1)
    assert life.state is State.READY
    assert not life.returned(10.2, 1)


def test_capabilities_that_do_not_come_back_are_sent_again_every_five_seconds() -> None:
    life = Lifecycle(Random(1))
    life.connected(0.0)
    done = [(when, act) for when, act in acts(life, 0.0, 11.0) if act is Act.CAPABILITIES]
    assert [when for when, _ in done] == [0.0, 5.0, 10.0]


def test_status_comes_every_ten_seconds_and_agents_that_start_together_are_out_of_step() -> None:
    firsts = set()
    for seed in range(20):
        done = [when for when, act in acts(joined(seed=seed), 0.0, 35.0) if act is Act.STATUS]
        assert 0.0 <= done[0] <= 1.0
        assert [round(later - earlier, 9) for earlier, later in itertools.pairwise(done)] == [
            STATUS_INTERVAL
        ] * 3
        firsts.add(done[0])
    assert len(firsts) == 20


@pytest.mark.parametrize("nodes", [1, 50, 1000])
def test_a_newcomer_is_answered_within_the_window_and_at_random(nodes: int) -> None:
    window = node_window(nodes)
    delays = []
    for seed in range(300):
        life = joined(seed=seed, nodes=nodes)
        acts(life, 0.0, 99.0)
        life.heard_announce(100.0, nodes)
        (delay,) = [
            when - 100.0 for when, act in acts(life, 100.0, 100.0 + window) if act is Act.CAPABILITIES
        ]
        delays.append(delay)
    assert 0.0 <= min(delays) < 0.05 * window
    assert 0.95 * window < max(delays) <= window
    assert 0.45 * window < sum(delays) / len(delays) < 0.55 * window


def test_one_broadcast_answers_all_newcomers_of_a_window() -> None:
    nodes = 1000
    life = joined(nodes=nodes)
    acts(life, 0.0, 99.0)
    for newcomer in range(nodes):
        life.heard_announce(100.0 + newcomer * 0.05, nodes)  # for five windows
        life.due(100.0 + newcomer * 0.05)
    done = [when for when, act in acts(life, 150.0, 170.0) if act is Act.CAPABILITIES]
    assert len(done) <= 1


def test_capabilities_go_out_at_most_once_per_window() -> None:
    life = joined()
    times = []
    for tick in range(2000):
        now = 20.0 + tick * 0.01
        life.heard_announce(now, 100)
        times += [now for act in life.due(now) if act is Act.CAPABILITIES]
    assert 10 <= len(times) <= 21
    assert all(later - earlier >= 0.999 for earlier, later in itertools.pairwise(times))


def test_an_agent_that_nobody_answers_polls_the_clients() -> None:
    done = acts(joined(), 0.0, 9.0)
    assert [act for _, act in done if act in (Act.POLL, Act.LEARN)] == [Act.POLL]


@pytest.mark.parametrize("strangers", [0, 3])
def test_of_those_that_came_together_one_polls_for_all_if_there_are_clients_from_before(
    strangers: int,
) -> None:
    """None of those agents was there before, so none has anything to tell."""
    lives = [joined(seed=seed) for seed in range(20)]
    for life in lives:
        for _ in range(len(lives) - 1):
            life.heard_announce(0.0, len(lives))
    polls, learned = 0, 0
    for tick in range(200):
        now = tick * 0.1
        for life in lives:
            done = life.due(now, 1000, strangers)
            learned += Act.LEARN in done
            if Act.POLL in done:
                polls += 1
                for other in lives:
                    other.heard_poll(now, 1000)
    assert (polls, learned) == (min(1, strangers), 0)


def test_an_agent_that_is_not_alone_learns_from_another() -> None:
    life = joined()
    life.heard_node()
    done = acts(life, 0.0, 9.0)
    assert [act for _, act in done if act in (Act.POLL, Act.LEARN)] == [Act.LEARN]
    life.learned(9.0, 2, all_of_them=False)
    assert Act.POLL in life.due(9.0)


def test_one_that_meets_nodes_that_were_there_before_learns_from_them_once() -> None:
    life = joined()
    life.heard_node()
    acts(life, 0.0, 50.0)
    life.miss_client(50.0, 10)  # the clients of the other side are heard as well
    for node in range(100):
        life.met(50.0 + node * 0.1, 10)
        life.miss_client(50.0 + node * 0.1, 10)
        if node == 0:
            done = acts(life, 50.0, 52.1)
    assert [act for _, act in done if act is not Act.STATUS] == [Act.LEARN]
    assert Act.LEARN not in [act for _, act in acts(life, 53.0, 80.0)]
    life.met(80.0, 10)
    assert Act.LEARN in [act for _, act in acts(life, 80.0, 83.0)]


def test_who_has_just_come_meets_nobody() -> None:
    life = joined()
    life.met(5.0, 10)
    life.heard_node()
    assert [act for _, act in acts(life, 2.9, 9.0) if act is Act.LEARN] == [Act.LEARN]  # as every newcomer
    assert Act.LEARN not in [act for _, act in acts(life, 9.1, 40.0)]


def test_of_many_that_could_learn_from_nobody_one_polls_for_all() -> None:
    lives = [joined(seed=seed) for seed in range(20)]
    for life in lives:
        life.heard_node()
        acts(life, 0.0, 50.0)
        life.met(50.0, 1000)
    asked, polls = 0, 0
    for tick in range(500):
        now = 50.0 + tick * 0.1
        for life in lives:
            done = life.due(now, 1000)
            if Act.LEARN in done:  # again and again, while one of those that it met may tell its commands
                asked += 1
                life.learned(now, 1000, all_of_them=False)
            if Act.POLL in done:
                polls += 1
                for other in lives:
                    other.heard_poll(now, 1000)
    assert asked > 100
    assert polls == 1


def test_a_node_without_capabilities_is_asked_for_them_by_an_announcement() -> None:
    life = joined()
    acts(life, 0.0, 50.0)
    life.miss_node(50.0, 100)
    life.miss_node(50.1, 100)
    assert [act for _, act in acts(life, 50.0, 52.0) if act is not Act.STATUS] == [
        Act.ANNOUNCE,
        Act.CAPABILITIES,  # they lack ours as well
    ]


def test_who_would_ask_does_not_if_another_one_did() -> None:
    life = joined()
    acts(life, 0.0, 50.0)
    life.miss_node(50.0, 100)
    life.heard_announce(50.0, 100)
    life.miss_node(50.5, 100)
    assert Act.ANNOUNCE not in [act for _, act in acts(life, 50.0, 60.0)]


def test_unknown_clients_are_polled_once_for_all_agents() -> None:
    life = joined()
    acts(life, 0.0, 50.0)
    life.miss_client(50.0, 10)
    other = joined(seed=2)
    acts(other, 0.0, 50.0)
    other.miss_client(50.0, 10)
    done = [when for when, act in acts(life, 50.0, 53.0, 100, 1) if act is Act.SEEK]
    assert len(done) == 1
    other.heard_poll(50.5, 20_000)
    for tick in range(int(2 * client_window(20_000))):
        other.miss_client(50.5 + tick, 10)
    assert Act.SEEK not in [act for _, act in acts(other, 50.0, 90.4, 20_000, 1)]
    # Who did not answer then is asked again, and nobody if all did.
    assert Act.SEEK in [act for _, act in acts(other, 90.5, 92.0, 20_000, 1)]
    life.miss_client(95.0, 10)
    assert Act.SEEK not in [act for _, act in acts(life, 95.0, 200.0, 100, 0)]


def test_a_poll_that_names_clients_is_soon_followed_by_one_for_others() -> None:
    life = joined()
    acts(life, 0.0, 50.0)
    life.miss_client(50.0, 10)
    first = [when for when, act in acts(life, 50.0, 53.0, 100_000, 3) if act is Act.SEEK]
    life.miss_client(60.0, 10)
    second = [when for when, act in acts(life, 60.0, 80.0, 100_000, 3) if act is Act.SEEK]
    assert 2 * client_window(3) <= second[0] - first[0] <= 2 * client_window(3) + 1.0


def test_a_poll_for_clients_of_others_does_not_silence_who_misses_some_more() -> None:
    life = joined()
    acts(life, 0.0, 50.0)
    life.miss_client(50.0, 10)
    life.heard_poll(50.5, 3, ours=False)
    assert Act.SEEK in [act for _, act in acts(life, 50.5, 53.0, 100, 1)]


def test_an_agent_that_lost_its_connection_is_silent_and_joins_anew_when_it_is_back() -> None:
    life = joined()
    life.lost()
    assert life.state is State.AWAY
    assert life.next is None
    life.connected(60.0)
    assert life.due(60.0) == [Act.ANNOUNCE, Act.CAPABILITIES]
    assert life.returned(60.1, 3)


def test_an_agent_says_that_it_leaves_if_anybody_can_hear_it() -> None:
    life = joined()
    assert life.stop() == [Act.LEAVE]
    assert life.state is State.LEFT
    assert life.next is None
    life.connected(5.0)
    assert life.next is None
    away = joined()
    away.lost()
    assert away.stop() == []


def test_every_state_can_be_left_and_none_is_reached_from_the_last() -> None:
    assert {state for state, what in STEPS if what.value == "stop"} == set(State) - {State.LEFT}
    assert State.LEFT not in {state for state, _ in STEPS}
