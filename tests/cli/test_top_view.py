from __future__ import annotations

from clacks.cli.top_view import SECTIONS, Source, rows_of
from clacks.common.measured import Measured, Reading
from clacks.common.metrics import Metrics


class Process:
    """A process with a broker and an agent."""

    def __init__(self) -> None:
        self.broker, self.agent = Metrics(), Metrics()
        self.waiting = 0
        self.measured = Measured()
        self.measured.add(
            "broker",
            self.broker,
            lambda: [
                ("subscription_waiting", {"user": "joe", "address": "a"}, self.waiting),
                ("subscription_dropped", {"user": "joe", "address": "a"}, 3),
                ("queue_messages", {"queue": "q"}, 2),
                ("queue_messages", {"queue": "idle"}, 0),
                ("waiting_bytes", {}, 2048),
            ],
        )
        self.measured.add("agent", self.agent, lambda: [("connected", {}, 1)])
        self.broker.set("connections", 4)

    def work(self) -> None:
        self.broker.count("events_received", 20, type="A")
        self.broker.count("events_received", 400, type="B")
        self.broker.count("messages_delivered", 840)
        self.broker.count("messages_dropped", 10, reason="slow consumer")
        self.agent.count("events_delivered", 20, type="A")
        for _ in range(99):
            self.broker.histogram("route_seconds").observe(0.00002)
        self.broker.histogram("route_seconds").observe(0.3)

    def read(self) -> Reading:
        return self.measured.read()


def tables(*sources: Source) -> dict[str, list[dict[str, str]]]:
    return {
        section.name: [dict(zip(section.headings, row)) for row in rows] for section, rows in rows_of(sources)
    }


def seen() -> Source:
    process = Process()
    process.work()
    process.work()
    before = process.read()
    process.waiting = 7
    process.work()
    return Source("n1", before, process.read(), 2.0)


def test_two_readings_become_rates_and_latencies_of_the_time_between() -> None:
    broker, agent = tables(seen())["process"]
    assert broker["bus"] == "4 in"
    assert broker["in/s"] == "210"
    assert broker["out/s"] == "420"
    assert broker["dropped/s"] == "5.0"
    assert (broker["p50"], broker["p99"]) == ("25 us", "25 us")
    assert broker["waiting"] == "2.0 KiB"
    assert (agent["bus"], agent["in/s"], agent["p50"]) == ("up", "10.0", "")


def test_types_are_ordered_by_what_goes_on_with_them() -> None:
    first, second = tables(seen())["type"]
    assert (first["type"], first["received/s"], first["received"]) == ("B", "200", "1200")
    assert (second["type"], second["delivered/s"]) == ("A", "10.0")


def test_what_is_dropped_and_what_waits_is_named() -> None:
    found = tables(seen())
    assert found["dropped"] == [
        {"process": "n1", "part": "broker", "reason": "slow consumer", "dropped/s": "5.0", "dropped": "30"}
    ]
    assert [(row["for"], row["at"], row["messages"], row["given up"]) for row in found["waiting"]] == [
        ("joe", "a", "7", "3"),
        ("queue", "q", "2", "0"),
    ]


def test_a_process_that_began_anew_has_no_negative_rates() -> None:
    source = seen()
    turned = Source("n1", source.after, source.before, 2.0)
    (broker, _) = tables(turned)["process"]
    assert float(broker["in/s"]) > 0
    assert all(not row["received/s"].startswith("-") for row in tables(turned)["type"])


def test_a_process_that_does_not_answer_is_one_row_with_the_reason() -> None:
    found = tables(Source("n2", problem="nobody there"))
    assert [list(row.values())[:2] for row in found["process"]] == [["n2", "nobody there"]]


def test_every_row_has_a_cell_for_each_heading() -> None:
    for section, rows in rows_of([seen(), Source("n2", problem="x")]):
        assert section in SECTIONS
        assert {len(row) for row in rows} <= {len(section.headings)}
