"""Rate limits: a window that begins with the first message."""

from __future__ import annotations

from clacks.dialects.access import Identity, RateLimit
from clacks.gateway.rates import Rates


def ann(*limits: RateLimit) -> Identity:
    return Identity("clacks:guest", origin="ann", limits=limits)


def test_the_exact_rule_wins_then_the_longest() -> None:
    rates = Rates()
    one = ann(RateLimit("#", 10.0, 1), RateLimit("a/#", 10.0, 2), RateLimit("a/b", 10.0, 3))
    assert [rates.allow(one, "a/b", 0.0) for _ in range(4)] == [True, True, True, False]
    assert [rates.allow(one, "a/c", 0.0) for _ in range(3)] == [True, True, False]
    assert [rates.allow(one, "x", 0.0) for _ in range(2)] == [True, False]


def test_all_connections_of_a_user_share_one_window_and_others_have_their_own() -> None:
    rates = Rates()
    rule = RateLimit("a", 10.0, 1)
    assert rates.allow(ann(rule), "a", 0.0)
    assert not rates.allow(ann(rule), "a", 9.9)
    assert rates.allow(Identity("clacks:guest", origin="bob", limits=(rule,)), "a", 0.0)
    assert rates.allow(ann(rule), "a", 10.0)


def test_what_no_rule_covers_is_free() -> None:
    assert all(Rates().allow(ann(RateLimit("a", 1.0, 1)), "b", 0.0) for _ in range(10))


def test_windows_are_bounded() -> None:
    rates = Rates(size=3)
    for number in range(10):
        rates.allow(Identity("u", origin=str(number), limits=(RateLimit("a", 10.0, 1),)), "a", 0.0)
    assert len(rates._windows) == 3
