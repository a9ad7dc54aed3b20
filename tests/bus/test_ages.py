from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clacks.amqp.messages import Message
from clacks.bus.ages import Ages
from clacks.common.metrics import Metrics

NOW = 1_800_000_000.0


def message(sent: object) -> Message:
    made = Message(body=b"")
    made.properties = {"cloudEvents_time": sent}
    return made


def text(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def test_the_age_of_an_event_is_the_time_since_it_was_published() -> None:
    metrics = Metrics()
    Ages(metrics).note(message(text(NOW - 0.5)), NOW)
    histogram = metrics.histogram("event_age_seconds")
    assert histogram.count == 1
    assert histogram.total == pytest.approx(0.5)


def test_a_clock_that_is_ahead_makes_no_negative_age() -> None:
    metrics = Metrics()
    Ages(metrics).note(message(text(NOW + 60)), NOW)
    assert metrics.histogram("event_age_seconds").total == 0.0


def test_a_flood_is_sampled_and_a_trickle_is_counted_whole() -> None:
    metrics = Metrics()
    ages = Ages(metrics)
    for number in range(1000):
        ages.note(message(text(NOW)), NOW + number * 0.001)
    sampled = metrics.histogram("event_age_seconds").count
    assert 90 <= sampled <= 101
    for number in range(100):
        ages.note(message(text(NOW)), NOW + 10 + number)
    assert metrics.histogram("event_age_seconds").count == sampled + 100


def test_a_clock_that_jumps_back_does_not_stop_the_samples() -> None:
    metrics = Metrics()
    ages = Ages(metrics)
    ages.note(message(text(NOW)), NOW)
    ages.note(message(text(NOW)), NOW - 3600)
    assert metrics.histogram("event_age_seconds").count == 2


@pytest.mark.parametrize("sent", [None, "yesterday", 7, "2026-01-01T00:00:00"])
def test_a_time_that_is_none_disturbs_nobody(sent: object) -> None:
    metrics = Metrics()
    Ages(metrics).note(message(sent), NOW)
    assert metrics.histogram("event_age_seconds").count == (sent == "2026-01-01T00:00:00")
