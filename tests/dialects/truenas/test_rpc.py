"""``/api/current``: JSON-RPC 2.0, what the real client depends on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.dialects.actions import Call, Result

from .client import NOW, Rpc
from .test_legacy import PHONE, json_values


def test_the_first_message_of_the_client_is_answered_without_a_login():
    options = {"legacy_jobs": False, "private_methods": True, "py_exceptions": True}
    answer = Rpc().call("core.set_options", options)
    assert answer == {"legacy_jobs": True, "private_methods": False, "py_exceptions": False}


def test_ping():
    assert Rpc().call("core.ping") == "pong"


@pytest.mark.parametrize("text", ["{", "[]", "7", "[" * 3000, "NaN"])
def test_unreadable_input_is_minus_32700_and_the_connection_stays(text):
    client = Rpc()
    (answer,) = client.say(text)
    assert answer["error"]["code"] == -32700
    assert answer["id"] is None
    assert client.closed is None


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"method": "core.ping"}, "Missing 'jsonrpc' member"),
        ({"jsonrpc": "1.0", "method": "core.ping"}, "'jsonrpc' member must be '2.0'"),
        ({"jsonrpc": "2.0"}, "Missing 'method' member"),
        ({"jsonrpc": "2.0", "method": 7}, "'method' member must be of type string"),
        ({"jsonrpc": "2.0", "method": "core.ping", "params": {}}, "'params' member must be of type array"),
    ],
)
def test_a_malformed_request_is_told_to_whom_has_an_id(message, text):
    client = Rpc()
    (answer,) = client.say({**message, "id": "x"})
    assert answer["error"] == {"code": -32600, "message": text}
    assert client.say(message) == [], "an answer without id would fail all open calls"
    assert client.say({**message, "id": None}) == []


def test_a_notification_is_carried_out_and_never_answered():
    client = Rpc("ann")
    client.results["x"] = Result(1)
    assert client.say({"jsonrpc": "2.0", "method": "clacks.x"}) == []
    assert any(isinstance(effect, Call) for effect in client.effects)
    assert client.say({"jsonrpc": "2.0", "method": "no.such"}) == []


def test_an_unknown_method_is_named_word_for_word():
    assert Rpc().call("auth.login_magic") == {"code": -32601, "message": "Method does not exist"}


def test_an_error_has_all_its_members():
    error = Rpc().call("auth.me")
    assert error["code"] == -32001
    assert error["message"] == "Method call error"
    assert error["data"] == {
        "error": 207,
        "errname": "ENOTAUTHENTICATED",
        "reason": "[ENOTAUTHENTICATED] Not authenticated",
        "trace": None,
        "extra": None,
    }


def test_wrong_params_are_minus_32602():
    error = Rpc("ann").call("core.job_abort", "x")
    assert error["code"] == -32602
    assert error["data"]["error"] == 22


def test_too_many_calls_are_minus_32000():
    client = Rpc("ann")
    for _ in range(20):
        client.ask("clacks.slow")
    assert client.call("clacks.slow") == {
        "code": -32000,
        "message": "Maximum number of concurrent calls (20) has exceeded",
    }


def test_a_binary_frame_closes():
    client = Rpc()
    client.say(b"{}")
    assert client.closed is not None
    assert client.closed.code == 1003


# -- login


def test_login_ex_with_a_password():
    client = Rpc()
    plain = {"mechanism": "PASSWORD_PLAIN", "username": "ann", "password": "secret"}
    answer = client.call("auth.login_ex", plain)
    assert answer["response_type"] == "SUCCESS"
    assert answer["user_info"]["pw_name"] == "ann"
    assert answer["reconnect_token"] is None
    assert client.call("auth.login_ex", {**plain, "password": "x"}) == {"response_type": "AUTH_ERR"}


def test_login_ex_gives_a_reconnect_token_if_asked():
    options = {"user_info": False, "reconnect_token": True}
    plain = {"mechanism": "PASSWORD_PLAIN", "username": "ann", "password": "secret", "login_options": options}
    answer = Rpc().call("auth.login_ex", plain)
    assert answer["reconnect_token"] == "made"
    assert answer["user_info"] is None
    again = Rpc().call("auth.login_ex", {"mechanism": "TOKEN_PLAIN", "token": "made"})
    assert again["response_type"] == "SUCCESS"


def test_login_ex_with_an_api_key():
    key = {"mechanism": "API_KEY_PLAIN", "username": "ann", "api_key": "1-good"}
    assert Rpc().call("auth.login_ex", key)["response_type"] == "SUCCESS"
    assert Rpc().call("auth.login_ex", {**key, "api_key": "1-bad"})["response_type"] == "AUTH_ERR"


def test_scram_in_two_steps():
    client = Rpc()
    first = {
        "mechanism": "SCRAM",
        "scram_type": "CLIENT_FIRST_MESSAGE",
        "rfc_str": "p=tls-server-end-point,,n=a:1",
    }
    answer = client.call("auth.login_ex", first)
    assert (answer["response_type"], answer["scram_type"]) == ("SCRAM_RESPONSE", "SERVER_FIRST_RESPONSE")
    assert answer["rfc_str"] == "r=1"
    final = {"mechanism": "SCRAM", "scram_type": "CLIENT_FINAL_MESSAGE", "rfc_str": "c=x"}
    answer = client.call("auth.login_ex", final)
    assert (answer["scram_type"], answer["rfc_str"]) == ("SERVER_FINAL_RESPONSE", "v=1")
    assert client.call("auth.me")["pw_name"] == "ann"


@pytest.mark.parametrize(
    "asked", [None, {}, {"mechanism": 7}, {"mechanism": "MAGIC"}, {"mechanism": "PASSWORD_PLAIN"}]
)
def test_a_login_without_its_parts_is_invalid(asked):
    assert Rpc().call("auth.login_ex", *([] if asked is None else [asked]))["code"] == -32602


def test_no_one_time_password_was_asked_for():
    otp = {"mechanism": "OTP_TOKEN", "otp_token": "1"}
    assert Rpc().call("auth.login_ex_continue", otp) == {"response_type": "AUTH_ERR"}
    assert Rpc().call("auth.login_ex", otp) == {"response_type": "AUTH_ERR"}


# -- events


def test_a_subscription_has_an_id_of_the_server_and_events_are_notifications():
    client = Rpc("ann")
    number = client.call("core.subscribe", "PhoneStatus")
    assert isinstance(number, str)
    client.event("PhoneStatus", PHONE)
    assert client.sent[-1] == {
        "jsonrpc": "2.0",
        "method": "collection_update",
        "params": {
            "msg": "added",
            "collection": "PhoneStatus",
            "fields": PHONE,
            "extra": {"event": "PhoneStatus", "eventId": "e-1", "time": {"$date": NOW}},
        },
    }
    assert client.call("core.unsubscribe", number) is None
    assert client.subscriptions == {}
    assert client.call("core.unsubscribe", "unknown") is None


def test_subscribing_without_a_login_is_207():
    error = Rpc().call("core.subscribe", "core.get_jobs")
    assert (error["code"], error["data"]["error"]) == (-32001, 207)


def test_subscribing_without_the_right_is_13():
    error = Rpc("bob").call("core.subscribe", "NodeStatus")
    assert (error["code"], error["data"]["error"]) == (-32001, 13)


def test_a_bad_argument_ends_the_subscription_before_the_result():
    client = Rpc("ann")
    ended, answer = client.ask("core.subscribe", "PhoneStatus:x")
    assert ended["method"] == "notify_unsubscribed"
    assert ended["params"]["collection"] == "PhoneStatus:x"
    assert ended["params"]["error"]["reason"]
    assert isinstance(answer["result"], str)
    assert client.subscriptions == {}


@given(st.text() | st.binary())
def test_nothing_that_comes_breaks_a_session(message):
    for client in (Rpc(), Rpc("ann")):
        client.say(message)


METHODS = [
    "core.subscribe",
    "core.unsubscribe",
    "core.get_jobs",
    "core.job_abort",
    "core.event_send",
    "auth.login",
    "auth.login_ex",
    "auth.generate_token",
    "auth.login_with_token",
    "clacks.x",
]


@given(st.sampled_from(METHODS), st.lists(json_values, max_size=4), json_values)
def test_no_params_break_a_session(method, params, number):
    for client in (Rpc(), Rpc("ann")):
        client.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
