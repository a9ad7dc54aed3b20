"""How events look over plain HTTP, as blocks of server-sent events.

    format=json          {"id", "type", "time", "data"}: data is the content by the schema
    format=xml           the document
    format=both          as json, and xml: the document beside it
    format=cloudevents   CloudEvents 1.0 in JSON format; data is the content

Each block carries the log id, so that a browser that comes back says where it was (``Last-Event-ID``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clacks.dialects.actions import Encoded
from clacks.dialects.delivered import Delivered

__all__ = ["FORMATS", "StreamForm", "block", "shown"]

FORMATS: Final = ("json", "xml", "both", "cloudevents")


def _time(ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(delivered: Delivered, source: str, form: str) -> dict[str, Any]:
    """Return an event as JSON values, in the form ``json``, ``both`` or ``cloudevents``."""
    if form == "cloudevents":
        return {
            "specversion": "1.0",
            "id": delivered.event_id or delivered.id,
            "source": source,
            "type": delivered.kind,
            "time": _time(delivered.time),
            "datacontenttype": "application/json",
            "data": delivered.fields,
        }
    values = {
        "id": delivered.id,
        "type": delivered.kind,
        "time": _time(delivered.time),
        "data": delivered.fields,
    }
    return {**values, "xml": delivered.event.xml.decode("utf-8")} if form == "both" else values


def block(name: str, text: str, number: str = "") -> str:
    """Return one event of a stream (HTML Living Standard, 9.2.5): every line of the text is a field."""
    head = f"id: {number}\n" if number else ""
    lines = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"{head}event: {name}\n{lines}\n"


@dataclass(frozen=True, slots=True)
class StreamForm:
    """The form of a stream.

    Attributes:
        form: One of `FORMATS`.
        source: The ``source`` of CloudEvents: the gateway.
    """

    form: str
    source: str

    def encode(self, delivered: Delivered, topic: str) -> Encoded | None:
        """Return the block of an event."""
        if self.form == "xml":
            text = delivered.event.xml.decode("utf-8")
        else:
            text = json.dumps(shown(delivered, self.source, self.form), separators=(",", ":"))
        return Encoded(block(delivered.kind, text, delivered.id).encode())


def error_block(body: Mapping[str, Any]) -> str:
    """Return the block that ends a stream with an error."""
    return block("error", json.dumps(body, separators=(",", ":")))
