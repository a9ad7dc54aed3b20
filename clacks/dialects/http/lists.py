"""What there is: event types and their schemas, nodes, clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clacks.common.json_schema import json_schema
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import SCHEMAS
from clacks.dialects.actions import Call, Failed, Failure, Outcome, Result
from clacks.dialects.exchange import Actor, Request, Response, Route, json_response
from clacks.dialects.http.problems import problem, refusal
from clacks.dialects.session import Hello

__all__ = ["best_node", "get_best_node", "get_clients", "get_nodes", "schemas_route"]

_SECONDS: Final = 10.0
"""How long the tables of an agent are waited for."""


def _near(hello: Hello) -> bool:
    """Tell whether the peer is this machine: secure, and that not by TLS."""
    return hello.secure and not hello.tls


def schemas_route(registry: SchemaRegistry) -> Route:
    """Return the route of ``GET /schemas`` and ``GET /schemas/TYPE``."""

    async def get_schemas(request: Request, actor: Actor) -> Response:
        if not _near(request.hello) and not actor.access.may_call(SCHEMAS):
            return problem(403 if actor.access.user else 401, f"the right {SCHEMAS} is needed")
        name = request.path.removeprefix("/schemas").strip("/")
        if not name:
            return json_response({"types": [_summary(registry, kind) for kind in sorted(registry.kinds)]})
        kind = name.removesuffix(".xsd").removesuffix(".json")
        if name.endswith(".json") and kind in registry.kinds:
            schema = {"$schema": "http://json-schema.org/draft-07/schema#", **_json_schema(registry, kind)}
            answer = json_response(schema)
            return Response(200, answer.body, "application/schema+json")
        source = registry.sources().get(kind)
        if source is None:
            return problem(404, f"no schema {name[:100]!r}")
        return Response(200, source, "application/xml; charset=utf-8")

    return get_schemas


def _json_schema(registry: SchemaRegistry, kind: str) -> dict[str, Any]:
    return {**json_schema(registry.type(kind).model), "description": registry.documentation(kind)}


def _summary(registry: SchemaRegistry, kind: str) -> dict[str, Any]:
    annotations = registry.annotations(kind)
    return {
        "type": kind,
        "documentation": registry.documentation(kind),
        "key": annotations.key,
        "state": annotations.state,
        "public": annotations.public,
        "xsd": f"/schemas/{kind}.xsd",
        "json": f"/schemas/{kind}.json",
    }


async def _asked(actor: Actor, method: str, params: Mapping[str, Any]) -> Outcome:
    if not actor.access.user:
        return Failed(Failure.FORBIDDEN, "log in to see this")
    return await actor.perform(Call(None, method, params, _SECONDS))


async def get_nodes(request: Request, actor: Actor) -> Response:
    """Answer with the nodes of the domain: load, latency, workers, gateway, when last heard of."""
    return _table(await _asked(actor, "getNodes", {}), actor, "nodes")


async def get_best_node(request: Request, actor: Actor) -> Response:
    """Answer with the gateway of the least loaded node: what clients connect to that may choose."""
    outcome = await _asked(actor, "getNodes", {})
    if isinstance(outcome, Failed):
        return refusal(outcome, known=bool(actor.access.user))
    assert isinstance(outcome, Result)
    best = best_node(outcome.value)
    if best is None:
        return problem(503, "no node has said where its gateway listens")
    # Not a redirect: the answer is an address for WebSockets as well, and nothing here is moved.
    return json_response(best, headers={"Cache-Control": "no-store"})


def best_node(nodes: Any) -> dict[str, Any] | None:
    """Return id, gateway and load of the least loaded node that has a gateway, or None.

    >>> best_node({"a": {"gateway": "https://a", "load": 0.5}, "b": {"gateway": "https://b", "load": 0.1}})
    {'id': 'b', 'gateway': 'https://b', 'load': 0.1}
    """
    if not isinstance(nodes, Mapping):
        return None
    found = [
        (facts.get("load"), name, facts["gateway"])
        for name, facts in nodes.items()
        if isinstance(facts, Mapping) and facts.get("gateway")
    ]
    if not found:
        return None
    # A node that has not said how busy it is comes last, not first.
    load, name, gateway = min(
        found, key=lambda one: (one[0] if isinstance(one[0], int | float) else float("inf"), one[1])
    )
    return {"id": name, "gateway": gateway, "load": load}


async def get_clients(request: Request, actor: Actor) -> Response:
    """Answer with a page of the clients, in the order of their ids, behind ``after``."""
    try:
        limit = int(request.first("limit", "1000"))
    except ValueError:
        return problem(400, "limit: a number")
    if not 1 <= limit <= 5000:
        return problem(400, "limit: 1 to 5000")
    params = {"after": request.first("after"), "limit": limit}
    return _table(await _asked(actor, "getClients", params), actor, "clients")


def _table(outcome: Outcome, actor: Actor, name: str) -> Response:
    if isinstance(outcome, Failed):
        return refusal(outcome, known=bool(actor.access.user))
    assert isinstance(outcome, Result)
    return json_response({name: outcome.value}, headers={"Cache-Control": "no-store"})
