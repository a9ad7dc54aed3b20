from __future__ import annotations

import time

from clacks.common.metrics import MAX_SERIES, Histogram, Metrics


def test_counts_are_kept_by_name_and_labels() -> None:
    metrics = Metrics()
    metrics.count("dropped", reason="full")
    metrics.count("dropped", 2, reason="full")
    metrics.count("dropped", reason="late")
    metrics.count("sent", n=5)
    assert metrics.value("dropped", reason="full") == 3
    assert metrics.total("dropped") == 4
    assert metrics.value("sent") == 5
    assert metrics.value("never") == 0


def test_order_of_labels_does_not_matter() -> None:
    metrics = Metrics()
    metrics.count("x", a="1", b="2")
    metrics.count("x", b="2", a="1")
    assert metrics.value("x", b="2", a="1") == 2


def test_a_kept_counter_is_the_counter() -> None:
    metrics = Metrics()
    counter = metrics.counter("sent", to="a")
    counter.value += 1
    counter.add(2)
    assert metrics.value("sent", to="a") == 3
    assert metrics.counter("sent", to="a") is counter


def test_a_value_can_be_set() -> None:
    metrics = Metrics()
    metrics.set("connections", 5)
    metrics.set("connections", 4)
    assert metrics.value("connections") == 4


def test_a_snapshot_does_not_change() -> None:
    metrics = Metrics()
    metrics.count("b")
    metrics.count("a", x="1")
    before = metrics.snapshot()
    metrics.count("b")
    assert dict(before) == {("a", (("x", "1"),)): 1, ("b", ()): 1}
    assert list(before) == sorted(before)


def test_text_is_that_of_prometheus() -> None:
    metrics = Metrics()
    metrics.count("drops", why='a "b"\\\n')
    metrics.count("sent", 7)
    assert metrics.text() == 'drops{why="a \\"b\\"\\\\\\n"} 1\nsent 7\n'


def test_labels_of_strangers_cannot_fill_memory() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 500):
        metrics.count("drops", user=str(number))
    assert len(metrics.snapshot()) == MAX_SERIES + 1
    assert metrics.value("drops", user="other") == 500
    assert metrics.total("drops") == MAX_SERIES + 500
    metrics.count("drops", user="0")
    assert metrics.value("drops", user="0") == 2


def test_counting_costs_a_microsecond_or_two() -> None:
    metrics = Metrics()
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(5000):
            metrics.count("x", reason="y")
        best = min(best, (time.process_time() - start) / 5000)
    assert best < 5e-6


def test_a_histogram_counts_values_up_to_its_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.5):
        histogram.observe(value)
    assert histogram.counts == [2, 1, 1]
    assert histogram.count == 4
    assert histogram.total == 5.5
    assert histogram.quantile(0.5) == 1.0
    assert histogram.quantile(0.75) == 2.0
    assert histogram.quantile(1.0) == float("inf")
    assert Histogram().quantile(0.5) == 0.0


def test_the_text_of_a_histogram_is_that_of_prometheus() -> None:
    metrics = Metrics()
    metrics.histogram("age", type="A").observe(0.3)
    lines = metrics.text().splitlines()
    assert 'age_bucket{type="A",le="0.25"} 0' in lines
    assert 'age_bucket{type="A",le="0.5"} 1' in lines
    assert 'age_bucket{type="A",le="+Inf"} 1' in lines
    assert lines[-2:] == ['age_sum{type="A"} 0.3', 'age_count{type="A"} 1']


def test_histograms_are_bounded_as_counters_are() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 10):
        metrics.histogram("age", who=str(number)).observe(1.0)
    assert len(metrics.histograms()) == MAX_SERIES + 1
    assert metrics.histogram("age", who="other").count == 10
