"""Bodies of ``POST /events``: one event or many, in five media types, as drafts.

    application/xml, text/xml               <Event>, or <Events> around several of them
    application/json                        {"type": "PhoneStatus", "data": {...}}, or an array of these
    application/cloudevents+json            one event in the structured mode of CloudEvents 1.0
    application/cloudevents-batch+json      an array of those
    any of the first two, with ce- headers  the binary mode: ``ce-type`` names the event, the body is its data

``data`` holds the content of the event as JSON values by the schema, or its document as text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from lxml import etree

from clacks.common.errors import MalformedEvent
from clacks.common.event_document import EVENTS_NS
from clacks.common.limits import Limits
from clacks.common.xmltext import read_document
from clacks.dialects.actions import Draft, EventDraft, XmlDraft

__all__ = ["MEDIA_TYPES", "MOST_EVENTS", "BadBody", "Body", "read_body"]

MOST_EVENTS: Final = 1000
"""Events in one request; who has more sends another."""

MEDIA_TYPES: Final = (
    "application/xml",
    "text/xml",
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
)


class BadBody(Exception):
    """The body cannot be read at all; ``status`` is 400, 413 or 415."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Body:
    """The events of a request.

    Attributes:
        entries: Drafts, and for those that are none the text that says why.
        many: Whether several could have stood there: then the answer is a list too.
    """

    entries: tuple[Draft | str, ...]
    many: bool


def read_body(data: bytes, headers: Mapping[str, str], limits: Limits) -> Body:
    """Read a body by its ``content-type`` and, in the binary mode of CloudEvents, its other headers.

    Raises:
        BadBody: If it is not what its type says, of another type, or too much.
    """
    media, _, parameters = headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    charset = _charset(parameters)
    if media not in MEDIA_TYPES and not media.endswith(("+xml", "+json")):
        raise BadBody(415, f"a body of type {media[:100] or 'nothing'}; read are {', '.join(MEDIA_TYPES)}")
    if charset not in ("", "utf-8", "us-ascii"):
        raise BadBody(415, f"charset {charset[:40]!r}; bodies are UTF-8")
    if "ce-specversion" in headers:
        return Body((_binary(data, media, headers),), False)
    if media.endswith("xml"):
        return _xml(data, limits)
    value = _json(data)
    if media == "application/cloudevents+json":
        return Body((_structured(value),), False)
    if media == "application/cloudevents-batch+json":
        return Body(tuple(_structured(item) for item in _several(value)), True)
    if isinstance(value, list):
        return Body(tuple(_plain(item) for item in _several(value)), True)
    return Body((_plain(value),), False)


def _charset(parameters: str) -> str:
    for part in parameters.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadBody(400, f"not JSON: {error}"[:300]) from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _several(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadBody(400, "a batch is an array")
    if len(value) > MOST_EVENTS:
        raise BadBody(413, f"{len(value)} events; at most {MOST_EVENTS} are taken at once")
    return value


def _xml(data: bytes, limits: Limits) -> Body:
    if b"Events" not in data[:2000]:
        return Body((XmlDraft(data),), False)  # read, and refused if need be, where it is validated
    try:
        root, _ = read_document(data, limits)
    except MalformedEvent as error:
        raise BadBody(400, str(error)) from None
    if root.tag != f"{{{EVENTS_NS}}}Events":
        return Body((XmlDraft(data),), False)
    if len(root) > MOST_EVENTS:
        raise BadBody(413, f"{len(root)} events; at most {MOST_EVENTS} are taken at once")
    return Body(tuple(XmlDraft(etree.tostring(child, with_tail=False)) for child in root), True)


def _plain(value: Any) -> Draft | str:
    if not isinstance(value, dict):
        return 'an event is an object {"type", "data"}'
    return _draft(value.get("type"), value.get("data"), "")


def _structured(value: Any) -> Draft | str:
    """Return the draft of an event in JSON format (CloudEvents 1.0, JSON format, 3)."""
    if not isinstance(value, dict):
        return "a CloudEvent is an object"
    if value.get("specversion") != "1.0":
        return 'specversion must be "1.0"'
    for name in ("id", "source", "type"):
        if not isinstance(value.get(name), str) or not value[name]:
            return f"the attribute {name} must be a text that is not empty"
    data, encoded = value.get("data"), value.get("data_base64")
    if encoded is not None:
        if data is not None:
            return "data and data_base64 exclude each other"
        try:
            data = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (TypeError, ValueError):
            return "data_base64 is no base64 of UTF-8"
    return _draft(value["type"], data, str(value.get("datacontenttype", "")))


def _binary(data: bytes, media: str, headers: Mapping[str, str]) -> Draft | str:
    """Return the draft of an event in binary mode (CloudEvents 1.0, HTTP binding, 3.1)."""
    if headers["ce-specversion"] != "1.0":
        return 'ce-specversion must be "1.0"'
    for name in ("ce-id", "ce-source", "ce-type"):
        if not headers.get(name):
            return f"the header {name} is missing"
    kind = unquote(headers["ce-type"])
    if media.endswith("xml"):
        return _draft(kind, data.decode("utf-8", "replace"), media)
    try:
        return _draft(kind, _json(data), media)
    except BadBody as error:
        return str(error)


def _draft(kind: Any, data: Any, media: str) -> Draft | str:
    if not isinstance(kind, str) or not kind:
        return "type must be the name of an event type"
    if isinstance(data, str) and (media.partition(";")[0].strip().lower().endswith("xml") or "<" in data):
        if f"<{kind}" not in data and f":{kind}" not in data:
            return f"the document in data is no {kind[:100]}"
        return XmlDraft(data.encode("utf-8", "surrogatepass"))
    if data is None:
        data = {}
    if not isinstance(data, dict):
        return "data must be an object with the content of the event, or its document as text"
    return EventDraft(kind, data)
