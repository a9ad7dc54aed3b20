from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from clacks.common.errors import ProtocolError
from clacks.common.exposition import exposed, parsed
from clacks.common.measured import Measured, Reading
from clacks.common.metric_names import METRICS, MetricKind, shown_name
from clacks.common.metrics import Metrics

SOURCES = sorted((Path(__file__).parents[2] / "clacks").rglob("*.py"))


def measured() -> Measured:
    broker, agent = Metrics(), Metrics()
    broker.count("events_received", 3, type="PhoneStatus")
    broker.set("connections", 2)
    broker.count("connections_opened", 5)
    for seconds in (0.00002, 0.0004, 20.0):
        broker.histogram("route_seconds").observe(seconds)
    agent.count("events_dropped", reason='odd "words"\n')
    agent.set("filters", 1)
    broker.set("filters", 7)
    found = Measured()
    found.add("broker", broker, lambda: [("queue_messages", {"queue": "q"}, 4)])
    found.add("agent", agent)
    return found


def test_parts_of_a_process_do_not_hide_each_other() -> None:
    numbers = measured().read().numbers
    assert numbers["filters", (("part", "broker"),)] == 7
    assert numbers["filters", (("part", "agent"),)] == 1
    assert numbers["queue_messages", (("part", "broker"), ("queue", "q"))] == 4


def test_what_a_page_says_is_read_as_what_was_measured() -> None:
    before = measured().read()
    page, content_type = exposed(before, "")
    assert content_type.startswith("text/plain")
    after = parsed(page.decode())
    own = {key: value for key, value in after.numbers.items() if not key[0].startswith("process_")}
    assert own == dict(before.numbers)
    assert after.histograms == dict(before.histograms)


def test_openmetrics_is_written_for_whoever_asks() -> None:
    page, content_type = exposed(measured().read(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")


def test_a_page_tells_kinds_and_meanings() -> None:
    page = exposed(measured().read(), "")[0].decode()
    for line in (
        "# TYPE clacks_connections gauge",
        "# TYPE clacks_connections_opened_total counter",
        "# TYPE clacks_route_seconds histogram",
        "# HELP clacks_connections Open connections.",
        'clacks_route_seconds_bucket{le="+Inf",part="broker"} 3.0',
        'clacks_route_seconds_count{part="broker"} 3.0',
    ):
        assert line in page.splitlines(), page
    assert "process_resident_memory_bytes" in page


def test_a_reading_travels_as_json() -> None:
    before = measured().read()
    assert Reading.from_json(before.to_json()) == before


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        [],
        {},
        {"numbers": [["a", {}, "x"]], "histograms": []},
        {"numbers": [[1, {}, 1]], "histograms": []},
        {"numbers": [["a", 7, 1]], "histograms": []},
        {"numbers": [], "histograms": [["a", {}, {"bounds": [1], "counts": [1], "sum": 1}]]},
    ],
)
def test_what_is_no_reading_is_refused(foreign: object) -> None:
    with pytest.raises(ProtocolError):
        Reading.from_json(foreign)


@pytest.mark.parametrize("page", ["<html>", "clacks_a{", "clacks_a x", 'clacks_a{b="c} 1'])
def test_what_is_no_page_is_refused_or_empty(page: str) -> None:
    with contextlib.suppress(ProtocolError):
        assert parsed(page) == Reading()


def counted() -> Iterator[tuple[str, str]]:
    """Yield every name that the sources count, with how."""
    ways = {"count": "counter", "counter": "counter", "set": "gauge", "histogram": "histogram"}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name, way = node.args[0].value, getattr(node.func, "attr", "")
                owner = ast.unparse(node.func).lower()
                if isinstance(name, str) and way in ways and "metrics" in owner:
                    yield name, ways[way]
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Drops":
                yield (
                    (ast.literal_eval(node.args[1]) if len(node.args) > 1 else "messages_dropped"),
                    "counter",
                )
            if (
                isinstance(node, ast.Yield)
                and isinstance(node.value, ast.Tuple)
                and len(node.value.elts) == 3
            ):
                name = node.value.elts[0]
                if isinstance(name, ast.Constant) and isinstance(node.value.elts[1], ast.Dict | ast.Name):
                    yield str(name.value), "gauge"


def test_every_name_that_is_counted_has_a_meaning_and_the_other_way_round() -> None:
    found = {name for name, _ in counted()}
    assert found - set(METRICS) == set()
    assert set(METRICS) - found == set()


def test_names_have_the_kind_that_they_are_counted_as() -> None:
    for name, way in counted():
        kind = METRICS[name].kind
        # A gauge may be kept in a counter that also goes down.
        assert kind == way or (kind is MetricKind.GAUGE and way == "counter"), name


def test_no_two_names_look_alike_to_prometheus() -> None:
    families = [shown_name(name).removesuffix("_total") for name in METRICS]
    assert len(set(families)) == len(families)
