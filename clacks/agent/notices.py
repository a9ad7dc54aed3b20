"""Life-cycle events to and from the values of the tables. Pure.

Events come validated: what the schema promises is not checked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lxml import etree

from clacks.agent.clients import Device
from clacks.agent.methods import ClientMethod, NodeMethod
from clacks.common.command import RegisteredCommand

__all__ = [
    "capabilities",
    "client_methods",
    "devices",
    "gateway",
    "node_methods",
    "node_objects",
    "own_methods",
    "sessions",
    "status",
    "text",
]

# A docstring may hold what XML cannot: https://www.w3.org/TR/xml/#charsets
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(body: etree._Element, name: str) -> str:
    """Return the text of a child; empty if it is not there."""
    found = body.find(f"{{*}}{name}")
    return "" if found is None else found.text or ""


def _texts(element: etree._Element) -> dict[str, str]:
    return {etree.QName(child).localname: child.text or "" for child in element}


def _true(value: str) -> bool:
    return value.strip() in ("true", "1")


# -- reading: each gets the element of the event


def node_methods(body: etree._Element) -> Iterator[NodeMethod]:
    """Yield the methods of NodeCapabilities."""
    for element in body.iterfind("{*}NodeMethod"):
        found = _texts(element)
        yield NodeMethod(
            found["Name"],
            found["Path"],
            found["Target"],
            found["Signature"],
            found["Type"],
            _true(found["QueueRequired"]),
            found["Documentation"],
        )


def node_objects(body: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield OID and signature of the objects of NodeCapabilities."""
    for element in body.iterfind("{*}NodeObject"):
        found = _texts(element)
        yield found["OID"], found.get("Signature", "")


def gateway(body: etree._Element) -> str | None:
    """Return where the gateway of NodeCapabilities listens."""
    return text(body, "Gateway").strip() or None


def status(body: etree._Element) -> tuple[float, float, int, bool | None]:
    """Return load, latency, idle workers and "indexed" of NodeStatus."""
    found = _texts(body)
    indexed = found.get("Indexed")
    return (
        # XML Schema writes INF where Python wants inf, and both know nan.
        float(found["Load"]),
        float(found["Latency"]),
        int(found["Workers"]),
        None if indexed is None else _true(indexed),
    )


def client_methods(body: etree._Element) -> Iterator[ClientMethod]:
    """Yield the methods of ClientAnnounce or ClientSignature."""
    for element in body.iterfind("{*}ClientCapabilities/{*}ClientMethod"):
        found = _texts(element)
        yield ClientMethod(found["Name"], found["Path"], found["Signature"], found["Documentation"])


def devices(body: etree._Element) -> Iterator[Device]:
    """Yield the network devices of ClientAnnounce."""
    for element in body.iterfind("{*}NetworkInformation/{*}NetworkDevice"):
        found = _texts(element)
        yield Device.of(
            found["Name"],
            found["IPAddress"],
            found["IPv6Address"],
            found["MAC"],
            found["Netmask"],
            found["Broadcast"],
        )


def sessions(body: etree._Element) -> Iterator[str]:
    """Yield the users of UserSession."""
    for element in body.iterfind("{*}User/{*}Name"):
        yield element.text or ""


# -- writing


def own_methods(commands: Mapping[str, RegisteredCommand], queue: str) -> Iterator[NodeMethod]:
    """Yield the commands of an agent as its NodeCapabilities says them, by name."""
    for name, command in sorted(commands.items()):
        yield NodeMethod(
            name,
            getattr(command.function, "__qualname__", name),
            command.queue or queue,
            name + command.signature.text,
            command.type.value,
            command.queue is not None,
            command.documentation,
        )


def capabilities(id_: str, methods: Iterable[NodeMethod], listens: str | None = None) -> dict[str, Any]:
    """Return the content of NodeCapabilities, as ``SchemaRegistry.from_dict`` takes it."""
    return {
        "Id": id_,
        "NodeMethod": [
            {
                "Name": _xml(item.name),
                "Path": _xml(item.path),
                "Target": item.target,
                "Signature": _xml(item.signature),
                "Type": item.type,
                "QueueRequired": item.queue_required,
                "Documentation": _xml(item.documentation),
            }
            for item in methods
        ],
        "Gateway": listens,
    }


def _xml(value: str) -> str:
    return _ILLEGAL.sub("\ufffd", value)
