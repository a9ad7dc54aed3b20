"""Rights: which login may publish, read, call, make, announce what.

The file names users and roles::

    [users.jane]
    roles = ["desk"]

    [roles.desk]
    publish = ["PhoneStatus", "Asterisk*"]    # event types
    read = ["*"]                              # event types
    commands = ["getMethods", "sendEvent"]    # methods
    create = ["org.example.*"]                # addresses it may make, and queues it may serve
    announce = ["desk-*"]                     # ids of nodes and clients it may speak as
    impersonate = ["*"]                       # logins in whose name it may act (gateways)

Every value is a list of globs: ``*`` any text, ``?`` one character, ``[abc]`` one of these; upper and lower
case differ. What no role allows is forbidden. A user has the sum of its roles.

This module reads text; who reads the file, and reads it again when it changes, is the service.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from clacks.common.errors import SettingsError

__all__ = ["BUILTIN_ROLES", "Rights", "Role", "add_user", "parse_rights", "remove_user"]


@dataclass(frozen=True, slots=True)
class Role:
    """What a role allows: globs, one tuple for each right."""

    publish: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    create: tuple[str, ...] = ()
    announce: tuple[str, ...] = ()
    impersonate: tuple[str, ...] = ()


_EVERYTHING = ("*",)
_RIGHTS = tuple(right.name for right in fields(Role))

BUILTIN_ROLES: Mapping[str, Role] = {
    "admin": Role(*(_EVERYTHING for _ in _RIGHTS)),
    "agent": Role(
        publish=_EVERYTHING,
        read=_EVERYTHING,
        commands=_EVERYTHING,
        create=("*.command.*", "*.client.*"),
        announce=_EVERYTHING,
        # A call that another node provides is forwarded in the name of its caller. It gives agents nothing
        # that they lack: they may call and publish everything, and there the caller's rights count.
        impersonate=_EVERYTHING,
    ),
    # The id that it may announce is its own: a role for that stands beside this one.
    "client": Role(
        publish=("ClientAnnounce", "ClientLeave", "ClientPing", "ClientSignature", "UserSession"),
        read=("ClientPoll", "Notification"),
        commands=("getSessionUser",),
    ),
    "publisher": Role(
        publish=_EVERYTHING, commands=("getMethods", "getSessionUser", "recordEvent", "sendEvent")
    ),
    "gateway": Role(
        publish=_EVERYTHING,
        read=_EVERYTHING,
        commands=_EVERYTHING,
        announce=_EVERYTHING,
        impersonate=_EVERYTHING,
    ),
    "guest": Role(
        publish=("TopicMessage",),
        read=("TopicMessage",),
        commands=("web.readKeys", "web.writeKeys"),
    ),
    "reader": Role(read=_EVERYTHING, commands=("getEvents", "getMethods", "getSessionUser", "getSchemas")),
}
"""Roles that exist without being written down. A file may write its own, but not its own ``admin``: who reads
that word must know what it means."""


def _never(text: str) -> bool:
    return False


def _always(text: str) -> bool:
    return True


def _test(globs: Iterable[str]) -> Callable[[str], bool]:
    """Return a test for "one of these globs covers the text"; this runs for every message."""
    wanted = set(globs)
    if not wanted:
        return _never
    if "*" in wanted:
        return _always
    plain = frozenset(glob for glob in wanted if not any(sign in glob for sign in "*?["))
    if plain == wanted:
        return plain.__contains__
    pattern = re.compile("|".join(fnmatch.translate(glob) for glob in sorted(wanted)))
    return lambda text: pattern.match(text) is not None


class _Grant:
    """The rights of one user, ready to be asked."""

    __slots__ = ("announce", "commands", "create", "impersonate", "publish", "read")

    def __init__(self, roles: Iterable[Role]) -> None:
        joined = tuple(roles)
        self.publish = _test(glob for role in joined for glob in role.publish)
        self.read = _test(glob for role in joined for glob in role.read)
        self.commands = _test(glob for role in joined for glob in role.commands)
        self.create = _test(glob for role in joined for glob in role.create)
        self.announce = _test(glob for role in joined for glob in role.announce)
        self.impersonate = _test(glob for role in joined for glob in role.impersonate)


_NOBODY = _Grant(())


@dataclass(frozen=True)
class Rights:
    """The rights of all users. A user that is not named has none.

    Example:
        >>> rights = parse_rights('''
        ... [users.jane]
        ... roles = ["desk"]
        ... [roles.desk]
        ... publish = ["Phone*"]
        ... ''')
        >>> rights.may_publish("jane", "PhoneStatus"), rights.may_publish("jane", "NodeLeave")
        (True, False)
    """

    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of roles, by user."""
    roles: Mapping[str, Role] = field(default_factory=lambda: dict(BUILTIN_ROLES))
    """All roles, by name, built-in ones included."""
    _grants: dict[str, _Grant] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for user, names in self.users.items():
            for name in names:
                if name not in self.roles:
                    raise SettingsError(
                        "rights", f"user {user!r} has the role {name!r}, which does not exist"
                    )
            self._grants[user] = _Grant(self.roles[name] for name in names)

    def may_publish(self, user: str, kind: str) -> bool:
        """Tell whether ``user`` may publish events of this type."""
        return self._grants.get(user, _NOBODY).publish(kind)

    def may_read(self, user: str, kind: str) -> bool:
        """Tell whether ``user`` may receive events of this type."""
        return self._grants.get(user, _NOBODY).read(kind)

    def may_call(self, user: str, method: str) -> bool:
        """Tell whether ``user`` may call this method."""
        return self._grants.get(user, _NOBODY).commands(method)

    def may_create(self, user: str, address: str) -> bool:
        """Tell whether ``user`` may make this address on the broker, or serve it if it is a queue."""
        return self._grants.get(user, _NOBODY).create(address)

    def may_announce(self, user: str, id: str) -> bool:  # noqa: A002 - the word of the wire
        """Tell whether ``user`` may speak as the node or client with this id."""
        return self._grants.get(user, _NOBODY).announce(id)

    def may_impersonate(self, user: str, whom: str | None = None) -> bool:
        """Tell whether ``user`` may act in the name of ``whom``; without ``whom``: of anybody at all."""
        grant = self._grants.get(user, _NOBODY)
        return grant.impersonate is not _never if whom is None else grant.impersonate(whom)

    def with_user(self, user: str, roles: Iterable[str]) -> Rights:
        """Return rights in which ``user`` has exactly these roles.

        Raises:
            SettingsError: If a role does not exist.
        """
        return Rights({**self.users, user: tuple(roles)}, self.roles)


