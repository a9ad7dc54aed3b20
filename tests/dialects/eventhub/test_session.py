"""The Eventhub dialect without a socket: texts in, effects out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import GUEST, Access, Identity
from clacks.dialects.actions import (
    Close,
    DeleteKey,
    Failed,
    Failure,
    GetKey,
    Key,
    Publish,
    Published,
    Recall,
    Recalled,
    Send,
    SetKey,
    Since,
    Subscribe,
    Subscribed,
    Token,
    TopicDraft,
    Unsubscribe,
)
from clacks.dialects.delivered import Delivered
from clacks.dialects.eventhub.codec import MESSAGES, STREAM
from clacks.dialects.eventhub.session import EVENTHUB, EventhubSession, EventhubStream
from clacks.dialects.session import Hello, Knowledge, Refusal

REGISTRY = SchemaRegistry()
RIGHTS = Rights({GUEST: ("admin",)})
KNOWN = Knowledge(REGISTRY, "here", lambda: 1700000000000, recording=lambda: True)


def access(read: tuple[str, ...] | None = ("#",), write: tuple[str, ...] | None = ("#",)) -> Access:
    return Access(Identity(GUEST, read=read, write=write), lambda: RIGHTS)


def session(knowledge: Knowledge = KNOWN, **filters: Any) -> EventhubSession:
    return EventhubSession(Hello("/", access=access(**filters)), knowledge)


def call(method: str, params: Any = None, id: Any = 1) -> str:  # noqa: A002
    body = {"jsonrpc": "2.0", "id": id, "method": method}
    return json.dumps(body if params is None else {**body, "params": params})


def sent(effects: Any) -> Any:
    """Return the value of the only thing that is sent."""
    texts = [json.loads(effect.text) for effect in effects if isinstance(effect, Send)]
    assert len(texts) == 1
    return texts[0]


def refusal(effects: Any) -> str:
    answer = sent(effects)
    assert answer["error"]["code"] == -32602
    assert answer["error"]["message"] == "Invalid params"
    return str(answer["error"]["data"])


def message(topic: str = "a/b", text: str = "hello", origin: str | None = None) -> Delivered:
    fields = {"Id": "5-7", "Topic": topic, "Message": text, "Timestamp": 5, "Origin": origin}
    return Delivered(REGISTRY.from_dict("TopicMessage", fields), "", 0)


INVALID = {
    "id": None,
    "jsonrpc": "2.0",
    "error": {"code": -32600, "message": "Invalid request", "data": "Invalid request"},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "[" + call("ping") + "]",
        "1",
        "null",
        '{"jsonrpc":"2.0","method":"ping"}',
        '{"jsonrpc":"1.0","method":"ping","id":1}',
        '{"jsonrpc":"2.0","id":1}',
        '{"jsonrpc":"2.0","id":1,"method":""}',
        '{"jsonrpc":"2.0","id":1,"method":7}',
        '{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
        '{"jsonrpc":"2.0","id":true,"method":"ping"}',
        '{"jsonrpc":"2.0","id":[1],"method":"ping"}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":7}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}',
        '{"jsonrpc":"2.0","id":1,"result":true}',
        "[" * 100_000,
        "1" * 10_000,
    ],
)
def test_what_is_no_request_gets_one_answer_without_id(text: str) -> None:
    assert sent(session().receive(text)) == INVALID


def test_binary_messages_are_passed_over() -> None:
    assert list(session().receive(b"\x00")) == []


def test_an_unknown_method_has_no_data() -> None:
    assert sent(session().receive(call("fly", id="x"))) == {
        "id": "x",
        "jsonrpc": "2.0",
        "error": {"code": -32601, "message": "Method not found"},
    }


@pytest.mark.parametrize("id_", [0, -1, 2**53 + 1, 4294967297, "text", "", None, "\ud800"])
def test_ids_come_back_as_they_are(id_: Any) -> None:
    answer = sent(session().receive(call("PING", id=id_)))
    assert answer == {"id": id_, "jsonrpc": "2.0", "result": {"pong": 1700000000000}}


def test_subscribing_names_form_and_splice() -> None:
    one = session()
    (effect,) = one.receive(call("subscribe", {"topic": "a/+"}, id="s"))
    assert isinstance(effect, Subscribe)
    assert (effect.id, effect.wanted.topics, effect.splice, effect.since) == ("a/+", "a/+", b'"s"', None)
    assert sent(one.answer(effect.token, Subscribed()))["result"] == {
        "action": "subscribe",
        "status": "ok",
        "topic": "a/+",
    }


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({}, "You must specify 'topic' to subscribe to."),
        ({"topic": ""}, "You must specify 'topic' to subscribe to."),
        ({"topic": 7}, "You must specify 'topic' to subscribe to."),
        (["a"], "You must specify 'topic' to subscribe to."),
        ({"topic": "a b"}, "Invalid topic in request: a b"),
        ({"topic": "a/#/b"}, "Invalid topic in request: a/#/b"),
        ({"topic": "#"}, "You are not allowed to subscribe to topic: #"),
        ({"topic": "t/#"}, "You are not allowed to subscribe to topic: t/#"),
    ],
)
def test_a_subscription_is_refused_in_the_words_of_the_original(params: Any, why: str) -> None:
    assert refusal(session(read=("t/+",)).receive(call("subscribe", params))) == why


def test_the_same_topic_again_keeps_the_first_id_and_only_replays() -> None:
    one = session()
    (first,) = one.receive(call("subscribe", {"topic": "a"}, id=1))
    list(one.answer(first.token, Subscribed()))
    assert sent(one.receive(call("subscribe", {"topic": "a"}, id=2)))["id"] == 2
    (again,) = one.receive(call("subscribe", {"topic": "a", "since": -5}, id=3))
    assert again.replay_only
    assert again.splice == b"3"


@pytest.mark.parametrize(
    ("params", "since"),
    [
        ({"since": 5}, Since(ms=5)),
        ({"since": 5.9}, Since(ms=5)),
        ({"since": -60000}, Since(ago=60000)),
        ({"since": 0}, None),
        ({"since": True}, None),
        ({"since": 1e300}, None),
        ({"since": "5-7"}, Since(after="5-7")),
        ({"sinceEventId": "5-7", "since": 9}, Since(after="5-7")),
        ({"sinceEventId": "", "since": 9}, Since(ms=9)),
        ({"sinceEventId": 9}, None),
    ],
)
def test_since_is_a_time_negative_or_a_message_id(params: Any, since: Since | None) -> None:
    (effect,) = session().receive(call("subscribe", {"topic": "a", **params}))
    assert effect.since == since


def test_without_a_log_since_is_passed_over_as_in_the_original() -> None:
    without = Knowledge(REGISTRY, "here", lambda: 0)
    (effect,) = session(without).receive(call("subscribe", {"topic": "a", "since": 5}))
    assert effect.since is None
    why = refusal(session(without).receive(call("eventlog", {"topic": "a", "since": 5})))
    assert why == "Cache is not enabled in server config"


def test_a_delivered_message_carries_id_topic_message_and_origin() -> None:
    encoded = MESSAGES.encode(message(text='"\n\u2028', origin="ann"), "a/b")
    assert json.loads(encoded.head + b"17" + encoded.tail) == {
        "id": 17,
        "jsonrpc": "2.0",
        "result": {"id": "5-7", "topic": "a/b", "message": '"\n\u2028', "origin": "ann"},
    }


def test_a_typed_event_is_shown_as_json_under_its_topic() -> None:
    event = REGISTRY.from_dict("PhoneStatus", {"CallerId": "1", "ReceiverId": "2", "Status": "busy"})
    encoded = MESSAGES.encode(Delivered(event, "9-1", 9), "events/PhoneStatus")
    result = json.loads(encoded.head + b"1" + encoded.tail)["result"]
    assert result["topic"] == "events/PhoneStatus"
    assert json.loads(result["message"]) == {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}


def test_publishing_takes_topic_message_timestamp_and_ttl() -> None:
    one = session()
    params = {"topic": "a", "message": "m", "timestamp": 12.7, "ttl": 3}
    (effect,) = one.receive(call("publish", params))
    assert effect == Publish(("publish", 1, "a"), TopicDraft("a", "m", 12, 3))
    assert sent(one.answer(effect.token, Published("12-0")))["result"] == {
        "action": "publish",
        "id": "12-0",
        "status": "ok",
        "topic": "a",
    }
    assert sent(one.answer(effect.token, Failed(Failure.RATE)))["result"] == {
        "action": "publish",
        "status": "ERR_RATE_LIMIT_EXCEEDED",
        "topic": "a",
    }
    assert refusal(one.answer(effect.token, Failed(Failure.INVALID, "too long"))) == "too long"


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"topic": "a"}, "You need to specify topic and message to publish to."),
        ({"topic": "a", "message": ""}, "You need to specify topic and message to publish to."),
        ({"topic": "a", "message": 7}, "You need to specify topic and message to publish to."),
        ({"topic": "a", "message": {}}, "You need to specify topic and message to publish to."),
        ({"topic": "other", "message": "m"}, "Insufficient access to topic: other"),
        ({"topic": "a/+", "message": "m"}, "a/+ is not a valid topic."),
        ({"topic": "a", "message": "m", "ttl": -1}, "ttl must be positive."),
        ({"topic": "a", "message": "m", "timestamp": -1}, "timestamp must be milliseconds since 1970."),
    ],
)
def test_a_message_is_refused_in_the_words_of_the_original(params: Any, why: str) -> None:
    assert refusal(session(write=("a/#",)).receive(call("publish", params))) == why


def test_unsubscribing_counts_what_was_really_removed() -> None:
    one = session()
    for topic in ("a", "b/#", "c"):
        (effect,) = one.receive(call("subscribe", {"topic": topic}))
        list(one.answer(effect.token, Subscribed()))
    assert sorted(sent(one.receive(call("list")))["result"]) == ["a", "b/#", "c"]
    effects = list(one.receive(call("unsubscribe", ["a", "a", "nothing", "b/#"])))
    assert effects[:2] == [Unsubscribe("a"), Unsubscribe("b/#")]
    assert sent(effects)["result"] == {"unsubscribe_count": 2}
    assert sent(one.receive(call("unsubscribe", [])))["result"] == {"unsubscribe_count": 0}
    assert sent(one.receive(call("unsubscribeAll", [])))["result"] == {"unsubscribe_count": 1}
    why = refusal(one.receive(call("unsubscribe", {"topic": "a"})))
    assert why == "Parameter is not array of topics to unsubscribe from."


def test_a_bad_element_removes_nothing() -> None:
    one = session()
    (effect,) = one.receive(call("subscribe", {"topic": "a"}))
    list(one.answer(effect.token, Subscribed()))
    assert "no string" in refusal(one.receive(call("unsubscribe", ["a", 7])))
    assert sent(one.receive(call("list")))["result"] == ["a"]


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"topic": "a"}, "You must specify either 'since' or 'sinceEventId'."),
        ({"topic": "a", "since": 0}, "You must specify either 'since' or 'sinceEventId'."),
        ({"since": 1}, "You must specify topic."),
        ({"since": 1, "topic": "+a"}, "Invalid topic in request: +a"),
        ({"since": 1, "topic": "b"}, "You are not allowed to read from topic: b"),
    ],
)
def test_the_log_is_refused_in_the_order_of_the_original(params: Any, why: str) -> None:
    assert refusal(session(read=("a",)).receive(call("eventlog", params))) == why


@pytest.mark.parametrize(
    ("limit", "found"), [(None, 100), (7, 7), (0, 0), (-1, 100), (1000, 100), ("7", 100), (True, 100)]
)
def test_the_limit_of_the_log_is_a_hundred(limit: Any, found: int) -> None:
    (effect,) = session().receive(call("eventlog", {"topic": "a", "since": 1, "limit": limit}))
    assert isinstance(effect, Recall)
    assert effect.limit == found


def test_the_log_answers_with_items() -> None:
    one = session()
    (effect,) = one.receive(call("eventlog", {"topic": "a/b", "since": 1}))
    outcome = Recalled((message(), message(origin="a:b")))
    assert sent(one.answer(effect.token, outcome))["result"] == {
        "action": "eventlog",
        "status": "ok",
        "topic": "a/b",
        "items": [
            {"id": "5-7", "topic": "a/b", "message": "hello"},
            {"id": "5-7", "topic": "a/b", "message": "hello", "origin": "a:b"},
        ],
    }


def test_keys_are_read_written_and_removed() -> None:
    one = session()
    assert list(one.receive(call("get", {"key": ""}))) == [GetKey(("get", 1, ""), "")]
    (effect,) = one.receive(call("set", {"key": "k", "value": "", "ttl": 3600}))
    assert effect == SetKey(("set", 1, "k"), "k", "", 3600)
    assert list(one.receive(call("del", {"key": "k"}))) == [DeleteKey(("del", 1, "k"), "k")]
    assert sent(one.answer(("get", 1, "k"), Key("v")))["result"] == {
        "action": "get",
        "key": "k",
        "value": "v",
    }
    assert refusal(one.answer(("get", 1, "k"), Key())) == "KVStore: key not found"
    assert sent(one.answer(("set", 1, "k"), Key("v")))["result"]["success"] is True
    assert sent(one.answer(("del", 1, "k"), Key()))["result"]["success"] is False
    assert (
        refusal(one.answer(("del", 1, "k"), Failed(Failure.FORBIDDEN)))
        == "You are not allowed to delete key k"
    )
    assert refusal(one.answer(("get", 1, "k"), Failed(Failure.UNAVAILABLE))) == "KVStore is not enabled."


@pytest.mark.parametrize(
    ("method", "params"),
    [("get", {}), ("set", {"key": "k"}), ("set", {"key": "k", "value": 7}), ("del", {"key": 7})],
)
def test_missing_parameters_are_named(method: str, params: Any) -> None:
    assert "You must specify 'key'" in refusal(session().receive(call(method, params)))


def test_disconnect_closes_without_a_code() -> None:
    assert list(session().receive(call("disconnect"))) == [Close(None)]


def test_an_expired_token_ends_the_connection() -> None:
    assert list(session().expired()) == [Close(1008, "the token has expired")]


def test_a_line_break_cannot_forge_an_event_of_the_stream() -> None:
    encoded = STREAM.encode(message(text="one\r\ntwo\n\nid: 9-9\rdata: x"), "a/b")
    assert encoded.head == b"id: 5-7\ndata: one\ndata: two\ndata: \ndata: id: 9-9\ndata: data: x\n\n"


def stream(path: str, **hello: Any) -> EventhubStream | Refusal:
    assert EVENTHUB.stream is not None
    found = EVENTHUB.stream(Hello(path, access=access(read=("a/#",)), **hello), KNOWN)
    assert isinstance(found, EventhubStream | Refusal)
    return found


def test_a_stream_says_ok_and_replays() -> None:
    begun = stream("/eventhub/a/+", base="/eventhub/", headers={"last-event-id": "5-7"})
    assert isinstance(begun, EventhubStream)
    ok, subscribe = begun.opened()
    assert ok == Send(":ok\n\n")
    assert isinstance(subscribe, Subscribe)
    assert (subscribe.wanted.topics, subscribe.since) == ("a/+", Since(after="5-7"))


@pytest.mark.parametrize(
    ("query", "since"),
    [({"lasteventid": "6-0"}, Since(after="6-0")), ({"since": "17"}, Since(ms=17)), ({"since": "x"}, None)],
)
def test_the_query_of_a_stream_wins(query: Any, since: Since | None) -> None:
    headers = {"last-event-id": "5-7"} if "lasteventid" in query else {}
    begun = stream("/a", query=query, headers=headers)
    assert isinstance(begun, EventhubStream)
    _, subscribe = begun.opened()
    assert isinstance(subscribe, Subscribe)
    assert subscribe.since == since


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/a b", 404), ("/b", 401), ("/#", 401)])
def test_a_stream_is_refused_with_json(path: str, status: int) -> None:
    refused = stream(path)
    assert isinstance(refused, Refusal)
    assert refused.status == status
    assert "error" in json.loads(refused.body)


@pytest.mark.parametrize(
    ("headers", "query", "token"),
    [
        ({"authorization": "raw.token"}, {"auth": "other"}, "raw.token"),
        ({"authorization": "Bearer raw.token"}, {}, "raw.token"),
        ({}, {"auth": "other"}, "other"),
        ({"authorization": "  "}, {}, None),
    ],
)
def test_the_token_stands_in_the_header_or_the_query(headers: Any, query: Any, token: str | None) -> None:
    assert EVENTHUB.credentials is not None
    shown = EVENTHUB.credentials(Hello("/", headers=headers, query=query))
    assert shown == (None if token is None else Token(token))
