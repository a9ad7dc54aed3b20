"""How long to wait before trying again: exponential back-off with jitter, without a clock.

The first pause is short, because most interruptions are; then each is twice as long, up to a limit. Every
pause is drawn at random from its upper half, so that a thousand clients of a broker that restarts do not come
back in the same instant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(slots=True)
class Backoff:
    """Pauses between attempts.

    Args:
        first: Seconds of the first pause, before jitter.
        limit: Seconds of the longest.
        factor: How much longer each is than the one before.
        settled: Seconds that a connection must have lasted until the next loss counts as a first one; a
            broker that takes connections and drops them at once is not asked more often for it.
    """

    first: float = 0.25
    limit: float = 30.0
    factor: float = 2.0
    settled: float = 10.0
    attempts: int = 0
    """Failures in a row."""

    _up_since: float | None = None

    def succeeded(self, now: float) -> None:
        """Note a connection at ``now`` (seconds on a clock that never goes back)."""
        self._up_since = now

    def failed(
        self,
        now: float,
        random: Callable[[], float],
        *,
        at_least: float = 0.0,
        at_most: float | None = None,
    ) -> float:
        """Note a failed attempt or a lost connection; return the seconds to wait.

        Args:
            now: Seconds on the same clock.
            random: Gives numbers from 0 to below 1.
            at_least: Wait this long at least, before jitter: for what will hardly get better by itself.
            at_most: Wait no longer, before jitter: for a failure that cost nobody anything, because nobody
                was there. Pauses that reach it do not grow: who comes back is asked as often as before.
        """
        if self._up_since is not None and now - self._up_since >= self.settled:
            self.attempts = 0
        self._up_since = None
        # The power is bounded, or a night without a broker would end in an OverflowError.
        pause = min(self.limit, self.first * self.factor ** min(self.attempts, 64))
        if at_most is not None and pause >= at_most:
            pause = at_most
        else:
            self.attempts += 1
        pause = min(max(pause, at_least), max(self.limit, at_least))
        return pause * (0.5 + random() / 2)
