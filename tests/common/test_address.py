from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.address import (
    BusURL,
    client_address,
    command_address,
    event_address,
    event_kind,
    is_event_address,
    is_loopback,
    reply_address,
    topic_matches,
)
from clacks.common.errors import SettingsError
from tests.costs import cpu_seconds


def test_url_of_the_reference_document_is_read() -> None:
    url = BusURL.parse("amqps://admin:secret@localhost/org.clacks")
    assert (url.scheme, url.host, url.port, url.user, url.password, url.domain) == (
        "amqps",
        "localhost",
        5671,
        "admin",
        "secret",
        "org.clacks",
    )
    assert url.tls
    assert url.loopback


@pytest.mark.parametrize(
    ("text", "port", "domain"),
    [
        ("amqp://host", 5672, "org.clacks"),
        ("amqp://host/", 5672, "org.clacks"),
        ("amqps://host:1234/a.b-c", 1234, "a.b-c"),
        ("AMQP://host", 5672, "org.clacks"),
    ],
)
def test_what_is_left_out_has_defaults(text: str, port: int, domain: str) -> None:
    url = BusURL.parse(text)
    assert (url.port, url.domain, url.user, url.password) == (port, domain, None, None)


def test_default_domain_is_an_argument() -> None:
    assert BusURL.parse("amqp://host", default_domain="org.example").domain == "org.example"


def test_ipv6_hosts_lose_and_regain_their_brackets() -> None:
    url = BusURL.parse("amqp://u@[::1]:99/d")
    assert url.host == "::1"
    assert url.loopback
    assert url.safe == "amqp://u@[::1]:99/d"


def test_user_and_password_are_percent_decoded() -> None:
    url = BusURL.parse("amqp://j%40ne:p%2Fw%3A@host")
    assert (url.user, url.password) == ("j@ne", "p/w:")
    assert BusURL.parse(url.safe).user == "j@ne"


def test_nobody_sees_the_password() -> None:
    url = BusURL.parse("amqp://admin:secret@host")
    assert "secret" not in f"{url} {url!r} {url.safe} {[url]}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "http://u:hidden@host",
        "amqp:host",
        "amqp:///org.clacks",
        "amqp://u:hidden@host:99999",
        "amqp://u:hidden@host:port",
        "amqp://u:hid/den@host/domain",
        "amqp://u:hid#den@host/domain",
        "amqp://:hidden@host",
        "amqp://u:hidden@host/a/b",
        "amqp://u:hidden@host/org.*",
        "amqp://u:hidden@host/a..b",
        "amqp://u:hidden@host/d?x=1",
        "amqp://u:hidden@ho st/d",
        "amqp://u:hidden@[::1/d",
        "amqp://u:hidden@host%00/d",
    ],
)
def test_bad_urls_are_refused_without_showing_the_password(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        BusURL.parse(text)
    assert "hid" not in str(caught.value)
    assert "den" not in str(caught.value).replace("hidden", "")


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_a_settings_error(text: str) -> None:
    try:
        url = BusURL.parse("amqp://" + text)
    except SettingsError:
        return
    assert 0 <= url.port <= 65535
    assert url.host
    again = BusURL.parse(url.safe)
    assert (again.host, again.port, again.user, again.domain) == (url.host, url.port, url.user, url.domain)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.evil.org", False),
    ],
)
def test_loopback_is_told_by_name_and_address(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_addresses_are_those_of_the_wire() -> None:
    assert event_address("org.clacks") == "org.clacks.event"
    assert event_address("org.clacks", "PhoneStatus") == "org.clacks.event.PhoneStatus"
    assert command_address("org.clacks") == "org.clacks.command.core"
    assert command_address("org.clacks", "net", "n1") == "org.clacks.command.net.n1"
    assert client_address("org.clacks", "c1") == "org.clacks.client.c1"


@pytest.mark.parametrize("level", ["", "a b", "*", "#", "a\nb"])
def test_wildcards_and_white_space_are_no_names(level: str) -> None:
    for build in (
        lambda: event_address("d", level),
        lambda: command_address("d", level),
        lambda: command_address("d", "core", level),
        lambda: client_address("d", level),
    ):
        with pytest.raises(ValueError, match="address"):
            build()


def test_reply_addresses_of_one_user_are_not_below_those_of_another() -> None:
    assert reply_address("jane", "1") == "reply.jane.1"
    assert reply_address("jane.doe", "1") == "reply.jane%2Edoe.1"
    assert not topic_matches("reply.jane.#", reply_address("jane.doe", "1"))
    assert reply_address("#", "1") == "reply.%23.1"


@pytest.mark.parametrize(
    ("address", "kind", "event"),
    [
        ("org.clacks.event.PhoneStatus", "PhoneStatus", True),
        ("org.clacks.event.A.b", "A.b", True),
        ("org.clacks.event", None, True),
        ("org.clacks.event.#", None, True),
        ("org.clacks.event.*", None, True),
        ("org.clacks.event.", None, False),
        ("org.clacks.events", None, False),
        ("org.clacks.command.core", None, False),
        ("org.other.event.X", None, False),
    ],
)
def test_event_kind_is_read_from_the_address(address: str, kind: str | None, event: bool) -> None:
    assert event_kind(address, "org.clacks") == kind
    assert is_event_address(address, "org.clacks") is event


@pytest.mark.parametrize(
    ("pattern", "topic", "answer"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#", "a.b", True),
        ("#.c", "a.b.c", True),
        ("#.c", "a.b.d", False),
        ("a.#.d", "a.d", True),
        ("a.#.d.*", "a.d.x.d.y", True),
        ("#.*", "a", True),
        ("#.*.*", "a", False),
        ("#.#", "a", True),
        ("a.b.#.#", "a.b", True),
        ("", "", True),
        ("*", "", True),
    ],
)
def test_topic_patterns_cover_levels(pattern: str, topic: str, answer: bool) -> None:
    assert topic_matches(pattern, topic) is answer


def _by_definition(pattern: list[str], topic: list[str]) -> bool:
    if not pattern:
        return not topic
    if pattern[0] == "#":
        return any(_by_definition(pattern[1:], topic[start:]) for start in range(len(topic) + 1))
    return bool(topic) and pattern[0] in ("*", topic[0]) and _by_definition(pattern[1:], topic[1:])


@given(
    st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6),
)
def test_topic_matching_is_the_definition(pattern: list[str], topic: list[str]) -> None:
    assert topic_matches(".".join(pattern), ".".join(topic)) is _by_definition(pattern, topic)


def test_a_hostile_pattern_costs_little() -> None:
    hostile, topic = ".".join(["#", "a"] * 50 + ["b"]), ".".join(["a"] * 200)
    assert not topic_matches(hostile, topic)
    assert cpu_seconds(lambda: topic_matches(hostile, topic)) < 0.1
