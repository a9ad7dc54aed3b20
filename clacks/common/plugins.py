"""Plug-ins: commands of other packages, found by entry point or named in the settings.

A plug-in is what an entry point names, or a module from the settings: a marked function, an object with
marked methods, a class of such, or a module with any of these. A class is made without arguments, or with a
context if its constructor takes one.

It is somebody else's code. One that cannot be used is reported with its reason and keeps no other from being
loaded.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING

from clacks.common.command import is_command

if TYPE_CHECKING:
    from clacks.common.event import Event
    from clacks.common.schema import SchemaRegistry

__all__ = ["Plugin", "PluginContext", "PluginFailure", "load_plugins", "register_plugins"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plug-in gets of whoever loads it.

    Attributes:
        node: The id of the agent, or of the client.
        registry: The event types.
        publish: Sends an event; raises ``CommandError`` if it cannot. For threads, not for the loop.
    """

    node: str
    registry: SchemaRegistry
    publish: Callable[[Event], object]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in that is there: its name and what it registers."""

    name: str
    sources: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plug-in that cannot be used.

    Attributes:
        name: The entry point (``lamp (lamps.commands:Lamp)``) or module that it was asked for by.
        reason: What went wrong, for people.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"plug-in {self.name}: {self.reason}"


def load_plugins(
    group: str,
    modules: Iterable[str],
    context: PluginContext,
    *,
    installed: Iterable[EntryPoint] | None = None,
) -> tuple[list[Plugin], list[PluginFailure]]:
    """Load the plug-ins of a group and of some modules; return them, and what could not be loaded.

    This runs code of others.

    Args:
        group: Entry point group, such as ``clacks.commands``.
        modules: Full names of modules.
        context: For the classes that want it.
        installed: The entry points, instead of those of this Python installation.
    """
    found: list[Plugin] = []
    failed: list[PluginFailure] = []
    for name, load in _named(entry_points(group=group) if installed is None else installed, modules):
        try:
            sources = tuple(_sources(load(), context))
            if not sources:
                raise TypeError("it has no command; mark functions with @Command")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - logged, and reported to the caller
            # Importing runs somebody else's code: whatever it raises, the service lives on without it.
            _log.exception("plug-in left out plugin=%s", name)
            failed.append(PluginFailure(name, f"{type(error).__name__}: {error}"))
        else:
            found.append(Plugin(name, sources))
    return found, failed


def register_plugins(
    register: Callable[[object], None],
    group: str,
    modules: Iterable[str],
    context: PluginContext,
    *,
    installed: Iterable[EntryPoint] | None = None,
) -> tuple[list[Plugin], list[PluginFailure]]:
    """Load plug-ins as `load_plugins` does and hand their commands to ``register``.

    One whose commands have names that others have, or hints that JSON has no values for, is left out; what
    of it was registered before stays.

    Args:
        register: Takes what has commands; raises TypeError or ValueError if it cannot use them.
        group: Entry point group.
        modules: Full names of modules.
        context: For the classes that want it.
        installed: The entry points, instead of those of this Python installation.

    Returns:
        Those that are in use, and those that are not.
    """
    loaded, failed = load_plugins(group, modules, context, installed=installed)
    used: list[Plugin] = []
    for plugin in loaded:
        try:
            for source in plugin.sources:
                register(source)
        except (TypeError, ValueError) as error:
            _log.error("plug-in left out plugin=%s reason=%s", plugin.name, error)
            failed.append(PluginFailure(plugin.name, f"{type(error).__name__}: {error}"))
        else:
            _log.info("plug-in loaded plugin=%s", plugin.name)
            used.append(plugin)
    return used, failed


def _named(
    installed: Iterable[EntryPoint], modules: Iterable[str]
) -> Iterator[tuple[str, Callable[[], object]]]:
    # A package that is found twice on the path is one.
    points = {(point.name, point.value): point for point in installed}
    for (name, value), point in sorted(points.items()):
        yield f"{name} ({value})", point.load
    for module in modules:
        yield module, lambda module=module: importlib.import_module(module)  # type: ignore[misc]


def _sources(loaded: object, context: PluginContext) -> Iterator[object]:
    if isinstance(loaded, ModuleType):
        for value in list(vars(loaded).values()):
            # What a module imports from elsewhere is not its own.
            if getattr(value, "__module__", None) != loaded.__name__:
                continue
            if is_command(value):
                yield value
            elif inspect.isclass(value) and _has_commands(value):
                yield _made(value, context)
    elif inspect.isclass(loaded):
        yield _made(loaded, context)
    else:
        yield loaded


def _has_commands(kind: type) -> bool:
    return any(is_command(value) for holder in kind.__mro__ for value in vars(holder).values())


def _made(kind: type, context: PluginContext) -> object:
    return kind(context) if inspect.signature(kind).parameters else kind()
