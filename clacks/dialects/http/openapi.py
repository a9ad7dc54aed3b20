"""The description of the plain HTTP interface: OpenAPI 3.1, with the event types that there are now."""

from __future__ import annotations

from typing import Any

from clacks.common.json_schema import json_schema
from clacks.common.schema import SchemaRegistry
from clacks.dialects.exchange import Actor, Request, Response, Route, json_response
from clacks.dialects.http.entries import MOST_EVENTS
from clacks.dialects.http.formats import FORMATS
from clacks.dialects.http.rpc import MOST_CALLS

__all__ = ["description", "openapi_route"]


def openapi_route(registry: SchemaRegistry) -> Route:
    """Return the route of ``GET /openapi.json``. What it says of event types is what /schemas guards."""

    async def get_openapi(request: Request, actor: Actor) -> Response:
        kinds = frozenset(kind for kind in registry.kinds if actor.access.may_read(kind))
        return json_response(description(registry, kinds))

    return get_openapi


def description(registry: SchemaRegistry, kinds: frozenset[str]) -> dict[str, Any]:
    """Return the description, with the schemas of these event types."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Clacks",
            "version": "1",
            "description": "An event bus for XML events: read, publish, call.",
        },
        "security": [{"bearer": []}, {"basic": []}, {}],
        "paths": {
            "/events": {"get": _get_events(), "post": _post_events()},
            "/schemas": {"get": _get("The event types", "types")},
            "/schemas/{name}": {"get": _get_schema()},
            "/nodes": {"get": _get("The agents of the domain", "nodes")},
            "/nodes/best": {"get": _get_best()},
            "/clients": {"get": _get_clients()},
            "/rpc": {"post": _post_rpc()},
            "/healthz": {"get": _get_health()},
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "responses": {
                "Problem": {
                    "description": "It was not done, and why (RFC 9457)",
                    "content": {"application/problem+json": {"schema": _ref("Problem")}},
                }
            },
            "schemas": {
                "Problem": _PROBLEM,
                "Event": _event_schema(kinds),
                "CloudEvent": _CLOUD_EVENT,
                "Answer": _ANSWER,
                "Call": _CALL,
                **{f"Event.{kind}": _content(registry, kind) for kind in sorted(kinds)},
            },
        },
    }


_TEXT = {"type": "string"}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(registry: SchemaRegistry, kind: str) -> dict[str, Any]:
    return {**json_schema(registry.type(kind).model), "description": registry.documentation(kind)}


def _event_schema(kinds: frozenset[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", **({"examples": sorted(kinds)[:3]} if kinds else {})},
            "data": {"description": "Content by the schema Event.TYPE, or the document as text"},
        },
    }


_PROBLEM = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {},
        "code": {"type": "string", "description": "W3C code of an error in a query"},
        "line": {"type": "integer"},
        "column": {"type": "integer"},
    },
}

_CLOUD_EVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "datacontenttype": {"type": "string"},
        "data": {},
        "data_base64": {"type": "string"},
    },
}

_ANSWER = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "integer"},
        "id": {"type": ["string", "null"], "description": "Log id of a recorded event"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {},
    },
}

_CALL = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "number", "null"]},
        "method": {"type": "string", "minLength": 1},
        "params": {"type": ["array", "object"]},
    },
}


def _responses(good: dict[str, Any], *bad: int) -> dict[str, Any]:
    return {**good, **{str(status): {"$ref": "#/components/responses/Problem"} for status in bad}}


def _json(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, text: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


def _get_events() -> dict[str, Any]:
    return {
        "operationId": "listen",
        "summary": "Live events, and those of the log before them, as server-sent events",
        "parameters": [
            _parameter("type", "Event types; all if absent", {"type": "array", "items": {"type": "string"}}),
            _parameter("xquery", "Only those that this query lets through", {"type": "string"}),
            _parameter("since", "A log id, -DURATION (-1h, -90s) or a time", {"type": "string"}),
            _parameter("format", "How events look", {"enum": list(FORMATS), "default": "json"}),
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": _responses(
            {
                "200": {
                    "description": "A stream",
                    "content": {"text/event-stream": {"schema": {"type": "string"}}},
                }
            },
            *(400, 401, 403, 404, 503),
        ),
    }


def _post_events() -> dict[str, Any]:
    event, cloud = _ref("Event"), _ref("CloudEvent")
    listed = {"type": "array", "items": _ref("Answer")}
    answers = {"type": "object", "required": ["events"], "properties": {"events": listed}}
    return {
        "operationId": "publish",
        "summary": f"Publish one event or up to {MOST_EVENTS}; each is validated and answered for itself",
        "parameters": [
            _parameter("stored", "Commit to the event log first", {"type": "boolean", "default": False})
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/xml": {"schema": {"type": "string"}},
                "application/json": {"schema": {"anyOf": [event, {"type": "array", "items": event}]}},
                "application/cloudevents+json": {"schema": cloud},
                "application/cloudevents-batch+json": {"schema": {"type": "array", "items": cloud}},
            },
        },
        "responses": _responses(
            {
                "202": _json(
                    {
                        "anyOf": [
                            _ref("Answer"),
                            {
                                "type": "object",
                                "properties": {"events": {"type": "array", "items": _ref("Answer")}},
                            },
                        ]
                    },
                    "Published",
                ),
                "207": _json(
                    answers,
                    "Some were published and some were not",
                ),
            },
            *(400, 401, 403, 404, 413, 415, 422, 429, 503),
        ),
    }


def _get(summary: str, member: str) -> dict[str, Any]:
    return {
        "operationId": member,
        "summary": summary,
        "responses": _responses(
            {"200": _json({"type": "object", "required": [member]}, summary)}, 401, 403, 404, 502, 503, 504
        ),
    }


def _get_schema() -> dict[str, Any]:
    return {
        "operationId": "schema",
        "summary": "One schema, as XSD (TYPE, TYPE.xsd) or JSON Schema (TYPE.json)",
        "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": _responses(
            {
                "200": {
                    "description": "The schema",
                    "content": {
                        "application/xml": {"schema": {"type": "string"}},
                        "application/schema+json": {"schema": {"type": "object"}},
                        "application/json": {"schema": {"type": "object"}},
                    },
                }
            },
            *(401, 403, 404),
        )
        | {"400": {"description": "A path that is none"}},
    }


def _get_best() -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["id", "gateway"],
        "properties": {
            "id": {"type": "string"},
            "gateway": {"type": "string"},
            "load": {"type": ["number", "null"]},
        },
    }
    return {
        "operationId": "bestNode",
        "summary": "The gateway of the least loaded node",
        "responses": _responses({"200": _json(schema, "Where to connect")}, 401, 403, 404, 502, 503, 504),
    }


def _get_clients() -> dict[str, Any]:
    return {
        **_get("The clients of the domain, in the order of their ids", "clients"),
        "parameters": [
            _parameter("after", "Only those behind this id", {"type": "string"}),
            _parameter("limit", "At most so many", {"type": "integer", "minimum": 1, "maximum": 5000}),
        ],
        "responses": _responses(
            {"200": _json({"type": "object", "required": ["clients"]}, "A page")},
            400,
            401,
            403,
            404,
            502,
            503,
            504,
        ),
    }


def _post_rpc() -> dict[str, Any]:
    call = _ref("Call")
    batch = {"type": "array", "items": call, "minItems": 1, "maxItems": MOST_CALLS}
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "call",
        "summary": "Commands of agents by JSON-RPC 2.0",
        "parameters": [
            _parameter(
                "timeout", "Seconds", {"type": "number", "minimum": 0.1, "maximum": 300, "default": 30}
            )
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"anyOf": [call, batch]}}},
        },
        "responses": {
            "200": _json({"type": ["object", "array"]}, "The answer, or the error, of each call"),
            "204": {"description": "Nobody wants an answer"},
            "400": {"description": "A wrong parameter", "content": text},
            "415": {"description": "Not JSON", "content": text},
        },
    }


def _get_health() -> dict[str, Any]:
    status = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    return {
        "operationId": "health",
        "summary": "Whether the gateway reaches its broker",
        "responses": {"200": _json(status, "It does"), "503": _json(status, "It does not")},
    }
