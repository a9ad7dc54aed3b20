from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common import throttle as module
from clacks.common.throttle import LoginThrottle

FAR = "192.0.2.1"


def test_example_in_the_docstring_is_true():
    assert doctest.testmod(module).failed == 0


def fail(throttle: LoginThrottle, times: int, address: str = FAR, user: str = "alice", now: float = 0.0):
    for _ in range(times):
        throttle.failed(address, user, now)


def test_nobody_waits_before_the_limit():
    throttle = LoginThrottle()
    fail(throttle, 9)
    assert throttle.wait(FAR, "alice", 0.0) == 0


def test_wait_at_the_limit_is_paid_off_by_time():
    throttle = LoginThrottle()
    fail(throttle, 10)
    assert throttle.wait(FAR, "alice", 0.0) == 5
    assert throttle.wait(FAR, "alice", 4.0) == 1
    assert throttle.wait(FAR, "alice", 5.0) == 0
    fail(throttle, 1, now=5.0)
    assert throttle.wait(FAR, "alice", 5.0) == 5


def test_debt_does_not_grow_without_end():
    throttle = LoginThrottle()
    fail(throttle, 1000)
    assert throttle.wait(FAR, "alice", 0.0) == 5
    assert throttle.wait(FAR, "alice", 50.0) == 0


def test_user_is_not_locked_out_from_another_address():
    throttle = LoginThrottle()
    fail(throttle, 100)
    assert throttle.wait("198.51.100.9", "alice", 0.0) == 0


def test_address_that_tries_many_users_waits_whoever_is_next():
    throttle = LoginThrottle()
    for number in range(100):
        fail(throttle, 1, user=f"user{number}")
    assert throttle.wait(FAR, "somebody else", 0.0) == 1
    assert throttle.wait("192.0.2.2", "somebody else", 0.0) == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", ""])
def test_program_with_a_wrong_password_does_not_lock_out_the_others_of_this_machine(address):
    throttle = LoginThrottle()
    fail(throttle, 1000, address, "broken")
    assert throttle.wait(address, "broken", 0.0) > 0
    assert throttle.wait(address, "admin", 0.0) == 0


def test_network_of_one_host_with_ipv6_is_one_address():
    throttle = LoginThrottle()
    for number in range(10):
        fail(throttle, 1, f"2001:db8::{number:x}")
    assert throttle.wait("2001:db8::ffff", "alice", 0.0) > 0
    assert throttle.wait("2001:db8:0:1::1", "alice", 0.0) == 0
    fail(throttle, 10, "::ffff:203.0.113.5")
    assert throttle.wait("203.0.113.5", "alice", 0.0) > 0
    fail(throttle, 10, "fe80::1%eth0")
    assert throttle.wait("fe80::2%eth1", "alice", 0.0) > 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=200))
def test_memory_is_bounded(failures):
    throttle = LoginThrottle(size=10)
    for address, user in failures:
        throttle.failed(f"192.0.2.{address}", str(user), 0.0)
    assert len(throttle) <= 20


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_guesser_gets_no_more_tries_than_burst_and_rate_allow(pauses):
    throttle, now, tries = LoginThrottle(), 0.0, 0
    for pause in pauses:
        now += pause
        if throttle.wait(FAR, "alice", now) == 0:
            throttle.failed(FAR, "alice", now)
            tries += 1
    assert tries <= 10 + now / 5 + 1
