"""How a gateway behaves: tables and switches, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clacks.dialects.exchange import Routes
from clacks.dialects.session import Dialect, Knowledge
from clacks.gateway.guard import Guard
from clacks.gateway.tokens import TokenKey

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a gateway behaves.

    Attributes:
        paths: Dialects by path, on listeners of the kind ``http``.
        kinds: Dialects by path, for the other kinds of listeners.
        routes: Makes the table of plain HTTP, for listeners of the kind ``http``.
        kind_routes: The same for the other kinds of listeners.
        guard: Which hosts and origins are ours.
        no_auth: Whoever comes is a guest; only for listeners on loopback.
        token_key: What tokens are checked with, or None.
        names: Names of this gateway for sessions (``Knowledge.hostname``); the host name if empty.
        dialect_options: Settings for dialects.
        signer: Tells whose registered key signed a text; None if nobody logs in by keys.
        number: Number of this gateway for message ids, 0 to 1023; a random one if None.
    """

    paths: Mapping[str, Dialect] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Dialect]] = field(default_factory=dict)
    routes: Callable[[Knowledge], Routes] = lambda knowledge: {}
    kind_routes: Mapping[str, Callable[[Knowledge], Routes]] = field(default_factory=dict)
    guard: Guard = field(default_factory=Guard)
    no_auth: bool = False
    token_key: TokenKey | None = field(default=None, repr=False)
    hostname: str = ""
    dialect_options: Mapping[str, object] = field(default_factory=dict)
    signer: Callable[[str, bytes], str | None] | None = None
    number: int | None = None
