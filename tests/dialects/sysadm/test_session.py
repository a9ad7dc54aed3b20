from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.rights import Rights
from clacks.dialects.actions import Close

from .client import NOW, Client

SNAPSHOT = {"Message": "made", "Priority": 0, "Class": "snapshot"}
STATE = {"Hostname": "nas", "Pool": [], "Priority": 3}


def error(code: str, number: str = "x") -> dict[str, object]:
    words = {"400": "Bad Request", "401": "Unauthorized", "403": "Forbidden", "404": "Not Found"}
    args = {"code": code, "message": words[code]}
    return {"namespace": "error", "name": "error", "id": number, "args": args}


# -- what the Qt client does, message by message


def test_the_qt_client_comes_in_and_hears_its_subsystems():
    client = Client()
    identify = '{"namespace":"rpc","name":"identify","id":"sysadm_client_identify","args":""}'
    client.say(identify)
    assert client.sent[-1] == {
        "namespace": "rpc",
        "name": "response",
        "id": "sysadm_client_identify",
        "args": {"type": "server", "hostname": "bus.example"},
    }
    login = {"username": "ann", "password": "secret"}
    (answer,) = client.ask("rpc", "auth", login, "sysadm-client-auth-auto")
    assert answer["name"] == "response"
    assert answer["id"] == "sysadm-client-auth-auto"
    assert isinstance(answer["args"][0], str)
    assert answer["args"][1] == 900
    (answer,) = client.ask("events", "subscribe", "system-state", "sysadm-client-event-auto")
    assert answer == {
        "namespace": "events",
        "name": "response",
        "id": "sysadm-client-event-auto",
        "args": {"subscribe": "system-state"},
    }
    client.event("SystemState", STATE)
    assert client.sent[-1] == {
        "namespace": "events",
        "name": "system-state",
        "id": "",
        "args": {"hostname": "nas", "priority": "3 - Warning"},
    }
    before = len(client.sent)
    client.ask("rpc", "auth_clear")
    assert len(client.sent) == before, "auth_clear has no answer"


# -- envelope


@pytest.mark.parametrize(
    "text",
    [
        "",
        " {}",
        "peer-id\n{}",
        "[]",
        "null",
        "{",
        '{"namespace":"rpc"}',
        '{"namespace":"rpc","name":""}',
        '{"namespace":1,"name":"identify"}',
        b"\xff\xfe",
        "{" + '"a":{' * 30 + "}" * 31,
        '{"a":' + "[" * 100_000,
    ],
)
def test_what_is_no_request_is_answered_400_and_the_connection_stays(text):
    client = Client()
    client.say(text)
    assert client.sent == [error("400", "")]
    assert client.closed is None


def test_a_frame_with_a_routing_line_is_not_reflected():
    client = Client()
    client.say("<script>\n{}")
    assert "script" not in json.dumps(client.sent)


@pytest.mark.parametrize("number", [7, None, ["a"], 1.5])
def test_an_id_that_is_no_text_is_lost_and_the_answer_has_the_requests_name(number):
    client = Client()
    client.say(json.dumps({"namespace": "rpc", "name": "identify", "id": number, "args": ""}))
    assert client.sent[-1]["id"] == ""
    assert client.sent[-1]["name"] == "identify"


def test_namespaces_are_compared_without_case_and_names_with():
    client = Client()
    (answer,) = client.ask("RPC", "identify")
    assert answer["namespace"] == "RPC"
    assert client.ask("rpc", "Identify") == [error("401")]


@pytest.mark.parametrize(("option", "code"), [("text", "401"), ("number", 401)])
def test_the_type_of_codes_is_a_setting(option, code):
    client = Client(error_code=option)
    (answer,) = client.ask("events", "subscribe", "dispatcher")
    assert answer["args"]["code"] == code


@given(st.text() | st.binary())
def test_nothing_that_comes_breaks_a_session(message):
    client = Client()
    client.say(message)
    assert all(set(answer) == {"namespace", "name", "id", "args"} for answer in client.sent)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(["rpc", "events", "sysadm"]),
    st.sampled_from(["auth", "auth_token", "auth_ssl", "subscribe", "unsubscribe", "query", "x"]),
    json_values,
)
def test_no_args_break_a_session(namespace, name, args):
    for client in (Client(), Client(auth_ssl=True)):
        client.ask(namespace, name, args)
        client.log_in()
        client.ask(namespace, name, args)
        assert client.closed is None


