from __future__ import annotations

import json

import jsonschema
import pytest

from clacks.dialects.actions import Call, Failed, Failure, Result
from clacks.dialects.http.openapi import description
from clacks.web import FILES

from .asking import REGISTRY, Asker

NODES = {
    "a": {"load": 0.9, "gateway": "https://a:8080"},
    "b": {"load": 0.2, "gateway": "https://b:8080"},
    "c": {"load": 0.1, "gateway": None},
    "d": {"load": None, "gateway": "https://d:8080"},
}


def test_nodes_are_listed():
    asker = Asker()
    asker.results["getNodes"] = Result(NODES)
    assert asker.answer("GET", "/nodes") == (200, {"nodes": NODES})


def test_the_best_node_is_the_least_loaded_one_with_a_gateway():
    asker = Asker()
    asker.results["getNodes"] = Result(NODES)
    assert asker.answer("GET", "/nodes/best") == (200, {"id": "b", "gateway": "https://b:8080", "load": 0.2})
    asker.results["getNodes"] = Result({"c": NODES["c"]})
    assert asker.answer("GET", "/nodes/best")[0] == 503


def test_clients_come_in_pages():
    asker = Asker()
    asker.results["getClients"] = Result({"x": {}})
    assert asker.answer("GET", "/clients?after=w&limit=5") == (200, {"clients": {"x": {}}})
    (call,) = asker.effects
    assert isinstance(call, Call)
    assert call.params == {"after": "w", "limit": 5}
    assert asker.answer("GET", "/clients?limit=0")[0] == 400
    assert asker.answer("GET", "/clients?limit=x")[0] == 400


@pytest.mark.parametrize(
    ("failed", "status"),
    [
        (Failed(Failure.FORBIDDEN), 403),
        (Failed(Failure.UNKNOWN), 404),
        (Failed(Failure.TIMEOUT), 504),
        (Failed(Failure.UNAVAILABLE), 503),
        (Failed(Failure.LOST), 502),
        (Failed(Failure.REMOTE, "broke", -1), 502),
    ],
)
@pytest.mark.parametrize("path", ["/nodes", "/nodes/best", "/clients"])
def test_an_agent_that_does_not_answer_is_told(path, failed, status):
    asker = Asker()
    asker.results["getNodes"] = asker.results["getClients"] = failed
    assert asker.answer("GET", path)[0] == status


@pytest.mark.parametrize("path", ["/nodes", "/nodes/best", "/clients"])
def test_strangers_learn_nothing_of_nodes(path):
    asker = Asker("")
    assert asker.answer("GET", path)[0] == 401
    assert asker.effects == []


def test_schemas_are_listed_and_shown():
    asker = Asker()
    status, answer = asker.answer("GET", "/schemas")
    assert status == 200
    assert {one["type"] for one in answer["types"]} == REGISTRY.kinds
    status, text = asker.answer("GET", "/schemas/PhoneStatus.xsd")
    assert (status, text) == (200, REGISTRY.sources()["PhoneStatus"])
    status, schema = asker.answer("GET", "/schemas/PhoneStatus.json")
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate({"CallerId": "1", "ReceiverId": "2", "Status": "x"}, schema)
    assert asker.answer("GET", "/schemas/Nothing")[0] == 404
    assert asker.answer("GET", "/schemas/../../etc/passwd")[0] == 404


@pytest.mark.parametrize(
    ("user", "near", "status"), [("", True, 200), ("", False, 401), ("bob", False, 403), ("ann", False, 200)]
)
def test_schemas_need_a_right_unless_on_loopback(user, near, status):
    assert Asker(user).answer("GET", "/schemas", near=near)[0] == status


def test_the_description_shows_only_types_that_may_be_read():
    _, found = Asker("bob").answer("GET", "/openapi.json")
    assert [name for name in found["components"]["schemas"] if name.startswith("Event.")] == [
        "Event.PhoneStatus"
    ]


def test_all_references_of_the_description_lead_somewhere():
    text = json.dumps(description(REGISTRY, REGISTRY.kinds))
    found = json.loads(text)

    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                place = found
                for step in value["$ref"].removeprefix("#/").split("/"):
                    place = place[step]
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(found)


OWN = {"/openapi.json", "/", "/session", "/xquery", "/log", *(f"/web/{name}" for name in FILES)}
"""What is there for the page alone, and may change with it."""


def test_every_route_is_described():
    paths = description(REGISTRY, frozenset())["paths"]
    described = {
        (method.upper(), path.replace("{name}", "")) for path, row in paths.items() for method in row
    }
    routes = {(method, path) for method, path in Asker().routes if path not in OWN}
    assert described == routes | {("GET", "/healthz")}
