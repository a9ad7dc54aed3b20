"""What ``clacks doctor`` looks at. Each check returns findings; none of them changes anything."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clacks.amqp.profiles import Profile
    from clacks.bus import Bus
    from clacks.common.address import BusURL
    from clacks.common.schema import SchemaRegistry
    from clacks.common.settings import Settings

__all__ = ["Finding", "Level", "broker", "installation", "plugins", "schemas", "state"]


class Level(enum.Enum):
    """How bad it is."""

    GOOD = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what to do if it is not good."""

    level: Level
    what: str
    advice: str = ""


def _good(what: str) -> Finding:
    return Finding(Level.GOOD, what)


def _warning(what: str, advice: str) -> Finding:
    return Finding(Level.WARNING, what, advice)


def _fault(what: str, advice: str) -> Finding:
    return Finding(Level.FAULT, what, advice)


def installation() -> Iterator[Finding]:
    """Look at Python and at the packages that Clacks needs."""
    python = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        yield _good(f"Python {python}")
    else:
        yield _warning(
            f"Python {python} is not one that Clacks is tested with", "use Python 3.11, 3.12 or 3.13"
        )
    yield from _packages()
    from clacks.common.errors import ProtocolError

    try:
        from clacks.amqp.surface import require_proton

        require_proton()
    except (ImportError, ProtocolError) as error:
        yield _fault(
            f"the AMQP engine cannot be used: {error}",
            "install python-qpid-proton in the version that Clacks wants: "
            "pip install --no-cache-dir --force-reinstall 'python-qpid-proton~=0.40.0'",
        )
    else:
        yield _good(f"AMQP engine on proton {_version('python-qpid-proton')}")


def _packages() -> Iterator[Finding]:
    missing = []
    for line in importlib.metadata.requires("clacks") or ():
        requirement, _, marker = line.partition(";")
        name = re.split(r"[^A-Za-z0-9_.-]", requirement.strip(), maxsplit=1)[0]
        if "extra" in marker:
            continue
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement.strip())
            continue
        pinned = re.search(r"~=\s*([0-9.]+)", requirement)
        if pinned and not _compatible(version, pinned[1]):
            yield _fault(
                f"{name} {version} is not {requirement.strip()}", f"pip install '{requirement.strip()}'"
            )
    if missing:
        yield _fault(
            f"packages are missing: {', '.join(missing)}", f"pip install {' '.join(map(repr, missing))}"
        )
    else:
        yield _good("all packages that Clacks needs are there")


def _compatible(version: str, wanted: str) -> bool:
    """Tell whether a version satisfies ``~=wanted`` (PEP 440), for versions that are plain numbers."""
    has, least = ([int(part) for part in re.findall(r"\d+", text)] for text in (version, wanted))
    return has[: len(least) - 1] == least[:-1] and has >= least


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def schemas(registry: SchemaRegistry) -> Iterator[Finding]:
    """Look at the event types."""
    for refused in registry.refused:
        yield _fault(f"schema refused: {refused}", "mend or remove that file; the other types stay usable")
    yield _good(f"{len(registry.kinds)} event types from {len(registry.folders)} folders")
    for folder in registry.folders:
        if not Path(folder).is_dir():
            yield _warning(
                f"event folder {folder} is not there", "make it, or take it out of CLACKS_EVENTS or settings"
            )


def plugins(settings: Settings, registry: SchemaRegistry) -> Iterator[Finding]:
    """Look at the plug-ins of an agent and of a client with these settings, loaded as those do it."""
    from clacks.agent.command import CommandRegistry
    from clacks.agent.service import PLUGINS as AGENT
    from clacks.client.commands import BasicCommands, NotifyCommand
    from clacks.client.service import PLUGINS as CLIENT
    from clacks.common.command import CommandTable
    from clacks.common.plugins import PluginContext, register_plugins
    from clacks.common.rights import Rights

    def publish(event: object) -> None:
        """Send nothing: nobody calls a command here."""

    agent = CommandRegistry(publish=publish, rights=Rights(), registry=registry)
    client = CommandTable("client of doctor")
    # A plug-in must not take a name that is taken already.
    client.register(BasicCommands(lambda: client.commands, tuple))
    if settings.client.notify:
        client.register(NotifyCommand(tuple, lambda *shown: False))
    for title, register, group, modules, node in (
        ("", agent.register, AGENT, settings.plugins, settings.node),
        (" of clients", client.register, CLIENT, settings.client.commands, settings.client.id),
    ):
        context = PluginContext(node or "doctor", registry, publish)
        used, failed = register_plugins(register, group, modules, context)
        for failure in failed:
            yield _fault(
                f"plug-in {failure.name}{title} cannot be used: {failure.reason}",
                f"mend or uninstall it; the {'client' if title else 'agent'} runs without it",
            )
        if used:
            yield _good(f"{len(used)} plug-ins{title}: {', '.join(plugin.name for plugin in used)}")


