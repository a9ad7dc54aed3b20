"""The systemd units of the services, as text. Pure; ``contrib/systemd`` holds them as they usually are.

Each service sees the system read-only, has its own folder of state, and no capability that it does not need.
What a service of yours must do besides is a drop-in: ``systemctl edit clacks-NAME``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

__all__ = ["SERVICES", "SYSUSERS", "UnitOf", "unit"]

SYSUSERS: Final = 'u clacks - "Clacks" /var/lib/clacks\n'
"""The user of the services, as sysusers.d wants it."""


@dataclass(frozen=True, slots=True)
class UnitOf:
    """What sets the unit of one service apart.

    Attributes:
        description: One line.
        command: What follows the program.
        user: Who it runs as.
        options: Options of ``[Service]`` that replace the usual ones; None leaves one out.
    """

    description: str
    command: str
    user: str = "clacks"
    options: Mapping[str, str | None] = field(default_factory=dict)


_USUAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "AmbientCapabilities": "",
        "UMask": "0077",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "PrivateUsers": "yes",
        "ProtectClock": "yes",
        "ProtectControlGroups": "yes",
        "ProtectHostname": "yes",
        "ProtectKernelLogs": "yes",
        "ProtectKernelModules": "yes",
        "ProtectKernelTunables": "yes",
        "ProtectProc": "invisible",
        "ProcSubset": "pid",
        "RemoveIPC": "yes",
        "LockPersonality": "yes",
        "RestrictRealtime": "yes",
        "RestrictSUIDSGID": "yes",
        "RestrictNamespaces": "yes",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": "@system-service\nSystemCallFilter=~@privileged @resources",
        "SystemCallErrorNumber": "EPERM",
    }
)

# Devices and load are read from /proc and by netlink.
_READS_MACHINE: Final = {
    "ProcSubset": "all",
    "ProtectProc": "default",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
}

SERVICES: Final[Mapping[str, UnitOf]] = MappingProxyType(
    {
        "up": UnitOf("Clacks: broker and agent of one machine", "up", options=_READS_MACHINE),
        "broker": UnitOf("Clacks: broker", "broker"),
        "agent": UnitOf("Clacks: agent", "agent", options=_READS_MACHINE),
        "client": UnitOf(
            "Clacks: client",
            "client",
            # A notification becomes the user whose desktop it is for, and that one's bus is below /run/user.
            user="root",
            options={
                **_READS_MACHINE,
                "CapabilityBoundingSet": "CAP_SETUID CAP_SETGID",
                "PrivateUsers": None,
                "ProtectHome": "read-only",
                "SystemCallFilter": "@system-service",
            },
        ),
        "collectd": UnitOf("Clacks: measurements of collectd", "source collectd"),
        "puppet": UnitOf("Clacks: reports of Puppet", "source puppet"),
        "asterisk": UnitOf("Clacks: calls and queues of Asterisk", "source asterisk"),
        "host": UnitOf(
            "Clacks: state of this machine",
            "source host",
            # zpool speaks to /dev/zfs, which everybody may ask.
            options={**_READS_MACHINE, "PrivateDevices": None, "PrivateUsers": None, "ProtectHostname": None},
        ),
        "jobs": UnitOf(
            "Clacks: jobs",
            "source jobs",
            # What the jobs need is theirs: widen it by a drop-in.
            options={"ProcSubset": None, "SystemCallFilter": "@system-service"},
        ),
    }
)
"""Every service that can be installed, by the name of its unit without ``clacks-``."""


def unit(name: str, program: str) -> str:
    """Return the text of the unit ``clacks-NAME.service``.

    Args:
        name: One of `SERVICES`.
        program: Full path of the program ``clacks``.
    """
    what = SERVICES[name]
    options = {**_USUAL, **what.options}
    # systemd gives the folder to the user of the unit that starts: two users must not share one.
    state = "clacks" if what.user == "clacks" else f"clacks-{name}"
    lines = [
        "[Unit]",
        f"Description={what.description}",
        "Documentation=https://clacks.readthedocs.io/",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        f"ExecStart={_quoted(program)} {what.command}",
        f"User={what.user}",
        f"Environment=CLACKS_STATE_DIR=/var/lib/{state}",
        "# CLACKS_URL and CLACKS_PASSWORD; readable for root alone.",
        "EnvironmentFile=-/etc/clacks/environment",
        f"StateDirectory={state}",
        "StateDirectoryMode=0700",
        "Restart=on-failure",
        "RestartSec=5",
        "TimeoutStopSec=20",
        *(f"{key}={value}" for key, value in options.items() if value is not None),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def _quoted(path: str) -> str:
    """Write a path as systemd reads it: ``%`` is its own, and spaces end a word."""
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if any(sign.isspace() for sign in text) else text
