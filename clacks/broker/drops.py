"""Losing a message is allowed, losing it silently is not: it is counted, and logged at a bounded rate.

A peer decides how often it makes a mistake; it must not decide how much we write to the log.
"""

from __future__ import annotations

import logging
from typing import Final

from clacks.common import audit
from clacks.common.metrics import Counter, Metrics

__all__ = ["Drops"]

_log = logging.getLogger(__name__)

_INTERVAL: Final = 10.0  # seconds between two lines about the same reason
_RIGHTS: Final = frozenset({"no right", "foreign id", "foreign user-id", "amqp:unauthorized-access"})
"""Reasons that mean a missing right: the audit log has a line for each user who met one."""
_MOST_USERS: Final = 1000

_SHOWN: Final = 300  # characters of a description: it may quote what a stranger sent


class Drops:
    """Counts what is refused or lost as ``name{reason=...}``, and says so in the log now and then.

    ``what`` is the beginning of the line in the log.
    """

    def __init__(
        self, metrics: Metrics, name: str = "messages_dropped", what: str = "message dropped"
    ) -> None:
        self._metrics = metrics
        self._name = name
        self._what = what
        self._counters: dict[str, Counter] = {}
        self._quiet_until: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}
        self._audited: dict[tuple[str, str], tuple[float, int]] = {}

    def count(self, now: float, reason: str, user: str, description: str, n: int = 1) -> None:
        """Note ``n`` losses of ``user``; ``now`` is in seconds."""
        counter = self._counters.get(reason)
        if counter is None:
            counter = self._counters[reason] = self._metrics.counter(self._name, reason=reason)
        counter.value += n
        if reason in _RIGHTS:
            self._audit(now, reason, user, description, n)
        if now < self._quiet_until.get(reason, 0.0):
            self._unsaid[reason] = self._unsaid.get(reason, 0) + n
            return
        self._quiet_until[reason] = now + _INTERVAL
        unsaid = self._unsaid.pop(reason, 0)
        _log.warning(
            "%s reason=%s user=%s detail=%s unlogged_before=%d",
            self._what,
            reason,
            user,
            ascii(description[:_SHOWN]),
            unsaid,
        )

    def _audit(self, now: float, reason: str, user: str, description: str, n: int) -> None:
        key = (reason, user)
        quiet_until, unsaid = self._audited.pop(key, (0.0, 0))
        if now >= quiet_until:
            audit.refused("broker", user, "", description, unsaid)
            quiet_until, unsaid = now + _INTERVAL, -n
        while len(self._audited) >= _MOST_USERS:
            del self._audited[next(iter(self._audited))]
        self._audited[key] = (quiet_until, unsaid + n)
