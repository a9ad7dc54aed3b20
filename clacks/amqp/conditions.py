"""Error conditions of the peer, and of proton itself: names and words, read so that nothing in them can hurt.

proton hands texts over as bytes, whatever the peer made of them, and its own messages quote the peer ("link
name already attached: ..."). Its wrappers raise on what is no UTF-8: more would end than the peer meant.
"""

from __future__ import annotations

from typing import Any

from cproton_ffi import ffi, lib

__all__ = ["condition_of", "outcome_condition", "peer_gave_reason", "transport_condition"]


def transport_condition(transport: Any) -> tuple[str, str]:
    """Return why proton gave up, by the pointer to its transport: name and words, or empty texts."""
    return condition_of(lib.pn_transport_condition(transport))


def outcome_condition(delivery: Any) -> tuple[str, str]:
    """Return why the peer rejected a delivery, by its pointer: name and words, or empty texts."""
    return condition_of(lib.pn_disposition_condition(lib.pn_delivery_remote(delivery)))


def peer_gave_reason(connection: Any) -> bool:
    """Tell whether the peer closed the connection, by its pointer, with an error."""
    return bool(lib.pn_condition_is_set(lib.pn_connection_remote_condition(connection)))


def condition_of(condition: Any) -> tuple[str, str]:
    """Return name and words of a ``pn_condition_t``; what is no text is replaced."""
    if not lib.pn_condition_is_set(condition):
        return "", ""
    return _text(lib.pn_condition_get_name(condition)), _text(lib.pn_condition_get_description(condition))


def _text(pointer: Any) -> str:
    return "" if pointer == ffi.NULL else str(ffi.string(pointer).decode("utf-8", "replace"))
