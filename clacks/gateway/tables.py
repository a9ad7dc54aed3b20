"""Which dialect speaks where: the one table from kinds of listeners and paths to rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clacks.dialects.eventhub import EVENTHUB
from clacks.dialects.session import Dialect
from clacks.dialects.sysadm import SYSADM, SYSADM_BRIDGE
from clacks.dialects.truenas import TRUENAS, TRUENAS_RPC

__all__ = ["KINDS", "PATHS"]

PATHS: Final[Mapping[str, Dialect]] = {
    "/eventhub": EVENTHUB,
    "/eventhub/": EVENTHUB,
    "/websocket": TRUENAS,
    "/api/current": TRUENAS_RPC,
    "/sysadm": SYSADM,
}
"""On listeners of the kinds ``http`` and ``https``. A path that ends with a slash stands for all below it."""

KINDS: Final[Mapping[str, Mapping[str, Dialect]]] = {
    "eventhub": {"/": EVENTHUB},
    "truenas": {"/websocket": TRUENAS, "/api/": TRUENAS_RPC},
    "sysadm": {"/": SYSADM},
    "sysadm-bridge": {"/": SYSADM_BRIDGE},
}
"""On listeners of a dialect's own."""
