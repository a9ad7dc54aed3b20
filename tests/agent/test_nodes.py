from __future__ import annotations

from random import Random

import pytest

from clacks.agent.methods import NodeMethod, Pool
from clacks.agent.nodes import NodeTable, TableFull
from clacks.common.presence import NODE_SILENCE


def method(name: str, target: str = "core", kind: str = "NORMAL") -> NodeMethod:
    return NodeMethod(name, name, target, f"{name}()", kind, False, "Does it.")


def table(**options: int) -> NodeTable:
    return NodeTable(**options)


def test_a_node_is_there_from_its_announcement_to_its_leave() -> None:
    nodes = table()
    nodes.announced("one", "a", 1.0)
    assert [node.id for node in nodes] == ["one"]
    nodes.capable("one", "a", [method("x")], [("1.2", "sig")], "https://one/", 1.1)
    nodes.status("one", "a", 0.5, 0.001, 8, None, 2.0)
    node = nodes.get("one")
    assert node is not None
    assert (node.since, node.heard, node.load, node.latency, node.workers) == (1.0, 2.0, 0.5, 0.001, 8)
    assert (node.gateway, node.objects) == ("https://one/", (("1.2", "sig"),))
    left = nodes.left("one", "a", 3.0)
    assert left is not None
    assert left.id == "one"
    assert nodes.left("one", "a", 3.0) is None
    assert len(nodes) == 0


def test_who_announced_itself_first_of_all_was_seen_to_come() -> None:
    nodes = table()
    nodes.announced("new", "a", 5.0)
    nodes.capable("old", "b", [], [], None, 5.0)
    nodes.announced("old", "b", 6.0)  # it asks for capabilities: it has been there
    new, old = nodes.get("new"), nodes.get("old")
    assert new is not None
    assert old is not None
    assert (new.came_after(5.0), new.came_after(5.1), old.came_after(0.0)) == (True, False, False)
    again = nodes.announced("old", "c", 7.0)  # another life of it
    assert again is not None
    assert again.came_after(7.0)


def test_a_node_that_misses_three_statuses_is_dropped_and_one_that_misses_two_is_not() -> None:
    nodes = table()
    nodes.status("one", "a", 0.0, 0.0, 1, None, 100.0)
    assert nodes.expire(100.0 + 29.9) == []  # the third is due at 130
    assert nodes.expire(100.0 + NODE_SILENCE - 0.001) == []
    assert [node.id for node in nodes.expire(100.0 + NODE_SILENCE)] == ["one"]
    assert 30.0 < NODE_SILENCE < 40.0


def test_who_could_not_listen_counts_no_silence() -> None:
    nodes = table()
    nodes.announced("one", "a", 0.0)
    nodes.forgive(1000.0)
    assert nodes.expire(1000.0) == []
    assert nodes.expire(1000.0 + NODE_SILENCE)


def test_events_of_a_node_that_never_announced_itself_make_an_entry_without_methods() -> None:
    nodes = table()
    node = nodes.status("one", "a", 0.5, 0.1, 3, True, 1.0)
    assert node is not None
    assert node.methods is None
    assert nodes.left("two", "b", 1.0) is None


def test_a_restarted_node_takes_over_its_id_with_nothing_of_what_was() -> None:
    nodes = table()
    nodes.capable("one", "a", [method("x")], [], None, 1.0)
    nodes.announced("one", "b", 5.0)
    node = nodes.get("one")
    assert node is not None
    assert (node.instance, node.methods, node.since) == ("b", None, 5.0)
    # The last words of the former one come late.
    assert nodes.status("one", "a", 9.0, 9.0, 9, None, 5.5) is None
    assert nodes.left("one", "a", 5.5) is None
    assert not nodes.contested(node, 6.0)


def test_two_agents_with_one_id_do_not_tear_at_the_entry() -> None:
    nodes = table()
    nodes.announced("one", "a", 0.0)
    nodes.announced("one", "b", 1.0)
    nodes.capable("one", "b", [method("x")], [], None, 1.0)
    for now in range(10, 60, 10):
        assert nodes.status("one", "a", 9.0, 9.0, 9, None, float(now)) is None
        assert nodes.status("one", "b", 0.1, 0.1, 1, None, float(now)) is not None
    node = nodes.get("one")
    assert node is not None
    assert node.load == 0.1
    assert nodes.contested(node, 50.0)
    assert nodes.ignored == 5
    assert not nodes.contested(node, 50.0 + NODE_SILENCE)


def test_peers_that_do_not_tell_their_instance_are_taken_as_they_come() -> None:
    nodes = table()
    nodes.capable("one", "", [method("x")], [], None, 1.0)
    nodes.announced("one", "", 2.0)
    node = nodes.get("one")
    assert node is not None
    assert node.methods is not None
    assert nodes.status("one", "", 0.1, 0.1, 1, None, 3.0) is node


def test_the_least_burdened_provider_comes_first() -> None:
    nodes = table()
    for name, load in (("busy", 3.0), ("idle", 0.1), ("middle", 1.0)):
        nodes.capable(name, "", [method("x"), method("y", "lamps")], [], None, 0.0)
        nodes.status(name, "", load, 0.0, 4, None, 0.0)
    nodes.capable("other", "", [method("z")], [], None, 0.0)
    assert [node.id for node in nodes.providers("x")] == ["idle", "middle", "busy"]
    assert [node.id for node in nodes.providers("y", "lamps")] == ["idle", "middle", "busy"]
    assert nodes.providers("y", "core") == []
    nodes.status("idle", "", 0.1, 0.0, 0, None, 1.0)
    assert [node.id for node in nodes.providers("x")] == ["middle", "busy", "idle"], "it has no idle worker"
    node = nodes.get("middle")
    assert node is not None
    node.sent = 4
    assert [node.id for node in nodes.providers("x")] == ["busy", "idle", "middle"]


def test_there_is_an_end_to_the_table() -> None:
    nodes = table(most=2)
    nodes.announced("one", "", 0.0)
    nodes.announced("two", "", 0.0)
    with pytest.raises(TableFull):
        nodes.announced("three", "", 0.0)
    assert nodes.status("one", "", 0.0, 0.0, 1, None, 1.0) is not None


def test_equal_lists_of_methods_are_one_object_and_go_with_their_last_holder() -> None:
    pool: Pool[NodeMethod] = Pool()
    nodes = NodeTable(pool=pool)
    for number in range(100):
        nodes.capable(f"n{number}", "", [method("x"), method("y")], [], None, 0.0)
    assert len(pool) == 1
    for number in range(100):
        nodes.left(f"n{number}", "", 1.0)
    assert len(pool) == 0


def test_a_flapping_node_leaves_no_trace() -> None:
    nodes = table()
    random = Random(1)
    for step in range(3000):
        now = step * 0.01
        if random.random() < 0.5:
            nodes.announced("flap", f"i{step}", now)
            nodes.capable("flap", f"i{step}", [method(f"m{step}")], [], None, now)
        else:
            node = nodes.get("flap")
            if node is not None:
                nodes.left("flap", node.instance, now)
    nodes.announced("flap", "last", 31.0)
    assert [node.instance for node in nodes] == ["last"]
