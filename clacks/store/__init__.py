"""The event log and the key/value store: SQLite by default, Redis where several gateways share one.

``open_store`` gives a `Store`; its ``log`` records events and reads them again by time, place, type and key,
its ``values`` keeps texts by key. Who fills it and who answers for it on the bus is the recording agent
(``clacks.agent.recording``); a gateway in the same process uses the store directly.
"""

from clacks.store.api import (
    Appended,
    EventLog,
    KeyValue,
    LogEntry,
    LogStatus,
    NewEntry,
    Page,
    PropertyValue,
    Retention,
    Store,
)
from clacks.store.ids import IdClock, LogId
from clacks.store.opening import open_store

__all__ = [
    "Appended",
    "EventLog",
    "IdClock",
    "KeyValue",
    "LogEntry",
    "LogId",
    "LogStatus",
    "NewEntry",
    "Page",
    "PropertyValue",
    "Retention",
    "Store",
    "open_store",
]
