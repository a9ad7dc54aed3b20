from __future__ import annotations

import pytest

from clacks.broker.names import Place, classify, may_receive, may_send
from clacks.broker.refusal import Refused
from clacks.common.rights import parse_rights

DOMAIN = "org.clacks"

RIGHTS = parse_rights(
    """
    [users.jane]
    roles = ["desk"]
    [users."jane.doe"]
    roles = []
    [roles.desk]
    publish = ["Phone*"]
    read = ["PhoneStatus"]
    create = ["weather.*", "org.clacks.command.desk"]
    announce = ["desk-*"]
    """
)


@pytest.mark.parametrize(
    ("address", "place", "kind", "pattern"),
    [
        ("org.clacks.event", Place.EVENT, None, True),
        ("org.clacks.event.#", Place.EVENT, None, True),
        ("org.clacks.event.*", Place.EVENT, None, True),
        ("org.clacks.event.PhoneStatus", Place.EVENT, "PhoneStatus", False),
        ("org.clacks.event.*.x", Place.EVENT, None, True),
        ("org.clacks.command.core", Place.COMMAND, "core", False),
        ("org.clacks.command.core.n1", Place.COMMAND, "core.n1", False),
        ("org.clacks.client.7", Place.CLIENT, "7", False),
        ("org.clackson.event.X", Place.OTHER, None, False),
        ("weather.x", Place.OTHER, None, False),
        ("weather.#", Place.OTHER, None, True),
        ("a*b", Place.OTHER, None, False),
        ("#", Place.OTHER, None, True),
    ],
)
def test_an_address_has_its_place(address, place, kind, pattern):
    name = classify(address, DOMAIN)
    assert (name.place, name.kind, name.pattern) == (place, kind, pattern)
    assert name.queue == (place in (Place.COMMAND, Place.CLIENT))


def test_all_ways_to_say_all_events_are_one_pattern():
    addresses = ("org.clacks.event", "org.clacks.event.#", "org.clacks.event.*")
    assert {classify(address, DOMAIN).address for address in addresses} == {"org.clacks.event.#"}


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x" * 1025,
        ".".join("a" * 33),
        "a\x00b",
        "a\u202eb",
        "org.clacks",
        "org.clacks.foo",
        "org.clacks.command.",
        "org.clacks.command.*",
        "org.clacks.client.#",
    ],
)
def test_what_means_nothing_is_refused(address):
    with pytest.raises(Refused):
        classify(address, DOMAIN)


@pytest.mark.parametrize(
    ("user", "address", "exists", "send", "receive"),
    [
        ("jane", "org.clacks.event.PhoneStatus", False, True, True),
        ("jane", "org.clacks.event.PhoneBook", False, True, False),
        ("jane", "org.clacks.event.NodeLeave", False, False, False),
        ("jane", "org.clacks.event", False, True, True),
        ("jane", "org.clacks.event.*.x", False, False, True),
        ("jane.doe", "org.clacks.event", False, True, False),
        ("jane", "org.clacks.command.desk", False, True, True),
        ("jane", "org.clacks.command.core", False, True, False),
        ("jane", "org.clacks.command.core", True, True, False),
        ("jane", "org.clacks.client.desk-1", False, False, True),
        ("jane", "org.clacks.client.other", False, False, False),
        ("jane", "weather.x", False, True, True),
        ("jane", "weather.*", False, False, True),
        ("jane", "sport.x", False, False, False),
        ("jane", "sport.x", True, True, True),
        ("jane", "sport.#", True, False, False),
        ("jane", "reply.jane.1", False, False, True),
        ("jane", "reply.jane%2Edoe.1", True, True, False),
        ("jane.doe", "reply.jane%2Edoe.1", False, False, True),
        ("jane.doe", "reply.jane.doe.1", True, True, False),
        ("stranger", "weather.x", False, False, False),
    ],
)
def test_who_may_do_what(user, address, exists, send, receive):
    name = classify(address, DOMAIN)
    kinds = frozenset(kind for kind in ("PhoneStatus", "NodeLeave") if RIGHTS.may_read(user, kind))

    def allowed(check) -> bool:
        try:
            check()
        except Refused:
            return False
        return True

    assert allowed(lambda: may_send(name, user, RIGHTS, exists=exists)) == send
    assert allowed(lambda: may_receive(name, user, RIGHTS, kinds, exists=exists)) == receive
