"""What this package uses of proton's C functions, which are no documented interface.

The version of proton is pinned; a test holds that the list is complete, and ``clacks doctor`` looks whether
all of it is there.
"""

from __future__ import annotations

from typing import Final

from cproton_ffi import lib

from clacks.common.errors import ProtocolError

__all__ = ["SURFACE", "require_proton"]

SURFACE: Final = (
    "pn_collector_peek",
    "pn_collector_pop",
    "pn_condition_get_description",
    "pn_condition_get_name",
    "pn_condition_is_set",
    "pn_connection_remote_condition",
    "pn_delivery",
    "pn_delivery_aborted",
    "pn_delivery_link",
    "pn_delivery_partial",
    "pn_delivery_pending",
    "pn_delivery_readable",
    "pn_delivery_remote",
    "pn_delivery_remote_state",
    "pn_delivery_settle",
    "pn_delivery_settled",
    "pn_delivery_update",
    "pn_disposition_condition",
    "pn_event_delivery",
    "pn_event_link",
    "pn_event_type",
    "pn_link_advance",
    "pn_link_credit",
    "pn_link_drained",
    "pn_link_flow",
    "pn_link_get_drain",
    "pn_link_is_receiver",
    "pn_link_recv",
    "pn_link_send",
    "pn_link_set_max_message_size",
    "pn_session_head",
    "pn_session_next",
    "pn_session_outgoing_bytes",
    "pn_transport_capacity",
    "pn_transport_close_tail",
    "pn_transport_condition",
    "pn_transport_peek",
    "pn_transport_pending",
    "pn_transport_pop",
    "pn_transport_push",
    "pn_transport_tick",
)


def require_proton() -> None:
    """Check that the parts of proton's private surface used here exist.

    Raises:
        ProtocolError: If this build of proton lacks one.
    """
    missing = [name for name in SURFACE if not hasattr(lib, name)]
    if missing:
        raise ProtocolError(f"this build of proton lacks {', '.join(missing)}")
