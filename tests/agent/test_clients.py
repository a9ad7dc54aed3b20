from __future__ import annotations

import tracemalloc
from random import Random

import pytest

from clacks.agent.clients import ClientTable, Device
from clacks.agent.methods import ClientMethod
from clacks.agent.nodes import TableFull
from clacks.common.presence import CLIENT_SILENCE, PING_INTERVAL


def device(number: int = 1) -> Device:
    return Device.of(
        "".join(["et", "h0"]),
        f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        f"fe80::{number:x}",
        f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        ".".join(["255", "255", "255", "0"]),
        ".".join(["10", "255", "255", "255"]),
    )


def methods(count: int = 3) -> list[ClientMethod]:
    return [ClientMethod(f"m{n}", f"m{n}", f"m{n}(text)", "Does it. " * 10) for n in range(count)]


def announce(table: ClientTable, id_: str = "pc1", instance: str = "a", now: float = 0.0) -> None:
    table.announced(id_, instance, f"{id_}.example", "jane", [device()], methods(), now)


def test_a_client_is_there_from_its_announcement_to_its_leave() -> None:
    table = ClientTable()
    announce(table, now=1.0)
    client = table.get("pc1")
    assert client is not None
    assert (client.name, client.user, client.devices, client.since) == (
        "pc1.example",
        "jane",
        (device(),),
        1.0,
    )
    assert client.provides("m1") is not None
    assert client.provides("x") is None
    assert len(table) == 1
    assert table.left("pc1", "a") is client
    assert table.left("pc1", "a") is None
    assert len(table) == 0


def test_a_client_that_misses_three_pings_is_dropped_whoever_else_lives() -> None:
    table = ClientTable()
    for number in range(10):
        announce(table, f"pc{number}", now=0.0)
    for beat in range(1, 5):
        for number in range(0, 10, 2):
            table.heard(f"pc{number}", "a", beat * PING_INTERVAL)
    assert table.expire(3 * PING_INTERVAL) == []
    gone = table.expire(CLIENT_SILENCE)
    assert sorted(client.id for client in gone) == ["pc1", "pc3", "pc5", "pc7", "pc9"]
    assert len(table) == 5


def test_who_could_not_listen_counts_no_silence() -> None:
    table = ClientTable()
    announce(table)
    table.forgive(1000.0)
    assert table.expire(1000.0 + CLIENT_SILENCE - 1) == []
    assert len(table.expire(1000.0 + CLIENT_SILENCE)) == 1


def test_a_client_heard_of_but_not_announced_is_a_stranger_until_it_is() -> None:
    table = ClientTable()
    table.heard("pc1", "a", 1.0)
    table.session("pc1", "a", ["ann"], 2.0)
    assert (len(table), table.strangers, table.get("pc1"), list(table)) == (0, 1, None, [])
    announce(table, now=3.0)
    assert (len(table), table.strangers) == (1, 0)
    assert [client.users for client in table] == [("ann",)]
    table.heard("pc2", "a", 3.0)
    assert len(table.expire(3.0 + CLIENT_SILENCE)) == 2
    assert table.strangers == 0


def test_how_many_clients_there_are_is_told_from_those_heard_so_far() -> None:
    table = ClientTable()
    for number in range(5000):
        table.heard(f"pc{number}", "a", 100.0 + number / 1667)
    assert 95_000 < table.expected(103.0, 100.0) < 105_000
    assert table.expected(1000.0, 100.0) == 5000


def test_a_session_says_all_who_are_logged_on() -> None:
    table = ClientTable()
    announce(table)
    announce(table, "pc2")
    table.session("pc1", "a", ["ann", "bob"], 1.0)
    table.session("pc2", "a", ["bob"], 1.0)
    assert [client.id for client in table.where("bob")] == ["pc1", "pc2"]
    table.session("pc1", "a", [], 2.0)
    assert [client.id for client in table.where("bob")] == ["pc2"]
    assert table.where("ann") == []


def test_an_answer_to_a_poll_keeps_the_sessions_and_a_restart_does_not() -> None:
    table = ClientTable()
    announce(table)
    table.session("pc1", "a", ["ann"], 1.0)
    announce(table, now=2.0)
    client = table.get("pc1")
    assert client is not None
    assert client.users == ("ann",)
    announce(table, instance="b", now=3.0)
    assert (client.users, client.since) == (None, 3.0)


