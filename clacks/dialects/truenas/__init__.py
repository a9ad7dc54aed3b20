"""TrueNAS: the event system of its middleware, in both of its envelopes, for clients that exist."""

from clacks.dialects.truenas.methods import TRUENAS, TRUENAS_RPC, VERSIONS

__all__ = ["TRUENAS", "TRUENAS_RPC", "VERSIONS"]