# -- login


@pytest.mark.parametrize(
    ("namespace", "name"), [("events", "subscribe"), ("sysadm", "pkg"), ("rpc", "query"), ("rpc", "settings")]
)
def test_nothing_is_there_without_a_login(namespace, name):
    assert Client().ask(namespace, name, ["dispatcher"]) == [error("401")]


@pytest.mark.parametrize("name", ["dispatcher", "settings", "x"])
def test_what_is_not_offered_is_404_after_the_login(name):
    client = Client()
    client.log_in()
    assert client.ask("rpc", name, {}) == [error("404")]


@pytest.mark.parametrize(
    "args", [{"username": "ann", "password": "wrong"}, {"username": "x", "password": "secret"}]
)
def test_wrong_password_and_unknown_user_are_401(args):
    assert Client().ask("rpc", "auth", args) == [error("401")]


@pytest.mark.parametrize(
    "args", ["", {}, {"username": "ann"}, {"username": 1, "password": "secret"}, ["ann"]]
)
def test_a_login_without_its_parts_is_400(args):
    assert Client().ask("rpc", "auth", args) == [error("400")]


def test_a_token_logs_in_again_and_is_the_same():
    client = Client()
    token = client.log_in()
    (answer,) = client.ask("rpc", "auth_token", {"token": token})
    assert answer["args"] == [token, 900]
    assert client.ask("rpc", "auth_token", {"token": "x"}) == [error("401")]
    assert client.ask("events", "subscribe", "dispatcher") == [error("401")], (
        "a failed login drops the old one"
    )


def test_auth_clear_ends_the_token_and_the_events():
    client = Client()
    token = client.log_in()
    client.ask("events", "subscribe", ["life-preserver"])
    client.ask("rpc", "auth_clear")
    assert client.subscriptions == {}
    assert client.ask("rpc", "auth_token", {"token": token}) == [error("401")]


def test_a_failed_login_ends_the_events_of_the_one_before():
    client = Client()
    client.log_in()
    client.ask("events", "subscribe", ["life-preserver"])
    client.ask("rpc", "auth", {"username": "ann", "password": "wrong"})
    assert client.subscriptions == {}


def test_a_login_that_ran_out_is_nobodys():
    client = Client()
    client.log_in()
    client.carry(client.session.expired())
    assert client.ask("events", "subscribe", "dispatcher") == [error("401")]
    assert "login timer" in client.timers


def test_who_does_not_log_in_is_closed_after_a_while():
    client = Client()
    assert client.timers == {"login timer": 30, "idle timer": 1800}
    client.carry(client.session.answer("login timer", None))  # type: ignore[arg-type]
    assert client.closed == Close(1008, "no login")


def test_who_logged_in_is_closed_when_silent_for_long_only():
    client = Client()
    client.log_in()
    assert client.timers == {"idle timer": 1800}
    client.carry(client.session.answer("login timer", None))  # type: ignore[arg-type]
    assert client.closed is None
    client.carry(client.session.answer("idle timer", None))  # type: ignore[arg-type]
    assert client.closed == Close(1000, "idle")


def test_auth_ssl_is_off():
    assert Client().ask("rpc", "auth_ssl", "") == [error("401")]


def test_a_challenge_is_good_once_and_for_this_connection():
    client = Client(auth_ssl=True)
    (answer,) = client.ask("rpc", "auth_ssl", "")
    challenge = answer["args"]["test_string"]
    assert len(challenge) == 20
    assert challenge.isalnum()
    signed = {"encrypted_string": base64.b64encode(b"signature").decode()}
    (answer,) = client.ask("rpc", "auth_ssl", signed)
    assert answer["args"][1] == 900
    (proof,) = client.proofs
    assert (proof.challenge, proof.signature) == (challenge, b"signature")
    assert client.ask("rpc", "auth_ssl", signed) == [error("401")]
    assert Client(auth_ssl=True).ask("rpc", "auth_ssl", signed) == [error("401")]


def test_a_challenge_is_good_for_thirty_seconds():
    client = Client(auth_ssl=True)
    client.ask("rpc", "auth_ssl", "")
    client.now = NOW + 30_000
    assert client.ask("rpc", "auth_ssl", {"encrypted_string": ""}) == [error("401")]
    assert client.proofs == []


