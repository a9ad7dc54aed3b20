"""What a command takes: read from its type hints, told to callers, held against their arguments.

JSON knows few types, so few hints are allowed here: None, bool, int, float, str, list, dict with text keys,
unions and literals of these, and Any. Anything else is an error of the one who writes the command, found when
the command is registered, not when it is called.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from clacks.common.errors import CommandError
from clacks.common.jsonrpc import INVALID_PARAMS

__all__ = ["Parameter", "Signature"]

_NAMES: Mapping[object, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a command as callers see it."""

    name: str
    hint: Any
    required: bool
    positional: bool = True
    many: bool = False  # *names: any number of positional arguments


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a command without the caller's name, and the type of its result."""

    parameters: tuple[Parameter, ...]
    text: str

    @classmethod
    def of(cls, function: Callable[..., Any], *, skip: int = 0) -> Signature:
        """Read the signature of a bound function; the first ``skip`` parameters are not the caller's.

        Raises:
            TypeError: If a parameter has no hint, or one that JSON has no values for.
        """
        found = inspect.signature(function)
        hints = typing.get_type_hints(function)
        kept = list(found.parameters.values())[skip:]
        parameters = []
        for item in kept:
            if item.kind is inspect.Parameter.VAR_KEYWORD:
                raise TypeError(f"{function.__qualname__}: a command cannot take **{item.name}")
            if item.name not in hints:
                raise TypeError(f"{function.__qualname__}: the parameter {item.name!r} needs a type hint")
            _check_hint(hints[item.name], f"{function.__qualname__}: the parameter {item.name!r}")
            parameters.append(
                Parameter(
                    item.name,
                    hints[item.name],
                    required=item.default is item.empty and item.kind is not item.VAR_POSITIONAL,
                    positional=item.kind is not item.KEYWORD_ONLY,
                    many=item.kind is item.VAR_POSITIONAL,
                )
            )
        shown = ", ".join(_shown(item, hints[item.name]) for item in kept)
        result = f" -> {_hint_text(hints['return'])}" if "return" in hints else ""
        return cls(tuple(parameters), f"({shown}){result}")

    def bind(self, params: Sequence[Any] | Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Hold JSON-RPC params against the parameters; return positional and named arguments.

        Raises:
            CommandError: With ``INVALID_PARAMS``, saying which argument is missing, unknown or wrong.
        """
        if isinstance(params, Mapping):
            return (), self._bind_names(params)
        return self._bind_places(params), {}

    def _bind_names(self, given: Mapping[str, Any]) -> dict[str, Any]:
        known = {item.name: item for item in self.parameters if not item.many}
        for name in given:
            if name not in known:
                raise _refused(f"unknown argument {_short(name)}; the signature is {self.text}")
        for item in known.values():
            if item.name in given:
                _check(given[item.name], item.hint, f"the argument {item.name!r}")
            elif item.required:
                raise _refused(f"the argument {item.name!r} is missing; the signature is {self.text}")
        return dict(given)

    def _bind_places(self, given: Sequence[Any]) -> tuple[Any, ...]:
        places = [item for item in self.parameters if item.positional and not item.many]
        rest = next((item for item in self.parameters if item.many), None)
        if len(given) > len(places) and rest is None:
            raise _refused(f"{len(given)} arguments are too many; the signature is {self.text}")
        for item, value in zip(places, given):
            _check(value, item.hint, f"the argument {item.name!r}")
        if rest is not None:
            for value in given[len(places) :]:
                _check(value, rest.hint, f"an argument of {rest.name!r}")
        missing = [item.name for item in places[len(given) :] if item.required]
        missing += [item.name for item in self.parameters if not item.positional and item.required]
        if missing:
            raise _refused(f"the argument {missing[0]!r} is missing; the signature is {self.text}")
        return tuple(given)


def _refused(reason: str) -> CommandError:
    return CommandError(INVALID_PARAMS, reason)


def _short(value: object) -> str:
    """Show a foreign value, but never a megabyte of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_hint(hint: Any, where: str) -> None:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object or (origin is None and hint in _NAMES):
        return
    if origin in (Union, types.UnionType) or origin is list:
        for part in inner:
            _check_hint(part, where)
        return
    if origin is dict and inner[0] is str:
        return _check_hint(inner[1], where)
    if origin is Literal and all(isinstance(value, str | int | None) for value in inner):
        return
    raise TypeError(f"{where} has the hint {hint!r}, for which JSON has no values")


def _check(value: Any, hint: Any, where: str) -> None:
    if not _fits(value, hint):
        raise _refused(f"{where} must be {_hint_text(hint)}, not {_short(value)}")


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any or hint is object:
        return True
    if hint in (bool, str, list, dict):
        return isinstance(value, hint)
    if hint is int or hint is float:
        # JSON writes 3 for a float as well; true is no number although bool is an int in Python.
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    if hint is None or hint is type(None):
        return value is None
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if origin is Literal:
        return any(type(value) is type(allowed) and value == allowed for allowed in inner)
    return any(_fits(value, part) for part in inner)


def _hint_text(hint: Any) -> str:
    if hint is Any or hint is object:
        return "any"
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " | ".join(_hint_text(part) for part in inner)
    if origin is list:
        return f"list[{_hint_text(inner[0])}]"
    if origin is dict:
        return f"object[{_hint_text(inner[1])}]"
    if origin is Literal:
        return " | ".join(repr(value) for value in inner)
    return _NAMES.get(type(None) if hint is None else hint) or str(getattr(hint, "__name__", hint))


def _shown(item: inspect.Parameter, hint: Any) -> str:
    star = "*" if item.kind is item.VAR_POSITIONAL else ""
    default = "" if item.default is item.empty else f" = {item.default!r}"
    return f"{star}{item.name}: {_hint_text(hint)}{default}"
