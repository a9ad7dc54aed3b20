"""The table of features by broker: written by a run of the contract suite, never by hand.

    python -m pytest tests/contract --table docs/brokers/features.md

A feature holds on a broker if every test that shows it passed there. Where brokers differ without a fault the
test says in a word what it saw (the fixture ``cell``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

__all__ = ["BROKERS", "FEATURES", "Cell", "Results", "table"]

Cell: TypeAlias = Callable[[str], None]
"""Says in a word what a test saw."""

BROKERS: Final[Mapping[str, str]] = {
    "embedded": "[embedded](embedded.md)",
    "rabbitmq": "[RabbitMQ](rabbitmq.md)",
    "activemq": "[ActiveMQ Classic](activemq.md)",
    "artemis": "[Artemis](artemis.md)",
    "broker-j": "[Broker-J](broker-j.md)",
}
"""By the names of the suite, with the title of the column."""

FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "says of itself": ("test_the_broker_is_known_by_what_it_says_of_itself",),
    "publish and subscribe, in order, a copy for each": (
        "test_every_subscriber_gets_a_copy_in_order",
        "test_publishers_side_by_side_lose_nothing",
        "test_an_event_arrives_with_what_its_message_says",
    ),
    "sorts by event type, so that the network is spared": (
        "test_the_broker_keeps_away_what_a_query_cannot_match",
        "test_many_types_come_through_one_subscription",
    ),
    "exact filtering": (
        "test_the_broker_does_what_the_profile_says_of_queries",
        "test_only_events_that_match_arrive",
        "test_subscriptions_of_one_connection_do_not_mix",
        "test_properties_of_the_message_are_variables_of_the_query",
        "test_a_malformed_query_is_refused_with_code_line_and_column",
    ),
    "selectors (JMS) in a source": ("test_a_selector_is_applied_or_the_profile_does_not_count_on_it",),
    "late subscribers see nothing old": (
        "test_whoever_subscribes_late_sees_nothing_old",
        "test_an_event_that_nobody_wants_is_gone",
    ),
    "events of a megabyte": ("test_an_event_of_a_megabyte_arrives_whole",),
    "commands and answers": (
        "test_a_call_is_answered",
        "test_many_calls_side_by_side_get_their_own_answers",
        "test_an_answer_of_half_a_megabyte_arrives_whole",
        "test_a_proxy_calls_commands_and_sends_events",
    ),
    "where answers come in": ("test_answers_come_where_the_profile_says",),
    "agents share calls; one that is busy leaves them to others": (
        "test_two_agents_share_the_calls_and_none_is_lost",
        "test_an_agent_that_is_busy_leaves_calls_to_others",
        "test_a_call_goes_to_another_agent_when_the_first_is_killed_before_it_accepts",
    ),
    "a call that nobody takes ends as": ("test_a_call_that_nobody_takes_times_out",),
    "a call that timed out is not carried out later": (
        "test_a_call_that_timed_out_is_not_carried_out_later",
    ),
    "a slow consumer holds up nobody": (
        "test_a_consumer_whose_connection_is_stuck_disturbs_nobody",
        "test_a_publisher_is_not_slowed_by_subscribers_that_read_nothing",
    ),
    "what it drops it counts for Clacks": ("test_what_the_broker_drops_is_counted_or_not",),
    "reconnect: subscriptions and calls are restored, gaps reported": (
        "test_subscriptions_are_restored_and_the_gap_is_reported",
        "test_a_call_in_doubt_is_sent_again_and_carried_out_once",
        "test_a_broker_that_falls_silent_counts_as_gone",
    ),
    "restart of the broker on the same port": ("test_everybody_comes_back_after_a_restart_of_the_broker",),
    "wrong credentials are refused": (
        "test_a_wrong_password_is_refused",
        "test_an_unknown_user_is_refused",
        "test_nobody_gets_in_without_a_login",
    ),
    "TLS; unknown authority and wrong host refused": (
        "test_tls_works_with_a_certificate_of_a_known_authority",
        "test_a_certificate_of_an_unknown_authority_is_refused",
        "test_a_certificate_for_another_host_is_refused",
    ),
    "an event in the name of another": ("test_an_event_in_the_name_of_another_is_refused_or_corrected",),
    "a call in the name of another": ("test_nobody_calls_in_the_name_of_another",),
}
"""What the table shows, with the tests that show it."""


@dataclass
class Results:
    """What came out, by test function and broker."""

    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    words: dict[tuple[str, str], str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def note(self, nodeid: str, outcome: str, properties: Iterable[tuple[str, object]], why: str) -> None:
        """Take the outcome of one test on one broker; a failure is not forgotten."""
        # Behind the bracket xdist writes the group of the test.
        function, _, parameters = nodeid.rpartition("::")[2].rpartition("]")[0].partition("[")
        # Behind the broker may stand other parameters of the test; before it, too.
        broker = next((name for name in BROKERS if _holds(parameters, name)), None)
        if broker is None:
            return
        key = (function, broker)
        if outcome == "skipped":
            self.left_out[broker] = why
        if self.outcomes.get(key) != "failed":
            self.outcomes[key] = outcome
        for name, value in properties:
            if name == "cell":
                self.words[key] = str(value)

    def cell(self, tests: tuple[str, ...], broker: str) -> str:
        """Return what stands in the table for a feature."""
        outcomes = {self.outcomes.get((test, broker), "missing") for test in tests}
        if outcomes == {"passed"}:
            words = [self.words[test, broker] for test in tests if (test, broker) in self.words]
            return words[0] if words else "yes"
        return "no" if "failed" in outcomes else "not run"


def _holds(parameters: str, name: str) -> bool:
    return parameters == name or parameters.startswith(f"{name}-") or parameters.endswith(f"-{name}")


_HEAD: Final = """\
# Features by broker

Written by a run of the contract suite: `make broker-table`. Each line is shown by tests; "yes" means that all
of them passed on that broker. Each broker is set up as its page says.
"""


def table(results: Results) -> str:
    """Return the page."""
    lines = [_HEAD, f"| | {' | '.join(BROKERS.values())} |", f"|---|{'---|' * len(BROKERS)}"]
    for feature, tests in FEATURES.items():
        cells = " | ".join(results.cell(tests, broker) for broker in BROKERS)
        lines.append(f"| {feature} | {cells} |")
    lines.append("")
    lines += [f"- {broker} was not run: {why}" for broker, why in results.left_out.items()]
    return "\n".join(lines).rstrip() + "\n"