# -- subscribing


def listening(*names: str, user: str = "ann") -> Client:
    client = Client()
    client.log_in(user)
    client.ask("events", "subscribe", list(names))
    return client


def test_several_names_are_subscribed_and_the_last_known_one_is_named():
    client = Client()
    client.log_in()
    names = ["dispatcher", "life-preserver", "system-state", "unheard-of"]
    (answer,) = client.ask("events", "subscribe", names)
    assert answer["args"] == {"subscribe": "system-state"}
    assert set(client.subscriptions) == {"JobStatus", "LifePreserver", "SystemState"}


@pytest.mark.parametrize("names", [["x"], [""], "", ["response"], ["JobStatus"]])
def test_unknown_names_are_passed_over(names):
    client = Client()
    client.log_in()
    (answer,) = client.ask("events", "subscribe", names)
    assert answer["name"] == "response"
    assert answer["args"] == {}
    assert client.subscriptions == {}


@pytest.mark.parametrize("args", [{}, 7, None, [], [1], ["x"] * 1000])
def test_args_that_are_no_names_are_400(args):
    client = Client()
    client.log_in()
    assert client.ask("events", "subscribe", args) == [error("400")]


def test_absent_args_are_400():
    client = Client()
    client.log_in()
    client.say('{"namespace":"events","name":"subscribe","id":"x"}')
    assert client.sent[-1] == error("400")


def test_another_verb_is_400():
    client = Client()
    client.log_in()
    assert client.ask("events", "publish", ["dispatcher"]) == [error("400")]


def test_twice_is_one_copy_and_one_unsubscribe_ends_it():
    client = listening("life-preserver", "life-preserver")
    client.ask("events", "subscribe", "life-preserver")
    before = len(client.sent)
    client.event("LifePreserver", SNAPSHOT)
    assert len(client.sent) == before + 1
    (answer,) = client.ask("events", "unsubscribe", ["life-preserver"])
    assert answer["args"] == {"unsubscribe": "life-preserver"}
    client.event("LifePreserver", SNAPSHOT)
    assert len(client.sent) == before + 2


def test_unsubscribing_what_was_not_subscribed_succeeds():
    client = Client()
    client.log_in()
    (answer,) = client.ask("events", "unsubscribe", "dispatcher")
    assert answer["args"] == {"unsubscribe": "dispatcher"}


@pytest.mark.parametrize("name", ["life-preserver", "life_preserver"])
def test_a_client_hears_the_spelling_that_it_asked_for(name):
    client = listening(name)
    client.event("LifePreserver", SNAPSHOT)
    assert client.sent[-1]["name"] == name


def test_the_last_event_comes_before_the_reply():
    client = Client()
    client.log_in()
    client.last["SystemState"] = client.event("SystemState", STATE, replayed=True)
    last, answer = client.ask("events", "subscribe", ["system-state"])
    assert last["name"] == "system-state"
    assert answer["name"] == "response"


def test_no_last_event_of_processes_is_sent():
    client = listening("dispatcher")
    assert client.subscriptions["JobStatus"].last is False


def test_a_forbidden_name_is_passed_over_beside_an_allowed_one():
    client = listening("dispatcher", "life-preserver", user="bob")
    assert set(client.subscriptions) == {"LifePreserver"}
    assert client.sent[-1]["args"] == {"subscribe": "life-preserver"}


def test_forbidden_names_alone_are_403():
    client = Client()
    client.log_in("bob")
    assert client.ask("events", "subscribe", ["dispatcher", "system-state"]) == [error("403")]


def test_rights_are_those_of_the_moment():
    client = Client()
    client.log_in()
    client.rights = Rights()
    assert client.ask("events", "subscribe", "dispatcher") == [error("403")]


def test_any_event_type_is_a_subsystem_by_its_name():
    client = listening("PhoneStatus")
    client.event("PhoneStatus", {"CallerId": "1", "ReceiverId": "2", "Status": "busy"})
    assert client.sent[-1] == {
        "namespace": "events",
        "name": "PhoneStatus",
        "id": "",
        "args": {"CallerId": "1", "ReceiverId": "2", "Status": "busy"},
    }


def test_query_lists_what_may_be_heard():
    client = Client()
    client.log_in("bob")
    (answer,) = client.ask("rpc", "query")
    assert answer["args"] == {"events/life-preserver": "read"}
