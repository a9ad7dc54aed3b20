"""Plug-ins: commands of other packages, found by entry point or named in the settings.

A plug-in is what an entry point of the group ``clacks.commands`` names, or a module from the setting
``plugins``: a marked function, an object with marked methods, a class of such, or a module with any of these.
A class is made without arguments, or with a `PluginContext` if its constructor takes one.

One that cannot be loaded is noted and left out; the agent starts without it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from clacks.agent.command import CommandRegistry
from clacks.common.command import is_command
from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry

__all__ = ["GROUP", "Plugin", "PluginContext", "RefusedPlugin", "load_plugins", "register_plugins"]

_log = logging.getLogger(__name__)

GROUP = "clacks.commands"
"""The group of entry points."""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plug-in gets of its agent.

    Attributes:
        node: The id of the agent.
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
class RefusedPlugin:
    """A plug-in that cannot be used, and why."""

    name: str
    reason: str


def load_plugins(
    modules: Iterable[str], context: PluginContext, *, entry_points: bool = True
) -> tuple[list[Plugin], list[RefusedPlugin]]:
    """Load all plug-ins: those of installed packages, and these modules.

    This runs code of others. Every command of a plug-in is looked at as it will be when it is registered.
    """
    found: list[Plugin] = []
    refused: list[RefusedPlugin] = []
    for name, load in _named(modules, entry_points):
        try:
            sources = tuple(_sources(load(), context))
            if not sources:
                raise TypeError("it has no command; mark functions with @Command")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - SystemExit hides from it that this logs
            # Somebody else's code, and it may do anything: the agent starts without it.
            _log.exception("plug-in left out plugin=%s", name)
            refused.append(RefusedPlugin(name, f"{type(error).__name__}: {error}"))
        else:
            found.append(Plugin(name, sources))
    return found, refused


def register_plugins(
    commands: CommandRegistry, modules: Iterable[str], context: PluginContext
) -> tuple[list[Plugin], list[RefusedPlugin]]:
    """Load all plug-ins and register their commands; return those that are in use and those that are not.

    A plug-in whose commands have names that others have, or hints that JSON has no values for, is refused;
    what it registered before stays.
    """
    loaded, refused = load_plugins(modules, context)
    used: list[Plugin] = []
    for plugin in loaded:
        try:
            for source in plugin.sources:
                commands.register(source)
        except (TypeError, ValueError) as error:
            _log.error("plug-in left out plugin=%s reason=%s", plugin.name, error)
            refused.append(RefusedPlugin(plugin.name, f"{type(error).__name__}: {error}"))
        else:
            used.append(plugin)
    return used, refused


def _named(modules: Iterable[str], entry_points: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    if entry_points:
        seen: Mapping[tuple[str, str], Any] = {
            (point.name, point.value): point for point in importlib.metadata.entry_points(group=GROUP)
        }
        for (name, value), point in sorted(seen.items()):
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
