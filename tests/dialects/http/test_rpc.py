from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.dialects.actions import Call, Failed, Failure, Result
from clacks.dialects.exchange import Response

from .asking import Asker

JSON = "application/json"


def call(method: str = "x", number: object = 1, **more: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "id": number, **more}


def post(asker: Asker, value: object, url: str = "/rpc") -> tuple[int, object]:
    return asker.answer("POST", url, json.dumps(value), content_type=JSON)


def test_a_call_is_carried_out():
    asker = Asker()
    asker.results["x"] = Result({"a": [1]})
    answer = {"jsonrpc": "2.0", "result": {"a": [1]}, "id": 1}
    assert post(asker, call(params={"b": 2}), "/rpc?timeout=5") == (200, answer)
    (effect,) = asker.effects
    assert isinstance(effect, Call)
    assert (effect.params, effect.timeout) == ({"b": 2}, 5.0)


def test_a_batch_is_answered_in_its_order():
    asker = Asker()
    asker.results["x"] = Result(1)
    batch = [call(number=1), call("nothing", 2), {"jsonrpc": "2.0", "method": "x"}, 7]
    status, answers = post(asker, batch)
    assert status == 200
    assert isinstance(answers, list)
    assert [answer["id"] for answer in answers] == [1, 2, None]
    assert answers[1]["error"]["code"] == -32601
    assert answers[2]["error"]["code"] == -32600


def test_notifications_are_not_answered():
    asker = Asker()
    asker.results["x"] = Result(1)
    answer = asker.ask("POST", "/rpc", json.dumps({"jsonrpc": "2.0", "method": "x"}), content_type=JSON)
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (204, b"")
    assert len(asker.effects) == 1


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        (Failed(Failure.FORBIDDEN, "no"), -32001),
        (Failed(Failure.TIMEOUT, "no"), -32003),
        (Failed(Failure.LOST, "no"), -32004),
        (Failed(Failure.UNAVAILABLE, "no"), -32005),
        (Failed(Failure.REMOTE, "no", -7, {"x": 1}), -7),
    ],
)
def test_failures_have_the_codes_of_the_bus(failed, code):
    asker = Asker()
    asker.results["x"] = failed
    _, answer = post(asker, call())
    assert isinstance(answer, dict)
    assert answer["error"]["code"] == code
    assert answer["error"].get("data") == failed.data


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", -32700),
        ("[]", -32600),
        ("7", -32600),
        ("[" * 100_000, -32700),
        (json.dumps([call()] * 51), -32600),
    ],
)
def test_what_is_no_call_is_told(body, code):
    status, answer = Asker().answer("POST", "/rpc", body, content_type=JSON)
    assert (status, answer["error"]["code"]) == (200, code)


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_form_of_another_site_is_refused(media):
    answer = Asker().ask("POST", "/rpc", json.dumps(call()), content_type=media)
    assert isinstance(answer, Response)
    assert answer.status == 415


@pytest.mark.parametrize("timeout", ["0", "-1", "1e9", "nan", "x"])
def test_a_timeout_is_a_number_of_seconds(timeout):
    assert Asker().answer("POST", f"/rpc?timeout={timeout}", json.dumps(call()), content_type=JSON)[0] == 400


@given(st.binary() | st.text().map(str.encode))
def test_no_body_breaks_it(body):
    status, _ = Asker().answer("POST", "/rpc", body, content_type=JSON)
    assert status == 200
