"""Which dialect speaks where: the one table from kinds of listeners and paths to rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from clacks.dialects.eventhub import EVENTHUB
from clacks.dialects.exchange import Routes
from clacks.dialects.http import http_routes
from clacks.dialects.session import Dialect, Knowledge
from clacks.dialects.sysadm import SYSADM, SYSADM_BRIDGE
from clacks.dialects.truenas import TRUENAS, TRUENAS_RPC, VERSIONS, truenas_routes

__all__ = ["KINDS", "KIND_ROUTES", "PATHS", "routes"]

PATHS: Final[Mapping[str, Dialect]] = {
    "/eventhub": EVENTHUB,
    "/eventhub/": EVENTHUB,
    "/websocket": TRUENAS,
    "/api/current": TRUENAS_RPC,
    **{f"/api/{version}": TRUENAS_RPC for version in VERSIONS},
    "/sysadm": SYSADM,
}
"""On listeners of the kinds ``http`` and ``https``. A path that ends with a slash stands for all below it."""

KINDS: Final[Mapping[str, Mapping[str, Dialect]]] = {
    "eventhub": {"/": EVENTHUB},
    "truenas": {path: dialect for path, dialect in PATHS.items() if dialect in (TRUENAS, TRUENAS_RPC)},
    "sysadm": {"/": SYSADM},
    "sysadm-bridge": {"/": SYSADM_BRIDGE},
}
"""On listeners of a dialect's own."""

KIND_ROUTES: Final[Mapping[str, Callable[[Knowledge], Routes]]] = {"truenas": truenas_routes}
"""Plain HTTP on listeners of a dialect's own."""


def routes(knowledge: Knowledge) -> Routes:
    """Return plain HTTP of listeners of the kinds ``http`` and ``https``."""
    return {**http_routes(knowledge), **truenas_routes(knowledge)}
