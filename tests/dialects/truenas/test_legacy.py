"""``/websocket``: what the real clients depend on, and what the original server does wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.rights import Rights
from clacks.dialects.actions import Call, Close, Failed, Failure, Result

from .client import JOB, NOW, Legacy

PHONE = {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}


# -- handshake and envelope


def test_connect_is_answered_with_a_session():
    client = Legacy(connect=False)
    (answer,) = client.say({"msg": "connect", "version": "1", "support": ["1"]})
    assert answer == {"msg": "connected", "session": answer["session"]}
    assert len(answer["session"]) == 36
    assert client.say({"msg": "connect", "version": "1"}) == [answer], "the same session again"


@pytest.mark.parametrize("version", ["2", 1, None])
def test_another_version_fails_and_the_connection_stays(version):
    client = Legacy(connect=False)
    assert client.say({"msg": "connect", "version": version}) == [{"msg": "failed", "version": "1"}]
    assert client.closed is None


def test_nothing_works_before_the_handshake():
    client = Legacy(connect=False)
    ping = {"msg": "method", "id": "1", "method": "core.ping", "params": []}
    assert client.say(ping) == [{"msg": "failed", "version": "1"}]


@pytest.mark.parametrize(
    ("message", "close"),
    [
        ("{", 1007),
        ("[]", 1007),
        ("7", 1007),
        ("{}", 1007),
        ('{"msg":7}', 1007),
        ('{"msg":"sub","name":"*"}', 1007),
        (b"\x00", 1003),
        ("[" * 3000, 1007),
        ('{"msg":"x","a":NaN}', 1007),
    ],
)
def test_what_is_no_message_closes_the_connection(message, close):
    client = Legacy()
    client.say(message)
    assert client.closed is not None
    assert client.closed.code == close


def test_strangers_messages_are_short():
    client = Legacy()
    client.say('{"msg":"ping","x":"' + "x" * 8192 + '"}')
    assert client.closed == Close(1007, "Anonymous connection max message length is 8 kB")
    known = Legacy("ann")
    assert known.say('{"msg":"ping","x":"' + "x" * 8192 + '"}') == [{"msg": "pong"}]
    known.say('{"msg":"ping","x":"' + "x" * 65536 + '"}')
    assert known.closed == Close(1009, "Max message length is 64 kB")


@pytest.mark.parametrize("more", [{}, {"id": "7"}, {"id": None}])
def test_ping_is_answered_with_its_id(more):
    assert Legacy().say({"msg": "ping", **more}) == [{"msg": "pong", **more}]


def test_unknown_messages_are_passed_over():
    assert Legacy().say({"msg": "news"}) == []


def test_a_method_without_an_id_is_not_done():
    client = Legacy("ann")
    assert client.say({"msg": "method", "method": "clacks.getMethods"}) == []
    assert not any(isinstance(effect, Call) for effect in client.effects)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"params": []}, "Message is malformed: 'method' is absent."),
        ({"method": "core.ping", "params": {}}, "`params` must be a list."),
        ({"method": "core.ping", "params": "x"}, "`params` must be a list."),
    ],
)
def test_a_malformed_call_is_error_22(message, reason):
    (answer,) = Legacy().say({"msg": "method", "id": "1", **message})
    assert answer["error"] == {
        "error": 22,
        "errname": "EINVAL",
        "type": None,
        "reason": reason,
        "trace": None,
        "extra": None,
    }


def test_params_may_be_absent_or_null():
    client = Legacy()
    assert client.say({"msg": "method", "id": "1", "method": "core.ping"})[0]["result"] == "pong"
    assert (
        client.say({"msg": "method", "id": "1", "method": "core.ping", "params": None})[0]["result"] == "pong"
    )


@given(st.text() | st.binary())
def test_nothing_that_comes_breaks_a_session(message):
    for client in (Legacy(connect=False), Legacy(), Legacy("ann")):
        client.say(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["connect", "method", "sub", "unsub", "ping"]), json_values, json_values, json_values)
def test_no_members_break_a_session(word, number, name, params):
    for client in (Legacy(), Legacy("ann")):
        client.say({"msg": word, "id": number, "name": name, "method": name, "params": params})


# -- calls


@pytest.mark.parametrize(
    ("method", "code", "reason"),
    [
        ("ping", 74, "[EBADMSG] Invalid method name"),
        ("", 74, "[EBADMSG] Invalid method name"),
        ("x.y", 201, "[ENOMETHOD] Service 'x' not found"),
        ("core.y", 201, "[ENOMETHOD] Method 'y' not found in 'core'"),
        ("clacks.", 201, "[ENOMETHOD] Method '' not found in 'clacks'"),
        ("clacks.getMethods", 207, "[ENOTAUTHENTICATED] Not authenticated"),
        ("auth.me", 207, "[ENOTAUTHENTICATED] Not authenticated"),
    ],
)
def test_the_name_is_looked_up_before_the_login(method, code, reason):
    error = Legacy().call(method)
    assert (error["error"], error["reason"]) == (code, reason)
    assert error["trace"] is None


def test_commands_of_agents_are_methods():
    client = Legacy("ann")
    client.results["getMethods"] = Result({"a": 1})
    assert client.call("clacks.getMethods", 7) == {"a": 1}
    (call,) = [effect for effect in client.effects if isinstance(effect, Call)]
    assert (call.method, list(call.params)) == ("getMethods", [7])


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        (Failed(Failure.FORBIDDEN, "no"), 13),
        (Failed(Failure.UNKNOWN, "no"), 201),
        (Failed(Failure.TIMEOUT, "no"), 60),
        (Failed(Failure.LOST, "no"), 103),
        (Failed(Failure.REMOTE, "it broke", -32000), 5),
        (Failed(Failure.REMOTE, "wrong type", -32602), 22),
    ],
)
def test_every_failure_has_an_errno(failed, code):
    client = Legacy("ann")
    client.results["x"] = failed
    error = client.call("clacks.x")
    assert error["error"] == code
    assert (error["type"] == "VALIDATION") is (code == 22)


def test_at_most_twenty_calls_wait():
    client = Legacy("ann")
    for number in range(20):
        assert client.say({"msg": "method", "id": str(number), "method": "clacks.slow"}) == []
    error = client.call("clacks.slow")
    assert error["error"] == 109
    token = next(effect.token for effect in client.effects if isinstance(effect, Call))
    client.carry(client.session.answer(token, Result(1)))
    client.results["quick"] = Result(2)
    assert client.call("clacks.quick") == 2


def test_a_value_that_looks_like_ejson_does_not_lose_the_answer():
    client = Legacy("ann")
    client.results["x"] = Result({"$date": "yesterday"})
    assert client.call("clacks.x") == '{"$date":"yesterday"}'
    client.results["x"] = Result(
        [{"$date": 5}, {"$time": "10:00"}, {"$type": "date", "$value": "x"}, {"$set": 5}]
    )
    value = client.call("clacks.x")
    assert value[:2] == [{"$date": 5}, {"$time": "10:00"}]
    assert all(isinstance(item, str) for item in value[2:])


# -- login


def test_login_with_three_params_gives_true_or_false():
    client = Legacy()
    assert client.call("auth.login", "ann", "wrong", None) is False
    assert client.call("auth.login", "ann", "secret", None) is True
    assert client.call("auth.me")["pw_name"] == "ann"


def test_too_many_failures_are_an_error_of_their_own():
    assert Legacy().call("auth.login", "busy", "x")["error"] == 16


@pytest.mark.parametrize("params", [[], ["ann"], [1, "secret"]])
def test_a_login_without_its_parts_is_validation(params):
    error = Legacy().call("auth.login", *params)
    assert error["type"] == "VALIDATION"
    assert all(len(triple) == 3 for triple in error["extra"])


def test_api_keys_and_tokens_log_in():
    client = Legacy()
    assert "SCRAM" in client.call("auth.mechanism_choices")
    assert client.call("auth.login_with_api_key", "1-bad") is False
    assert client.call("auth.login_with_api_key", "1-good") is True
    token = client.call("auth.generate_token")
    assert Legacy().call("auth.login_with_token", token) is True
    assert Legacy().call("auth.login_with_token", "x") is False


def test_nothing_is_logged_in_in_the_clear_on_an_open_line():
    client = Legacy(secure=False)
    assert client.call("auth.mechanism_choices") == ["SCRAM"]
    for method, params in (
        ("auth.login", ["ann", "secret"]),
        ("auth.login_with_api_key", ["1-good"]),
        ("auth.login_with_token", ["made"]),
        ("auth.login_ex", [{"mechanism": "PASSWORD_PLAIN", "username": "ann", "password": "secret"}]),
    ):
        assert client.call(method, *params)["error"] == 13
    first = {"mechanism": "SCRAM", "scram_type": "CLIENT_FIRST_MESSAGE", "rfc_str": "n,,n=ann:1,r=x"}
    assert client.call("auth.login_ex", first)["rfc_str"] == "r=1"


def test_logout_ends_everything():
    client = Legacy("ann")
    client.sub("PhoneStatus")
    assert client.call("auth.logout") is True
    assert client.subscriptions == {}
    assert client.call("auth.me")["error"] == 207


def test_a_login_that_ran_out_is_told():
    client = Legacy("ann")
    client.sub("PhoneStatus")
    client.subscriptions.clear()
    client.carry(client.session.expired())
    assert client.sent[-1]["msg"] == "nosub"
    assert client.sent[-1]["collection"] == "PhoneStatus"
    assert client.call("auth.me")["reason"] == "[EACCES] Session is expired"


# -- subscribing


def test_sub_is_answered_ready_and_events_follow():
    client = Legacy("ann")
    assert client.sub("PhoneStatus", "a") == [{"msg": "ready", "subs": ["a"]}]
    client.event("PhoneStatus", PHONE)
    assert client.sent[-1] == {
        "msg": "added",
        "collection": "PhoneStatus",
        "fields": PHONE,
        "extra": {"event": "PhoneStatus", "eventId": "e-1", "time": {"$date": NOW}},
    }
    assert client.say({"msg": "unsub", "id": "a"}) == [], "the reference document: no response"
    assert client.subscriptions == {}


def test_one_copy_of_an_event_for_a_connection():
    client = Legacy("ann")
    client.sub("*", "a")
    client.sub("PhoneStatus", "b")
    client.sub("PhoneStatus", "c")
    before = len(client.sent)
    client.event("PhoneStatus", PHONE)
    assert len(client.sent) == before + 1
    client.say({"msg": "unsub", "id": "b"})
    assert "PhoneStatus" in client.subscriptions, "the other id still listens"


def test_the_star_covers_what_its_schema_says():
    client = Legacy("ann")
    client.sub("*")
    before = len(client.sent)
    client.event("RealtimeReport", REPORT)
    assert len(client.sent) == before
    client.event("PhoneStatus", PHONE)
    assert client.sent[-1]["collection"] == "PhoneStatus"


def test_an_id_in_use_moves_to_the_new_name():
    client = Legacy("ann")
    client.sub("PhoneStatus", "a")
    client.sub("NodeStatus", "a")
    assert set(client.subscriptions) == {"NodeStatus"}


@pytest.mark.parametrize(
    ("user", "name", "code"), [("", "*", 13), ("", "PhoneStatus", 13), ("bob", "NodeStatus", 13)]
)
def test_without_the_right_there_is_no_subscription(user, name, code):
    client = Legacy(user)
    (answer,) = client.sub(name)
    assert answer["msg"] == "result"
    assert answer["id"] == "s"
    assert (answer["error"]["error"], answer["error"]["reason"]) == (code, "Not authorized")
    assert client.subscriptions == {}


def test_an_unknown_name_is_refused_not_ready():
    (answer,) = Legacy("ann").sub("PhoneStauts")
    assert answer["error"]["error"] == 2


def test_rights_are_those_of_the_moment():
    client = Legacy("ann")
    client.rights = Rights()
    (answer,) = client.sub("PhoneStatus")
    assert answer["error"]["error"] == 13


def test_an_argument_is_a_filter_and_part_of_the_collection():
    client = Legacy("ann")
    name = 'PhoneStatus:{"Status": "busy"}'
    client.sub(name)
    client.event("PhoneStatus", PHONE)
    assert client.sent[-1]["collection"] == name
    before = len(client.sent)
    client.event("PhoneStatus", {**PHONE, "Status": "free"})
    assert len(client.sent) == before


@pytest.mark.parametrize(
    "name",
    [
        "PhoneStatus:",
        "PhoneStatus:x",
        "PhoneStatus:[]",
        'PhoneStatus:{"Nothing": 1}',
        'PhoneStatus:{"xquery": 7}',
        'PhoneStatus:{"xquery": "1", "Status": "x"}',
        'reporting.realtime:{"interval": 1}',
        'reporting.realtime:{"interval": true}',
        'reporting.realtime:{"every": 5}',
    ],
)
def test_a_bad_argument_is_nosub_alone(name):
    client = Legacy("ann")
    (answer,) = client.sub(name)
    assert answer["msg"] == "nosub"
    assert answer["collection"] == name
    assert answer["error"]["error"] == 11
    assert answer["error"]["type"] == "VALIDATION"
    assert client.subscriptions == {}


def test_a_query_needs_a_right():
    name = 'PhoneStatus:{"xquery": "true()"}'
    client = Legacy("ann")
    assert client.sub(name)[0]["msg"] == "ready"
    assert client.subscriptions[name].wanted.xquery == "true()"
    assert Legacy("bob").sub(name)[0]["error"]["error"] == 13


def test_an_interval_is_the_pace():
    client = Legacy("ann")
    client.sub("reporting.realtime")
    assert client.subscriptions["reporting.realtime"].pace == 2
    client.sub('reporting.realtime:{"interval": 5}', "b")
    assert client.subscriptions['reporting.realtime:{"interval": 5}'].pace == 5


# -- events


def test_a_job_looks_as_clients_know_it():
    client = Legacy("ann")
    client.sub("core.get_jobs")
    client.event("JobStatus", JOB)
    added = client.sent[-1]
    assert (added["msg"], added["collection"], added["id"]) == ("added", "core.get_jobs", 79)
    fields = added["fields"]
    assert fields["id"] == 79
    assert fields["progress"] == {"percent": None, "description": None, "extra": None}
    assert fields["message_ids"] == []
    for member in ("result", "error", "exception", "exc_info", "time_started", "time_finished", "logs_path"):
        assert fields[member] is None
    started = {
        "TimeStarted": {"$date": 1571297741181},
        "Progress": {"Percent": "12.5", "Description": "Scrubbing"},
    }
    client.event("JobStatus", {**JOB, "State": "RUNNING", **started, "Owner": "ann"})
    changed = client.sent[-1]
    assert changed["msg"] == "changed"
    assert changed["fields"]["progress"] == {"percent": 12.5, "description": "Scrubbing", "extra": None}
    assert changed["fields"]["time_started"] == {"$date": 1571297741181}
    assert changed["fields"]["credentials"]["data"] == {"username": "ann"}
    client.event("JobStatus", {**JOB, "State": "SUCCESS", "Result": {"a": 1}})
    assert client.sent[-1]["fields"]["result"] == {"a": 1}


def test_a_job_can_be_chosen_by_what_clients_see():
    client = Legacy("ann")
    client.sub('core.get_jobs:{"state": "RUNNING"}')
    before = len(client.sent)
    client.event("JobStatus", JOB)
    assert len(client.sent) == before
    client.event("JobStatus", {**JOB, "State": "RUNNING"})
    assert len(client.sent) == before + 1


REPORT = {
    "VirtualMemory": {"Total": 4784615424, "Available": 8, "Used": 7, "Free": 6, "Percent": "82.1"},
    "Cpu": {"Usage": [{"@core": "0", "#text": "12.5"}], "Temperature": [{"@core": "0", "#text": "45"}]},
    "Interface": [
        {"@name": "em0", "ReceivedBytes": 10, "ReceivedBytesLast": 1, "SentBytes": 20, "SentBytesLast": 2},
    ],
}


def test_a_realtime_report_looks_as_the_reference_document_shows_it():
    client = Legacy("ann")
    client.sub("reporting.realtime")
    client.event("RealtimeReport", REPORT)
    assert client.sent[-1]["msg"] == "added"
    assert "id" not in client.sent[-1]
    assert client.sent[-1]["fields"] == {
        "virtual_memory": {"total": 4784615424, "available": 8, "percent": 82.1, "used": 7, "free": 6},
        "cpu": {"usage": {"0": 12.5}, "temperature": {"0": 45.0}},
        "interfaces": {
            "em0": {"received_bytes": 10, "received_bytes_last": 1, "sent_bytes": 20, "sent_bytes_last": 2}
        },
    }


def test_an_object_that_was_removed_keeps_its_fields_aside():
    client = Legacy("ann")
    client.sub("ObjectChanged")
    gone = {"UUID": "7f8c", "ModificationTime": "2026-01-01T00:00:00Z", "ChangeType": "remove"}
    client.event("ObjectChanged", gone)
    removed = client.sent[-1]
    assert (removed["msg"], removed["id"]) == ("removed", "7f8c")
    assert "fields" not in removed
    assert removed["extra"]["fields"]["UUID"] == "7f8c"


def test_a_session_that_asks_for_it_gets_the_document():
    client = Legacy("ann", connect=False)
    client.say({"msg": "connect", "version": "1", "features": ["XML"]})
    client.sub("PhoneStatus")
    client.event("PhoneStatus", PHONE)
    assert "<PhoneStatus>" in client.sent[-1]["extra"]["xml"]


def test_json_of_strangers_in_an_event_does_not_lose_it():
    client = Legacy("ann")
    client.sub("core.get_jobs")
    client.event("JobStatus", {**JOB, "Arguments": [{"$date": "x"}, {"$ipv4_interface": 7}]})
    assert client.sent[-1]["fields"]["arguments"] == ['{"$date":"x"}', '{"$ipv4_interface":7}']


# -- jobs and publishing


def test_jobs_are_listed_and_aborted():
    client = Legacy("ann")
    done = {**JOB, "Id": 2, "State": "SUCCESS"}
    assert client.call("core.get_jobs") == [], "no agent here runs jobs"
    client.results["getJobs"] = Result({"jobs": [JOB, done], "offered": {}})
    (job,) = client.call("core.get_jobs", [["id", "=", 2]])
    assert (job["id"], job["state"], job["arguments"]) == (2, "SUCCESS", ["vol1", "START"])
    assert len(client.call("core.get_jobs")) == 2
    assert client.call("core.get_jobs", [["id", ">", 2]])["error"] == 22
    client.results["abortJob"] = Result(True)
    assert client.call("core.job_abort", 1) is None
    assert client.call("core.job_abort", "1")["error"] == 22


def test_an_event_is_published_by_event_send():
    client = Legacy("ann")
    assert client.call("core.event_send", "PhoneStatus", "ADDED", {"fields": PHONE}) is None
    draft = next(effect.draft for effect in client.effects if type(effect).__name__ == "Publish")
    assert (draft.kind, draft.fields) == ("PhoneStatus", PHONE)


def test_key_and_operation_come_from_id_and_type():
    client = Legacy("ann")
    client.call("core.event_send", "ObjectChanged", "REMOVED", {"id": "7", "fields": {}})
    draft = next(effect.draft for effect in client.effects if type(effect).__name__ == "Publish")
    assert draft.fields == {"UUID": "7", "ChangeType": "delete"}


@pytest.mark.parametrize(
    "params", [[], ["PhoneStatus"], ["PhoneStatus", "MADE", {}], ["PhoneStatus", "ADDED", {"fields": []}]]
)
def test_event_send_checks_its_params(params):
    assert Legacy("ann").call("core.event_send", *params)["error"] == 22


def test_what_the_schema_refuses_is_told_with_its_path():
    client = Legacy("ann")
    data = {"kind": "PhoneStatus", "path": "/Event/PhoneStatus/Status", "reason": "missing", "line": 1}
    client.results["publish"] = Failed(Failure.INVALID, "no", data=data)
    error = client.call("core.event_send", "PhoneStatus", "ADDED", {"fields": {}})
    assert error["extra"] == [["/Event/PhoneStatus/Status", "missing", 22]]


def test_events_are_listed_with_their_descriptions():
    found = Legacy("ann").call("core.get_events")
    assert found["reporting.realtime"]["wildcard_subscription"] is False
    assert found["PhoneStatus"]["wildcard_subscription"] is True
    assert found["PhoneStatus"]["description"]
    assert set(Legacy("bob").call("core.get_events")) == {"PhoneStatus"}


def test_nothing_is_sent_that_is_no_json():
    client = Legacy("ann")
    client.results["x"] = Result(float("nan"))
    assert json.dumps(client.call("clacks.x"), allow_nan=False) == '"nan"'
