"""What a client tells of itself: its network devices and methods, as the event ClientAnnounce. Pure."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clacks.common.command import RegisteredCommand
from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry

__all__ = ["Address", "Family", "NetworkDevice", "announcement", "devices_of"]


class Family(enum.Enum):
    """What kind of address a device has."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"
    MAC = "MAC"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a device, as the system tells it; empty texts for what it does not say."""

    family: Family
    address: str
    netmask: str = ""
    broadcast: str = ""


@dataclass(frozen=True, slots=True)
class NetworkDevice:
    """A network device; texts are empty where it has no such address."""

    name: str
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    netmask: str = ""
    broadcast: str = ""


def devices_of(found: Mapping[str, Sequence[Address]]) -> tuple[NetworkDevice, ...]:
    """Make what the event holds of the addresses of all devices.

    The loopback device is left out unless there is no other. A device with several IPv4 addresses is named
    once for each. Of its IPv6 addresses one is told: a global one before one that is private, that before one
    of the link.

    Example:
        >>> devices_of({"eth0": [Address(Family.IPV4, "192.0.2.7", "255.255.255.0", "192.0.2.255")]})
        (NetworkDevice(name='eth0', ipv4='192.0.2.7', ipv6='', mac='', netmask='255.255.255.0', ...
    """
    devices: list[NetworkDevice] = []
    loopback: list[NetworkDevice] = []
    for name, addresses in sorted(found.items()):
        macs = [item.address.lower() for item in addresses if item.family is Family.MAC]
        v4 = [item for item in addresses if item.family is Family.IPV4]
        v6 = sorted(
            (item.address.partition("%")[0] for item in addresses if item.family is Family.IPV6), key=_rank
        )
        for one in v4 or [Address(Family.IPV4, "")]:
            device = NetworkDevice(
                name,
                one.address,
                v6[0] if v6 else "",
                macs[0] if macs else "",
                one.netmask,
                one.broadcast,
            )
            local = any(_loopback(text) for text in (one.address, *v6))
            (loopback if local else devices).append(device)
    return tuple(devices or loopback or [NetworkDevice("")])  # the event must name one


def _rank(address: str) -> tuple[int, str]:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return 4, address
    return (3 if ip.is_loopback else 2 if ip.is_link_local else 1 if ip.is_private else 0), address


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def announcement(
    registry: SchemaRegistry,
    id: str,  # noqa: A002 - the word of the wire
    name: str,
    devices: Iterable[NetworkDevice],
    methods: Iterable[RegisteredCommand],
    path: str,
) -> Event:
    """Return the event ClientAnnounce.

    Args:
        registry: The event types.
        id: The id of the client.
        name: Its name for people.
        devices: Its network devices, at least one.
        methods: Its commands.
        path: Where they can be called: the address of its queue.

    Raises:
        InvalidEvent: A text holds what XML cannot.
    """
    capabilities: list[dict[str, Any]] = [
        {
            "Name": method.name,
            "Path": path,
            "Signature": method.name + method.signature.text,
            "Documentation": method.documentation,
        }
        for method in sorted(methods, key=lambda method: method.name)
    ]
    return registry.from_dict(
        "ClientAnnounce",
        {
            "NetworkInformation": {
                "NetworkDevice": [
                    {
                        "Name": device.name,
                        "IPAddress": device.ipv4,
                        "IPv6Address": device.ipv6,
                        "MAC": device.mac,
                        "Netmask": device.netmask,
                        "Broadcast": device.broadcast,
                    }
                    for device in devices
                ]
            },
            "Id": id,
            "Name": name,
            "ClientCapabilities": {"ClientMethod": capabilities},
        },
    )
