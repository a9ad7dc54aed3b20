"""An AsyncAPI 3.0 document of a domain: which events there are, where, and what they hold."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from clacks.common.address import BusURL, event_address
from clacks.common.json_schema import json_schema
from clacks.common.schema import SchemaRegistry

__all__ = ["asyncapi_document"]

_BINDINGS: dict[str, Any] = {"amqp1": {}}
"""AMQP 1.0; the binding has no members yet, so the address says it all."""

_HEADERS = {
    "cloudEvents_specversion": "Always 1.0.",
    "cloudEvents_id": "One event, however often it comes.",
    "cloudEvents_type": "The event type, such as PhoneStatus.",
    "cloudEvents_source": "Who says so, a URI.",
    "cloudEvents_time": "When it was made, RFC 3339.",
}
"""Application properties of a message: CloudEvents 1.0, AMQP binding, binary mode, with ``_`` for ``:``."""


def asyncapi_document(registry: SchemaRegistry, domain: str, url: BusURL | None = None) -> dict[str, Any]:
    """Return the document as plain values, ready for JSON.

    The payload on the wire is XML (``contentType``); ``payload`` describes the same content in its JSON form,
    which the gateway and ``clacks listen --format json`` use, and ``x-xsd`` has the XML Schema itself.
    """
    kinds = sorted(registry.kinds)
    sources = registry.sources()
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "id": f"urn:clacks:{domain}",
        "info": {
            "title": f"Events of {domain}",
            "version": version("clacks"),
            "description": "XML events over AMQP 1.0. Whoever receives can send an XQuery as source filter "
            "apache.org:xquery-filter:string and gets what it matches.",
        },
        "defaultContentType": "application/xml",
        "channels": {},
        "operations": {},
        "components": {
            "messages": {},
            "schemas": {},
            "messageTraits": {"cloudEvents": {"headers": _headers()}},
        },
    }
    if url is not None:
        document["servers"] = {
            "bus": {
                "host": f"{f'[{url.host}]' if ':' in url.host else url.host}:{url.port}",
                "protocol": url.scheme,
                "protocolVersion": "1.0",
                "security": [{"type": "scramSha256"}, {"type": "plain"}],
            }
        }
    components = document["components"]
    for kind in kinds:
        documentation = " ".join(registry.documentation(kind).split())
        components["schemas"][kind] = json_schema(registry.model(kind))
        components["messages"][kind] = {
            "name": kind,
            "contentType": "application/xml",
            "description": documentation,
            "traits": [{"$ref": "#/components/messageTraits/cloudEvents"}],
            "payload": {"$ref": f"#/components/schemas/{kind}"},
            "x-xsd": sources[kind].decode("utf-8"),
        }
        document["channels"][kind] = {
            "address": event_address(domain, kind),
            "description": documentation,
            "bindings": _BINDINGS,
            "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
        }
    document["channels"]["all"] = {
        "address": event_address(domain),
        "description": "Events of all types that the receiver may read.",
        "bindings": _BINDINGS,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
    }
    for channel in document["channels"]:
        for action in ("send", "receive"):
            document["operations"][f"{action}{channel[0].upper()}{channel[1:]}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
            }
    return document


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in _HEADERS.items()},
        "required": [name for name in _HEADERS if name != "cloudEvents_time"],
    }
