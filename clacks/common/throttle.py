"""Slow down whoever guesses passwords: a pure count of failures, with time as an argument.

Only failures count, so a thousand right logins wait for nothing. Each failure is a debt that is paid off by
time. Two debts are kept: of one user from one address, so that nobody can lock a user out from elsewhere, and
of one address over all users. The second one spares loopback: all programs of a machine share that address,
and one with a wrong password would lock out the others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["LoginThrottle"]

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class LoginThrottle:
    """Counts failed logins; seconds of a clock that only goes forward.

    Example:
        >>> throttle = LoginThrottle(user_failures=2, user_interval=5.0)
        >>> throttle.failed("192.0.2.1", "alice", now=0.0)
        >>> throttle.wait("192.0.2.1", "alice", now=0.0)
        0.0
        >>> throttle.failed("192.0.2.1", "alice", now=0.0)
        >>> throttle.wait("192.0.2.1", "alice", now=0.0)
        5.0
        >>> throttle.wait("192.0.2.7", "alice", now=0.0)
        0.0
    """

    user_failures: int = 10
    """Failures in a row of one user from one address before it has to wait; a person mistypes three."""
    user_interval: float = 5.0
    """Seconds that pay for one such failure: a program that tries again with back-off never waits."""
    address_failures: int = 100
    """The same of one address over all users: many people may share it."""
    address_interval: float = 1.0
    size: int = 10_000
    """Debts that are kept; beyond it the one that grew longest ago is forgotten."""
    _users: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)
    _addresses: dict[str, float] = field(default_factory=dict, repr=False)

    def wait(self, address: str, user: str, now: float) -> float:
        """Return the seconds for which this user has to wait at this address; 0 if a login may be tried."""
        network, local = _network(address)
        until = self._users.get((network, user), now)
        wait = until - now - (self.user_failures - 1) * self.user_interval
        if not local:
            until = self._addresses.get(network, now)
            wait = max(wait, until - now - (self.address_failures - 1) * self.address_interval)
        return max(wait, 0.0)

    def failed(self, address: str, user: str, now: float) -> None:
        """Count a login that was refused because of its credentials."""
        network, local = _network(address)
        _owe(self._users, (network, user), self.user_interval, self.user_failures, now, self.size)
        if not local:
            _owe(self._addresses, network, self.address_interval, self.address_failures, now, self.size)

    def __len__(self) -> int:
        return len(self._users) + len(self._addresses)


def _owe(debts: dict[Key, float], key: Key, interval: float, most: int, now: float, size: int) -> None:
    # A debt never grows past its limit, so nobody waits longer than one interval after the last failure.
    until = min(max(debts.pop(key, now), now) + interval, now + most * interval)
    while len(debts) >= size:
        del debts[next(iter(debts))]
    debts[key] = until


def _network(address: str) -> tuple[str, bool]:
    """Return what stands for one machine, and whether it is this one.

    A host with IPv6 has a /64 to itself and may come from a new address each time.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address, True  # a socket in the file system
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif not ip.is_loopback:
            return str(ipaddress.ip_network((int(ip), 64), strict=False)), False
    return str(ip), ip.is_loopback
