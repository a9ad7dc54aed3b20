"""What nodes and clients say that they can do, kept once for all that say the same.

A hundred thousand clients of one release have one list of methods between them. Lists are compared by value
when they come in; who holds the same one holds the same object, and the last who lets go frees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

__all__ = ["ClientMethod", "Methods", "NodeMethod", "Pool"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=_Named)


@dataclass(frozen=True, slots=True)
class NodeMethod:
    """A command of a node, as NodeCapabilities says it; ``type`` is the word of the wire."""

    name: str
    path: str
    target: str
    signature: str
    type: str
    queue_required: bool
    documentation: str


@dataclass(frozen=True, slots=True)
class ClientMethod:
    """A command of a client, as ClientAnnounce says it."""

    name: str
    path: str
    signature: str
    documentation: str


class Methods(Generic[Item]):
    """A list of methods that several may share. `Pool.share` makes it."""

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items: Final = items

    @cached_property
    def by_name(self) -> Mapping[str, Item]:
        """The methods by name; of two with one name the last."""
        return {item.name: item for item in self.items}

    def __len__(self) -> int:
        return len(self.items)


class Pool(Generic[Item]):
    """All lists that somebody holds."""

    def __init__(self) -> None:
        self._lists: WeakValueDictionary[tuple[Item, ...], Methods[Item]] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._lists)

    def share(self, items: Iterable[Item]) -> Methods[Item]:
        """Return the list with these items: one that somebody holds already, or a new one."""
        key = tuple(items)
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = Methods(key)
        return found
