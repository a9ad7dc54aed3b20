"""``POST /rpc``: commands of agents by JSON-RPC 2.0, batches included."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from clacks.common.errors import CommandError
from clacks.common.jsonrpc import (
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    OUTCOME_UNKNOWN,
    PARSE_ERROR,
    TIMED_OUT,
    UNAVAILABLE,
    Failure,
    Success,
    decode,
    encode,
)
from clacks.common.jsonrpc import Request as RpcRequest
from clacks.dialects import actions
from clacks.dialects.actions import Call, Failed, Outcome, Result
from clacks.dialects.exchange import Actor, Request, Response

__all__ = ["MOST_CALLS", "post_rpc"]

MOST_CALLS: Final = 50
"""Calls in one batch."""
MOST_SECONDS: Final = 300.0

_CODES: Final = {
    actions.Failure.FORBIDDEN: FORBIDDEN,
    actions.Failure.UNKNOWN: METHOD_NOT_FOUND,
    actions.Failure.INVALID: INVALID_PARAMS,
    actions.Failure.TIMEOUT: TIMED_OUT,
    actions.Failure.LOST: OUTCOME_UNKNOWN,
}


async def post_rpc(request: Request, actor: Actor) -> Response:
    """Carry out one call or a batch; the status is 200 whatever came of them, 204 if nobody wants to know."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in ("application/json", "application/json-rpc"):
        # A form of another site's page cannot have this type without asking first.
        return Response(415, b"a call is of type application/json\n", "text/plain; charset=utf-8")
    timeout = _timeout(request.first("timeout", "30"))
    if timeout is None:
        return Response(400, b"timeout: seconds from 0.1 to 300\n", "text/plain; charset=utf-8")
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        return _answer(_encoded(Failure(PARSE_ERROR, "not a JSON text")))
    if not isinstance(value, list):
        single = await _carried_out(request.body, actor, timeout)
        return Response(204) if single is None else _answer(single)
    if not 0 < len(value) <= MOST_CALLS:
        return _answer(_encoded(Failure(INVALID_REQUEST, f"a batch has 1 to {MOST_CALLS} calls")))
    parts = [json.dumps(item).encode() for item in value]
    done = await asyncio.gather(*(_carried_out(part, actor, timeout) for part in parts))
    answers = [answer for answer in done if answer is not None]
    return _answer(b"[" + b",".join(answers) + b"]") if answers else Response(204)


def _timeout(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0.1 <= seconds <= MOST_SECONDS else None


async def _carried_out(data: bytes, actor: Actor, timeout: float) -> bytes | None:
    try:
        call = decode(data)
    except CommandError as error:
        return _encoded(Failure(error.code, error.message))
    if not isinstance(call, RpcRequest):
        return _encoded(Failure(INVALID_REQUEST, "not a call", id=call.id))
    outcome = await actor.perform(Call(None, call.method, call.params, timeout))
    return None if call.notification else _encoded(_outcome(outcome, call.id))


def _outcome(outcome: Outcome, number: Any) -> Success | Failure:
    if isinstance(outcome, Result):
        return Success(outcome.value, number)
    assert isinstance(outcome, Failed)
    if outcome.why is actions.Failure.REMOTE:
        return Failure(outcome.code or INTERNAL_ERROR, outcome.text, outcome.data, number)
    return Failure(
        _CODES.get(outcome.why, UNAVAILABLE), outcome.text or outcome.why.value, outcome.data, number
    )


def _encoded(answer: Success | Failure) -> bytes:
    try:
        return encode(answer)
    except CommandError as error:
        return encode(Failure(INTERNAL_ERROR, error.message, id=answer.id))


def _answer(body: bytes) -> Response:
    return Response(200, body, "application/json", {"Cache-Control": "no-store"})