def state(settings: Settings) -> Iterator[Finding]:
    """Look at the files of a service on this machine: users, rights, certificates."""
    from clacks.cli import files
    from clacks.common.errors import SettingsError

    folder = settings.state_dir
    if not folder.exists():
        yield _good(f"no state folder {folder} yet: no service ran here")
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        yield _good(f"the state folder {folder} belongs to somebody else")
        return
    for path in (folder, settings.credentials_file, folder / "tls" / "ca.key"):
        if path.exists() and path.stat().st_mode & 0o077:
            yield _fault(f"{path} can be read by others", f"chmod go= {path}")
    try:
        credentials, rights = files.read_credentials(settings), files.read_rights(settings)
    except SettingsError as error:
        yield _fault(
            str(error), "mend the file, or move it away and add the users again with: clacks users add"
        )
        return
    yield _good(f"{len(credentials.users)} users in {settings.credentials_file}")
    for user in sorted(credentials.users):
        if not rights.users.get(user):
            yield _warning(
                f"user {user} has no role",
                f"clacks users add {user} --role ROLE, or clacks users remove {user}",
            )
    yield from _certificate(settings)


def _certificate(settings: Settings) -> Iterator[Finding]:
    from datetime import UTC, datetime, timedelta

    from clacks.net.certificates import local_authority, valid_until

    given = settings.certificate
    path = given or local_authority(settings.state_dir)
    if not path.exists():
        if given is not None:
            yield _fault(
                f"the certificate {given} is not there", "put it there, or take it out of the settings"
            )
        return
    until = valid_until(path)
    left = until - datetime.now(UTC)
    text = f"{path} is valid until {until:%Y-%m-%d}"
    if left < timedelta(0):
        yield _fault(
            f"{path} has ended on {until:%Y-%m-%d}", "renew it; clacks up renews its own when it starts"
        )
    elif left < timedelta(days=14) and given is not None:
        yield _warning(text, "renew it")
    else:
        yield _good(text)


async def broker(url: BusURL, settings: Settings, registry: SchemaRegistry) -> list[Finding]:
    """Connect and look at the login, the broker's profile, the rights and the agents."""
    from clacks.cli.connection import open_bus
    from clacks.common.errors import (
        BusError,
        CommandError,
        CommandTimeout,
        LinkRefused,
        LoginRefused,
        OutcomeUnknown,
    )

    found: list[Finding] = []
    if not url.tls and not url.loopback:
        found.append(_warning(f"{url} is not encrypted", "use amqps://"))
    try:
        async with open_bus(url, settings, registry) as bus:
            found.append(
                _good(f"connected to {url}" + (f" as {bus.user}" if bus.user else " without a login"))
            )
            found += _profile(bus.profile)
            if bus.profile is not None and bus.profile.name == "rabbitmq-3":
                found.append(await asyncio.to_thread(_rabbitmq_policy))
                if bus.user is not None:
                    found.append(await asyncio.to_thread(_rabbitmq_permissions, bus.user))
            found.append(await _lets_strangers_in(url, settings))
            try:
                async with await bus.subscribe("."):
                    found.append(_good("may subscribe to events"))
            except LinkRefused as error:
                found.append(
                    _warning(f"may not subscribe: {error}", f"give {bus.user} a role with the right read")
                )
            try:
                user = await bus.call("getSessionUser", timeout=5.0)
                found.append(_good(f"an agent answers commands and sees {user}"))
                found += await _schemas_there(bus, registry)
            except (CommandTimeout, OutcomeUnknown):  # some brokers take a call for nobody
                found.append(_warning("no agent answers commands", "start one: clacks agent --url URL"))
            except (CommandError, LinkRefused) as error:
                found.append(
                    _warning(f"commands are refused: {error}", "give the user a role with the right commands")
                )
    except LoginRefused as error:
        found.append(
            _fault(f"{url}: {error}", "check user and password: clacks users list on the broker's machine")
        )
    except BusError as error:
        found.append(_fault(f"{url}: {error}", _connection_advice(url)))
    return found


def _connection_advice(url: BusURL) -> str:
    if url.loopback:
        return (
            "is a broker running? clacks up starts one; port and certificate have to be those that it prints"
        )
    return "check host, port and certificate; an own authority is named by the setting ca_file"


