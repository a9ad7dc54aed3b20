"""Eventhub: topics and messages over JSON-RPC 2.0 on WebSocket, and as server-sent events."""

from clacks.dialects.eventhub.session import EVENTHUB

__all__ = ["EVENTHUB"]
