from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clacks.common.errors import CommandError, CommandRefused
from clacks.common.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    Failure,
    Request,
    Success,
    decode,
    encode,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ids = st.none() | st.text() | st.integers()


@settings(max_examples=40)
@given(
    st.text(min_size=1),
    st.lists(json_values, max_size=4).map(tuple)
    | st.dictionaries(st.text(), json_values, min_size=1, max_size=4),
    ids,
)
def test_calls_survive_the_wire(method: str, params: object, id_: str | int | None) -> None:
    request = Request(method, params, id_)  # type: ignore[arg-type]
    assert decode(encode(request)) == request


@settings(max_examples=40)
@given(json_values, ids)
def test_answers_survive_the_wire(value: object, id_: str | int | None) -> None:
    assert decode(encode(Success(value, id_))) == Success(value, id_)
    assert decode(encode(Failure(-1, "no", value, id_))) == Failure(-1, "no", value, id_)


def test_bytes_are_those_of_the_specification() -> None:
    assert encode(Request("subtract", (42, 23), 1)) == (
        b'{"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":1}'
    )
    assert (
        encode(Request("update", (1,), notification=True))
        == b'{"jsonrpc":"2.0","method":"update","params":[1]}'
    )
    assert encode(Success(19, 1)) == b'{"jsonrpc":"2.0","result":19,"id":1}'
    assert encode(Failure(-32601, "Method not found", id="1")) == (
        b'{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":"1"}'
    )


def test_a_call_without_id_is_a_notification_and_one_with_null_is_not() -> None:
    assert decode('{"jsonrpc":"2.0","method":"m"}') == Request("m", notification=True)
    assert decode('{"jsonrpc":"2.0","method":"m","id":null}') == Request("m", notification=False)


def test_a_failure_becomes_the_exception_of_the_caller() -> None:
    error = Failure(-32001, "not allowed", {"a": 1}, "x").error()
    assert isinstance(error, CommandRefused)
    assert (error.code, error.message, error.data) == (-32001, "not allowed", {"a": 1})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","result":NaN,"id":1}',
        b'{"jsonrpc":"2.0","result":-Infinity,"id":1}',
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_json_is_a_parse_error(data: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        decode(data)
    assert caught.value.code == PARSE_ERROR


@pytest.mark.parametrize(
    "body",
    [
        1,
        [],
        [{"jsonrpc": "2.0", "method": "m", "id": 1}],
        {},
        {"jsonrpc": "1.0", "method": "m", "id": 1},
        {"method": "m", "id": 1},
        {"jsonrpc": "2.0", "method": 1, "id": 1},
        {"jsonrpc": "2.0", "method": "", "id": 1},
        {"jsonrpc": "2.0", "method": "m", "params": 1, "id": 1},
        {"jsonrpc": "2.0", "method": "m", "params": None, "id": 1},
        {"jsonrpc": "2.0", "method": "m", "id": {}},
        {"jsonrpc": "2.0", "method": "m", "id": True},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "result": 1, "error": {"code": 1, "message": ""}},
        {"jsonrpc": "2.0", "id": 1, "error": "bad"},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": "1", "message": ""}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": True, "message": ""}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1}},
    ],
)
def test_what_is_no_json_rpc_is_an_invalid_request(body: object) -> None:
    with pytest.raises(CommandError) as caught:
        decode(json.dumps(body))
    assert caught.value.code == INVALID_REQUEST


def test_an_id_out_of_the_range_of_numbers_is_refused() -> None:
    with pytest.raises(CommandError) as caught:
        decode('{"jsonrpc":"2.0","method":"m","id":1e999}')
    assert caught.value.code == INVALID_REQUEST


def test_the_id_of_an_invalid_request_is_kept_for_the_answer() -> None:
    with pytest.raises(CommandError) as caught:
        decode('{"jsonrpc":"2.0","method":1,"id":"x"}')
    assert caught.value.data == "x"


@pytest.mark.parametrize("value", [b"bytes", float("nan"), object()])
def test_what_json_cannot_hold_is_refused_when_written(value: object) -> None:
    with pytest.raises(CommandError) as caught:
        encode(Request("m", (value,), 1))
    assert caught.value.code == INVALID_PARAMS
    with pytest.raises(CommandError) as caught:
        encode(Success(value, 1))
    assert caught.value.code == INTERNAL_ERROR


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_command_error(data: bytes) -> None:
    try:
        code = 0 if decode(data) else None
    except CommandError as error:
        code = error.code
    assert code in (0, PARSE_ERROR, INVALID_REQUEST)
