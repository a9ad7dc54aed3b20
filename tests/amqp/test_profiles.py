from __future__ import annotations

import pytest

from clacks.amqp.profiles import (
    PROFILES,
    FilterTrust,
    NodeKind,
    Peer,
    UserTrust,
    choose_profile,
    named_profile,
)
from clacks.common.errors import SettingsError

DOMAIN = "org.clacks"
ONE = "org.clacks.event.PhoneStatus"


@pytest.mark.parametrize(
    ("product", "version", "name"),
    [
        ("clacks", "0.1.0", "clacks"),
        ("RabbitMQ", "3.10.8", "rabbitmq-3"),
        ("RabbitMQ", "3.13.7", "rabbitmq-3"),
        ("RabbitMQ", "4.0.2", "rabbitmq-4"),
        ("RabbitMQ", "4.1.0+beta.1", "rabbitmq-4"),
        ("ActiveMQ", "5.17.2", "activemq"),
        ("apache-activemq-artemis", "2.31.0", "artemis"),
        ("Qpid Broker-J", "9.0.0", "broker-j"),
        ("qpid-cpp", "1.39.0", "qpidd"),
        ("", "", "generic"),
        ("SomethingNew", "1", "generic"),
        ("not clacks", "1", "generic"),
    ],
)
def test_the_profile_is_chosen_from_what_the_broker_says(product: str, version: str, name: str) -> None:
    assert choose_profile(Peer(product, version)).name == name


@pytest.mark.parametrize(
    ("name", "target", "source", "everything"),
    [
        ("clacks", ONE, ONE, "org.clacks.event"),
        ("rabbitmq-3", f"/topic/{ONE}", f"/topic/{ONE}", "/topic/org.clacks.event.#"),
        ("rabbitmq-4", f"/exchanges/amq.topic/{ONE}", f"/topic/{ONE}", "/topic/org.clacks.event.#"),
        ("activemq", f"topic://{ONE}", f"topic://{ONE}", "topic://org.clacks.event.>"),
        ("artemis", ONE, ONE, "org.clacks.event.#"),
        ("broker-j", f"amq.topic/{ONE}", f"amq.topic/{ONE}", "amq.topic/org.clacks.event.#"),
        ("qpidd", "org.clacks.event", "org.clacks.event", "org.clacks.event"),
        ("generic", ONE, ONE, "org.clacks.event.#"),
    ],
)
def test_topics_have_the_address_that_the_broker_wants(
    name: str, target: str, source: str, everything: str
) -> None:
    profile = PROFILES[name]
    assert profile.target(ONE, NodeKind.TOPIC, DOMAIN) == target
    assert profile.source(ONE, NodeKind.TOPIC, DOMAIN) == source
    assert profile.source(profile.all_events(DOMAIN), NodeKind.TOPIC, DOMAIN) == everything


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("clacks", "org.clacks.command.core"),
        ("rabbitmq-3", "/queue/org.clacks.command.core"),
        ("activemq", "queue://org.clacks.command.core"),
        ("artemis", "org.clacks.command.core"),
        ("rabbitmq-4", "/queue/org.clacks.command.core"),
        ("broker-j", "org.clacks.command.core"),
        ("qpidd", "org.clacks.command.core"),
    ],
)
def test_queues_have_the_address_that_the_broker_wants(name: str, address: str) -> None:
    profile = PROFILES[name]
    assert profile.target("org.clacks.command.core", NodeKind.QUEUE, DOMAIN) == address
    assert profile.source("org.clacks.command.core", NodeKind.QUEUE, DOMAIN) == address


def test_version_2_addresses_are_percent_encoded() -> None:
    profile = PROFILES["rabbitmq-4"]
    assert profile.target("a/b c", NodeKind.TOPIC, DOMAIN) == "/exchanges/amq.topic/a%2Fb%20c"


def test_rabbitmq_4_publishes_by_version_2_and_reads_by_version_1() -> None:
    """Version 2 has no source for "a queue of my own, bound to this key", and makes no queues."""
    profile = PROFILES["rabbitmq-4"]
    assert profile.target("org.clacks.event.Ärger#1", NodeKind.TOPIC, DOMAIN) == (
        "/exchanges/amq.topic/org.clacks.event.%C3%84rger%231"
    )
    assert profile.source("org.clacks.event.*", NodeKind.TOPIC, DOMAIN) == "/topic/org.clacks.event.*"
    reply = profile.source("reply.jane.7", NodeKind.REPLY, DOMAIN)
    assert profile.reply_via is not None
    assert reply.removeprefix(profile.reply_via[0]) == "reply.jane.7"
    assert profile.target(reply, NodeKind.REPLY, DOMAIN) == reply


def test_qpidd_gets_one_xml_exchange_for_all_types_made_on_demand() -> None:
    profile = PROFILES["qpidd"]
    for kind in ("PhoneStatus", "NodeStatus"):
        for where in (profile.source, profile.target):
            assert where(f"org.clacks.event.{kind}", NodeKind.TOPIC, DOMAIN) == "org.clacks.event"
    assert profile.topic_properties == {"exchange-type": "xml"}
    assert profile.capabilities(NodeKind.TOPIC) == ("create-on-demand", "topic")
    # The subject is the binding key and matches exactly: each type is a link, with its subject in a filter.
    assert profile.kind_links
    assert profile.subject_filter
    # It repeats the filters that it applies and leaves out the others; so its word counts.
    assert profile.xquery is FilterTrust.ECHO


def test_a_reply_address_is_used_as_it_came() -> None:
    profile = PROFILES["rabbitmq-3"]
    assert profile.target("/topic/reply.admin.1", NodeKind.REPLY, DOMAIN) == "/topic/reply.admin.1"
    assert profile.source("reply.admin.1", NodeKind.REPLY, DOMAIN) == "/topic/reply.admin.1"


def test_wildcards_inside_an_address_are_translated_and_names_with_them_are_not() -> None:
    activemq = PROFILES["activemq"]
    assert activemq.source("a.*.b.#", NodeKind.TOPIC, DOMAIN) == "topic://a.*.b.>"
    assert activemq.source("a.b#c", NodeKind.TOPIC, DOMAIN) == "topic://a.b#c"


def test_the_relay_is_used_where_it_is_offered_or_known() -> None:
    announced = Peer(capabilities=frozenset({"ANONYMOUS-RELAY"}))
    assert PROFILES["activemq"].relays(NodeKind.REPLY, announced)
    assert not PROFILES["activemq"].relays(NodeKind.REPLY, Peer())
    assert PROFILES["clacks"].relays(NodeKind.REPLY, Peer())
    assert not PROFILES["rabbitmq-3"].relays(NodeKind.REPLY, announced)


def test_only_brokers_that_tell_the_truth_are_believed() -> None:
    believed = {name for name, profile in PROFILES.items() if profile.xquery is FilterTrust.ECHO}
    verified = {name for name, profile in PROFILES.items() if profile.user_id is UserTrust.VERIFIED}
    assert believed == {"clacks", "qpidd"}
    assert verified == {"clacks", "rabbitmq-3", "rabbitmq-4"}


def test_rabbitmq_3_gets_a_session_for_each_link_and_no_dynamic_nodes() -> None:
    profile = PROFILES["rabbitmq-3"]
    assert profile.session_per_link
    assert not profile.dynamic


def test_a_profile_can_be_named() -> None:
    assert named_profile("artemis") is PROFILES["artemis"]
    with pytest.raises(SettingsError, match="'artmis' is none of clacks, rabbitmq-3"):
        named_profile("artmis")
