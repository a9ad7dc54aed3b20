from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from clacks.common.address import BusURL
from clacks.common.asyncapi import asyncapi_document
from clacks.common.schema import SchemaRegistry

REGISTRY = SchemaRegistry()
SPECS = Path(__file__).parents[2] / ".tools" / "node_modules" / "@asyncapi" / "specs" / "schemas"


@pytest.mark.tool
def test_the_document_is_valid_by_the_schema_of_asyncapi() -> None:
    schema = json.loads((SPECS / "3.0.0.json").read_text("utf-8"))
    for url in (None, BusURL.parse("amqps://jane:secret@[::1]:1/org.example")):
        document = asyncapi_document(REGISTRY, "org.example", url)
        errors = list(jsonschema.Draft7Validator(schema).iter_errors(document))
        assert not errors, [(list(error.absolute_path), error.message[:200]) for error in errors]
        document["channels"]["all"]["address"] = 7
        assert list(jsonschema.Draft7Validator(schema).iter_errors(document))


def test_every_event_type_has_channel_message_payload_and_operations() -> None:
    document = asyncapi_document(REGISTRY, "org.example")
    for kind in REGISTRY.kinds:
        assert document["channels"][kind]["address"] == f"org.example.event.{kind}"
        message = document["components"]["messages"][kind]
        assert message["x-xsd"].encode() == REGISTRY.sources()[kind]
        assert message["payload"] == {"$ref": f"#/components/schemas/{kind}"}
        assert {f"send{kind}", f"receive{kind}"} <= set(document["operations"])
    assert set(document["channels"]) == {*REGISTRY.kinds, "all"}


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi_document(REGISTRY, "org.example")

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for item in value.values() for found in references(item)]
        return [found for item in value for found in references(item)] if isinstance(value, list) else []

    found = references(document)
    assert len(found) > 100
    for reference in found:
        target = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_the_server_is_named_without_user_and_password() -> None:
    document = asyncapi_document(REGISTRY, "d", BusURL.parse("amqps://jane:secret@[::1]/d"))
    assert document["servers"]["bus"]["host"] == "[::1]:5671"
    text = json.dumps(document)
    assert "secret" not in text
    assert "jane" not in text
