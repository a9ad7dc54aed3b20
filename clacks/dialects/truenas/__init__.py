"""TrueNAS: the event system of its middleware, in both of its envelopes, for clients that exist."""

from clacks.dialects.truenas.methods import TRUENAS, TRUENAS_RPC, VERSIONS
from clacks.dialects.truenas.pages import events_page, truenas_routes

__all__ = ["TRUENAS", "TRUENAS_RPC", "VERSIONS", "events_page", "truenas_routes"]
