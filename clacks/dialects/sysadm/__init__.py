"""SysAdm (TrueOS, PC-BSD): namespace "events" of its WebSocket API, for clients that exist."""

from clacks.dialects.sysadm.session import SYSADM

__all__ = ["SYSADM"]
