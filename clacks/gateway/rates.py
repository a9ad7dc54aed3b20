"""Rate limits of tokens: so many messages in a window that begins with the first one."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from clacks.dialects.access import Identity, RateLimit
from clacks.dialects.topics import matches

__all__ = ["Rates"]


@dataclass(slots=True)
class Rates:
    """Counts messages for each user and rule; refused ones do not count.

    >>> rates = Rates()
    >>> ann = Identity("ann", limits=(RateLimit("a/#", 10.0, 1),))
    >>> rates.allow(ann, "a/b", now=0.0), rates.allow(ann, "a/c", now=1.0), rates.allow(ann, "a/c", now=10.0)
    (True, False, True)
    """

    size: int = 10_000
    """Windows that are kept; beyond it the one that began longest ago is forgotten."""
    _windows: OrderedDict[tuple[str, str], tuple[float, int]] = field(default_factory=OrderedDict)

    def allow(self, identity: Identity, topic: str, now: float) -> bool:
        """Tell whether one more message may go to a topic, and count it if so; ``now`` in seconds."""
        rule = _rule(identity.limits, topic)
        if rule is None:
            return True
        key = (identity.origin or identity.user, rule.topic)
        begun, count = self._windows.get(key, (now, 0))
        if now - begun >= rule.interval:
            begun, count = now, 0
        if count >= rule.most:
            return False
        if not count:
            self._windows.pop(key, None)
            while len(self._windows) >= self.size:
                self._windows.popitem(last=False)
        self._windows[key] = (begun, count + 1)
        return True


def _rule(limits: tuple[RateLimit, ...], topic: str) -> RateLimit | None:
    """Return the rule of this very topic, else the matching one with the longest filter."""
    best: RateLimit | None = None
    for rule in limits:
        if rule.topic == topic:
            return rule
        if matches(rule.topic, topic) and (best is None or len(rule.topic) > len(best.topic)):
            best = rule
    return best