def _profile(profile: Profile | None) -> Iterator[Finding]:
    if profile is None:
        return
    from clacks.amqp.profiles import FilterTrust, UserTrust

    where = "the broker filters" if profile.xquery is FilterTrust.ECHO else "the receiver filters"
    yield _good(f"broker profile {profile.name}: {where}")
    if profile.user_id is UserTrust.UNTRUSTED:
        yield _warning(
            f"{profile.name} does not check who speaks",
            "agents refuse commands that need a user on such a broker",
        )
    if profile.advice and profile.name != "rabbitmq-3":  # that one is looked at
        yield _warning(f"{profile.name} needs a setting that cannot be seen from here", profile.advice)


async def _lets_strangers_in(url: BusURL, settings: Settings) -> Finding:
    """Look whether somebody without a login comes in: as ANONYMOUS, or without any SASL at all."""
    from clacks.common.errors import BusError
    from clacks.net.certificates import local_authority
    from clacks.net.probe import lets_in_without_login, offered_mechanisms
    from clacks.net.tls import client_context

    authority = local_authority(settings.state_dir)
    tls = client_context(url.host, ca=settings.ca_file, local_authority=authority) if url.tls else None
    try:
        mechanisms = await offered_mechanisms(url.host, url.port, tls=tls)
        stranger = await lets_in_without_login(url.host, url.port, tls=tls)
        # ActiveMQ offers it to everybody and refuses whoever tries it: so try.
        stranger = stranger or ("ANONYMOUS" in mechanisms and await _enters_anonymously(url, settings))
    except BusError as error:
        return _warning(
            f"whether strangers come in cannot be told: {error}", "look into the broker's settings"
        )
    if stranger:
        advice = "set amqp1_0.default_user = none on RabbitMQ, or what forbids anonymous users on this broker"
        return _warning("the broker lets in whoever has no login", advice)
    return _good("nobody comes in without a login")


async def _enters_anonymously(url: BusURL, settings: Settings) -> bool:
    """Tell whether a login without user and password succeeds."""
    from clacks.cli.connection import open_bus
    from clacks.common.errors import LoginRefused

    try:
        async with open_bus(dataclasses.replace(url, user=None, password=None), settings):
            return True
    except LoginRefused:
        return False


def _rabbitmq_policy() -> Finding:
    """Look whether a policy removes the queues of receivers that left; RabbitMQ 3 keeps them for ever."""
    from clacks.cli import rabbitmq

    advice = (
        "rabbitmqctl set_policy clacks-subscribers '^amq[.]gen' "
        '\'{"expires":60000,"max-length":10000,"overflow":"drop-head"}\' --apply-to queues'
    )
    try:
        policies = rabbitmq.ask("list_policies")
        found = policies is not None and rabbitmq.expires(policies)
    except (ValueError, KeyError, TypeError, re.error):
        return _warning("the policies of RabbitMQ cannot be understood", advice)
    if found:
        return _good("a policy lets the queues of receivers that left expire")
    if policies is not None:
        return _fault("no policy lets the queues of receivers that left expire: they collect events", advice)
    return _warning(
        "RabbitMQ keeps the queues of receivers that left; whether a policy is set cannot be seen", advice
    )


def _rabbitmq_permissions(user: str) -> Finding:
    """Look who may read the answers to a user's calls: on RabbitMQ a matter of topic permissions."""
    from clacks.cli import rabbitmq

    name = user if re.fullmatch(r"[A-Za-z0-9_-]+", user) else "USER"
    advice = (
        f"rabbitmqctl set_topic_permissions {name} {rabbitmq.EXCHANGE} "
        f"'WHAT IT MAY PUBLISH' '^(org\\.clacks\\.event\\..*|reply\\.{name}\\..*)$', and so for every user"
    )
    try:
        users, permissions = rabbitmq.ask("list_users"), rabbitmq.ask("list_topic_permissions")
        if users is None or permissions is None:
            return _warning("who may read answers cannot be seen from here", advice)
        own = rabbitmq.reads_own_answers(user, permissions)
        others = rabbitmq.eavesdroppers(user, users, permissions)
    except (ValueError, KeyError, TypeError, re.error):
        return _warning("the topic permissions of RabbitMQ cannot be understood", advice)
    if not own:
        return _fault(f"{user} may not read the answers to its own calls", advice)
    if others:
        return _warning(f"others may read the answers to calls of {user}: {', '.join(others)}", advice)
    return _good(f"nobody but {user} may read the answers to its calls")


async def _schemas_there(bus: Bus, registry: SchemaRegistry) -> list[Finding]:
    from clacks.common.errors import BusError, CommandError

    try:
        schemas = await bus.call("getSchemas", timeout=5.0)
    except (CommandError, BusError):
        return []
    if not isinstance(schemas, dict):
        return []
    lacking = sorted(set(schemas) - set(registry.sources()))
    if lacking:
        return [
            _warning(
                f"event types of the bus that this machine lacks: {', '.join(lacking)}", "clacks events pull"
            )
        ]
    return [_good("this machine knows all event types of the bus")]
