"""The table of the plain HTTP interface."""

from __future__ import annotations

from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.dialects.exchange import Routes
from clacks.dialects.http.lists import get_best_node, get_clients, get_nodes, schemas_route
from clacks.dialects.http.openapi import openapi_route
from clacks.dialects.http.page import page_routes
from clacks.dialects.http.publish import post_route
from clacks.dialects.http.rpc import post_rpc
from clacks.dialects.http.stream import events_route
from clacks.dialects.session import Knowledge

__all__ = ["http_routes"]


def http_routes(knowledge: Knowledge, limits: Limits = DEFAULT_LIMITS) -> Routes:
    """Return the routes, for a gateway that knows this."""
    schemas = schemas_route(knowledge.registry)
    return {
        ("GET", "/events"): events_route(knowledge),
        ("POST", "/events"): post_route(limits),
        ("GET", "/schemas"): schemas,
        ("GET", "/schemas/"): schemas,
        ("GET", "/nodes"): get_nodes,
        ("GET", "/nodes/best"): get_best_node,
        ("GET", "/clients"): get_clients,
        ("POST", "/rpc"): post_rpc,
        ("GET", "/openapi.json"): openapi_route(knowledge.registry),
        **page_routes(knowledge),
    }
