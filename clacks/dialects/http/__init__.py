"""Plain HTTP: events as a stream and as requests, commands, tables, schemas, OpenAPI."""

from clacks.dialects.http.routes import http_routes

__all__ = ["http_routes"]
