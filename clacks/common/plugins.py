"""Plug-ins with commands: found by entry points of installed packages or by module names of the settings.

A plug-in is somebody else's code. One that cannot be used is reported with its reason and keeps no other from
being loaded.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from clacks.common.command import is_command

__all__ = ["PluginFailure", "register_plugins"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plug-in that cannot be used.

    Attributes:
        name: The entry point (``lamp = lamps.commands:Lamp``) or module that it was asked for by.
        reason: What went wrong, for people.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"plug-in {self.name}: {self.reason}"


def register_plugins(
    register: Callable[[object], None],
    group: str,
    modules: Iterable[str] = (),
    *,
    installed: Iterable[EntryPoint] | None = None,
) -> list[PluginFailure]:
    """Load the plug-ins of a group and of some modules, and hand their commands to ``register``.

    What an entry point names is a function marked with ``Command``, a class that can be made without
    arguments and has marked methods, an object with such methods, or a module. Of a module all marked
    functions count.

    Args:
        register: Takes what has commands; raises TypeError or ValueError if it cannot use them.
        group: Entry point group, such as ``clacks.commands``.
        modules: Full names of modules.
        installed: The entry points, instead of those of this Python installation.

    Returns:
        What could not be used, each already logged as an error.
    """
    found = entry_points(group=group) if installed is None else installed
    failures: list[PluginFailure] = []
    wanted: list[tuple[str, Callable[[], object]]] = [
        (f"{entry.name} = {entry.value}", entry.load) for entry in sorted(found, key=lambda entry: entry.name)
    ]
    wanted += [(name, lambda name=name: importlib.import_module(name)) for name in modules]  # type: ignore[misc]
    for name, load in wanted:
        try:
            for source in _sources(load()):
                register(source)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - logged, and reported to the caller
            # Importing runs somebody else's code: whatever it raises, the service lives on without it.
            failure = PluginFailure(name, f"{type(error).__name__}: {error}")
            failures.append(failure)
            _log.exception("plug-in not loaded name=%s", name)
    return failures


def _sources(found: object) -> list[object]:
    """Return what can be registered of a loaded plug-in."""
    if isinstance(found, ModuleType):
        marked = [value for value in vars(found).values() if inspect.isfunction(value) and is_command(value)]
        if not marked:
            raise TypeError("no function of the module is marked with @Command")
        return list(marked)
    return [found()] if inspect.isclass(found) else [found]
