from __future__ import annotations

from clacks.common.timers import Timers


def test_what_is_due_is_taken_once_and_the_rest_stays() -> None:
    timers: Timers[str] = Timers()
    assert timers.next is None
    timers.replace({"late": 9.0, "soon": 1.0, "sooner": 0.5})
    assert timers.next == 0.5
    assert timers.take(1.0) == ["soon", "sooner"]
    assert timers.take(1.0) == []
    assert "late" in timers
    assert "soon" not in timers
    assert timers.next == 9.0


def test_a_time_is_set_kept_or_brought_forward() -> None:
    timers: Timers[str] = Timers()
    timers.unless("ping", 5.0)
    timers.unless("ping", 3.0)
    assert timers.next == 5.0
    timers.sooner("ping", 7.0)
    assert timers.next == 5.0
    timers.sooner("ping", 4.0)
    assert timers.next == 4.0
    timers.at("ping", 8.0)
    assert timers.next == 8.0
    timers.sooner("rest", 6.0)
    assert timers.next == 6.0
    timers.drop("rest", "never")
    assert timers.next == 8.0