def test_another_client_with_the_same_id_is_passed_over_until_it_announces_itself() -> None:
    table = ClientTable()
    announce(table, instance="a")
    assert table.heard("pc1", "b", 1.0) is None
    assert table.session("pc1", "b", ["eve"], 1.0) is None
    assert table.left("pc1", "b") is None
    assert len(table) == 1
    announce(table, instance="b", now=2.0)
    assert table.left("pc1", "b") is not None


def test_a_signature_replaces_the_methods_and_nothing_else() -> None:
    table = ClientTable()
    announce(table)
    table.signed("pc1", "a", methods(1), 1.0)
    client = table.get("pc1")
    assert client is not None
    assert client.methods is not None
    assert [item.name for item in client.methods.items] == ["m0"]
    assert client.devices == (device(),)
    assert table.signed("stranger", "a", methods(1), 1.0) is not None
    assert table.get("stranger") is None


def test_what_another_agent_knows_is_taken_unless_ours_is_newer() -> None:
    table = ClientTable()

    def learn(id_: str, name: str, announced: float, heard: float, now: float) -> bool:
        return table.learned(
            id_,
            "a",
            name,
            "jane",
            [],
            [],
            ["ann"],
            since=announced,
            heard=heard,
            announced=announced,
            now=now,
        )

    assert learn("pc1", "old", 10.0, 50.0, 60.0)
    announce(table, "pc2", now=20.0)
    assert not learn("pc2", "older", 10.0, 50.0, 60.0)
    assert learn("pc2", "newer", 30.0, 50.0, 60.0)
    assert not learn("gone", "silent", 10.0, 60.0 - CLIENT_SILENCE, 60.0)
    found = {client.id: (client.name, client.users, client.heard, client.since) for client in table}
    assert found == {"pc1": ("old", ("ann",), 50.0, 10.0), "pc2": ("newer", ("ann",), 50.0, 30.0)}


def test_who_fell_silent_is_dropped_at_its_time_whoever_told_us_of_it() -> None:
    heard, told = ClientTable(), ClientTable()
    announce(heard, "pc1", now=0.0)
    announce(told, "pc2", now=100.0)
    told.learned("pc1", "a", "pc1", "jane", [], [], None, since=0.0, heard=0.0, announced=0.0, now=150.0)
    for table in (heard, told):
        announce(table, "pc3", now=160.0)
        assert table.expire(CLIENT_SILENCE - 0.1) == []
        assert [client.id for client in table.expire(CLIENT_SILENCE)] == ["pc1"]


def test_one_that_was_told_of_and_is_heard_again_stays() -> None:
    table = ClientTable()
    table.learned("pc1", "a", "pc1", "jane", [], [], None, since=0.0, heard=0.0, announced=0.0, now=150.0)
    table.heard("pc1", "a", 151.0)
    assert table.expire(CLIENT_SILENCE + 1.0) == []
    assert [client.id for client in table.expire(151.0 + CLIENT_SILENCE)] == ["pc1"]


def test_those_that_are_wanted_are_named_unless_there_are_too_many() -> None:
    table = ClientTable()
    announce(table, "pc1")
    assert table.wanted(2) == []
    table.heard("pc2", "a", 1.0)
    table.heard("pc3", "a", 1.0)
    assert table.wanted(2) == ["pc2", "pc3"]
    table.heard("pc4", "a", 1.0)
    assert table.wanted(2) == []


def test_pages_walk_through_all_clients_by_id() -> None:
    table = ClientTable()
    ids = [f"pc{number}" for number in range(25)]
    Random(1).shuffle(ids)
    for id_ in ids:
        announce(table, id_)
    table.heard("stranger", "", 0.0)
    found: list[str] = []
    while page := table.page(found[-1] if found else "", 10):
        found += [client.id for client in page]
    assert found == sorted(ids)


def test_there_is_an_end_to_the_table_and_flapping_clients_do_not_reach_it() -> None:
    table = ClientTable(most=100)
    for step in range(1000):
        announce(table, f"flap{step}", now=float(step))
        table.left(f"flap{step}", "a")
    for number in range(100):
        announce(table, f"pc{number}")
    with pytest.raises(TableFull):
        announce(table, "one too many")
    announce(table, "pc1")


@pytest.mark.slow
def test_an_entry_costs_at_most_two_kilobytes() -> None:
    count = 5000
    table = ClientTable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            id_ = f"{number:08x}-4e43-4a5e-9c0e-52540012ab{number & 255:02x}"
            devices = [device(number), device(number + 70_000)]
            table.announced(id_, f"{number:016x}", f"desktop-{number}", "clients", devices, methods(40), 0.0)
            table.session(id_, f"{number:016x}", [f"user{number}"], 1.0)
        each = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    assert each < 2048, f"{each:.0f} bytes"
