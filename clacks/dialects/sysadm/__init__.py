"""SysAdm (TrueOS, PC-BSD): namespace "events" of its WebSocket API, for clients that exist."""

from clacks.dialects.sysadm.bridge import SYSADM_BRIDGE
from clacks.dialects.sysadm.session import SYSADM

__all__ = ["SYSADM", "SYSADM_BRIDGE"]