def parse_rights(text: str, file: str = "rights") -> Rights:
    """Read the text of a rights file.

    Raises:
        SettingsError: If it is no TOML, has an unknown table, right or role, or a value that is no list of
            texts. ``file`` is the name that the error gives.
    """
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(file, str(error)) from error
    for name in body:
        if name not in ("users", "roles"):
            raise SettingsError(file, f"unknown table [{name}]; there are [users.NAME] and [roles.NAME]")
    roles = dict(BUILTIN_ROLES)
    for name, table in _tables(body, "roles", file):
        if name == "admin":
            raise SettingsError(file, "[roles.admin] cannot be written: admin may do everything")
        roles[name] = Role(**{right: _texts(table, right, f"roles.{name}", file, _RIGHTS) for right in table})
    users = {
        name: _texts(table, "roles", f"users.{name}", file, ("roles",))
        for name, table in _tables(body, "users", file)
    }
    try:
        return Rights(users, roles)
    except SettingsError as error:
        raise SettingsError(file, error.reason) from error


def _tables(body: Mapping[str, Any], name: str, file: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    group = body.get(name, {})
    if not isinstance(group, dict):
        raise SettingsError(file, f"{name} must be tables: [{name}.NAME]")
    for key, table in group.items():
        if not isinstance(table, dict):
            raise SettingsError(file, f"{name}.{key} must be a table: [{name}.{key}]")
        yield key, table


def _texts(
    table: Mapping[str, Any], key: str, where: str, file: str, known: tuple[str, ...]
) -> tuple[str, ...]:
    for found in table:
        if found not in known:
            raise SettingsError(file, f"[{where}]: unknown key {found!r}; known: {', '.join(known)}")
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise SettingsError(file, f"[{where}]: {key} must be a list of texts")
    return tuple(value)


# The file belongs to a person: comments and order stay as they are. So a user is added and removed as text,
# and the result is read before it is returned.


def add_user(text: str, user: str, roles: Iterable[str], file: str = "rights") -> str:
    """Return the text of a rights file with one user more; a user already there gets these roles instead.

    Raises:
        SettingsError: If the text cannot be read or a role does not exist.
    """
    rest = remove_user(text, user, file)
    wanted = ", ".join(_quoted(role) for role in roles)
    added = f"{rest.rstrip()}\n\n[users.{_quoted(user)}]\nroles = [{wanted}]\n".lstrip("\n")
    parse_rights(added, file)
    return added


def remove_user(text: str, user: str, file: str = "rights") -> str:
    """Return the text of a rights file without a user; unchanged if it is not there.

    Raises:
        SettingsError: If the text cannot be read, or the user is not written as a table of its own.
    """
    if user not in parse_rights(text, file).users:
        return text
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = _header_user(line) == user
        if not inside:
            kept.append(line)
        elif line.lstrip().startswith("#"):
            kept.append(line)  # a comment below the table may speak of what follows
    rest = "".join(kept)
    if user in parse_rights(rest, file).users:
        raise SettingsError(file, f"user {user!r} is not written as [users.{user}]; remove it by hand")
    return rest


def _header_user(line: str) -> str | None:
    """Return the user of a line ``[users.NAME]``, or None if it is not one."""
    try:
        body = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None  # a line of a list of several lines, such as ["admin"],
    users = body.get("users")
    return next(iter(users), None) if isinstance(users, dict) else None


def _quoted(text: str) -> str:
    """Write a text as TOML basic string."""
    body = "".join(
        f"\\{sign}" if sign in '"\\' else sign if sign.isprintable() else f"\\U{ord(sign):08X}"
        for sign in text
    )
    return f'"{body}"'
