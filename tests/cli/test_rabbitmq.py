from __future__ import annotations

import pytest

from clacks.cli.rabbitmq import eavesdroppers, expires, reads_own_answers
from clacks.common.address import reply_address

USERS = [{"user": "jane"}, {"user": "joe"}, {"user": "agent"}]


def rule(user: str, read: str, exchange: str = "amq.topic") -> dict[str, str]:
    return {"user": user, "exchange": exchange, "write": ".*", "read": read}


OWN = [rule(name, rf"^(org\.clacks\.event\..*|reply\.{name}\..*)$") for name in ("jane", "joe", "agent")]


def test_with_the_rules_of_the_page_everybody_reads_its_own_answers_alone() -> None:
    assert reads_own_answers("jane", OWN)
    assert eavesdroppers("jane", USERS, OWN) == []


def test_without_topic_permissions_everybody_reads_along() -> None:
    assert eavesdroppers("jane", USERS, []) == ["agent", "joe"]
    assert eavesdroppers("jane", USERS, [rule("joe", "^$", "amq.direct"), *OWN[2:]]) == ["joe"]


def test_a_pattern_that_covers_the_answers_of_others_is_found() -> None:
    assert eavesdroppers("jane", USERS, [OWN[0], rule("joe", r"^reply\..*$"), OWN[2]]) == ["joe"]
    assert eavesdroppers("jane", USERS, [OWN[0], rule("joe", "reply"), OWN[2]]) == ["joe"]


def test_the_name_of_the_login_may_stand_for_itself_in_a_pattern() -> None:
    rules = [rule(name, r"^reply\.{username}\..*$") for name in ("jane", "joe", "agent")]
    assert reads_own_answers("jane", rules)
    assert eavesdroppers("jane", USERS, rules) == []


def test_a_login_without_the_right_to_its_own_answers_is_told() -> None:
    assert not reads_own_answers("jane", [rule("jane", r"^org\.clacks\.event\..*$")])


def test_names_are_escaped_as_the_bus_does() -> None:
    address = reply_address("jane.doe", "0")
    assert reads_own_answers("jane.doe", [rule("jane.doe", f"^{address}$".replace(".", r"\."))])
    assert eavesdroppers("jane.doe", USERS, OWN) == []


@pytest.mark.parametrize(
    ("pattern", "definition", "apply", "good"),
    [
        ("^amq[.]gen", {"expires": 60000}, "queues", True),
        ("^amq[.]gen", '{"expires":60000}', "all", True),
        ("^amq[.]gen", {"max-length": 5}, "queues", False),
        ("^other", {"expires": 60000}, "queues", False),
        (".*", {"expires": 60000}, "exchanges", False),
    ],
)
def test_a_policy_must_let_the_queues_of_subscribers_expire(
    pattern: str, definition: object, apply: str, good: bool
) -> None:
    assert expires([{"pattern": pattern, "definition": definition, "apply-to": apply}]) is good
