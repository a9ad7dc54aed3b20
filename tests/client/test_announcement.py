from __future__ import annotations

import ipaddress

import pytest

from clacks.client.announcement import Address, Family, NetworkDevice, announcement, devices_of
from clacks.client.commands import BasicCommands
from clacks.client.machine import network_devices
from clacks.common.command import CommandTable
from clacks.common.errors import InvalidEvent
from clacks.common.schema import SchemaRegistry

SCHEMAS = SchemaRegistry(plugins=False)
LO = [Address(Family.IPV4, "127.0.0.1", "255.0.0.0"), Address(Family.IPV6, "::1")]
ETH = [
    Address(Family.IPV4, "192.0.2.7", "255.255.255.0", "192.0.2.255"),
    Address(Family.IPV6, "fe80::1%eth0"),
    Address(Family.IPV6, "2001:db8::7"),
    Address(Family.MAC, "02:00:5E:00:53:01"),
]


def test_a_device_is_told_with_all_its_addresses() -> None:
    assert devices_of({"lo": LO, "eth0": ETH}) == (
        NetworkDevice(
            "eth0", "192.0.2.7", "2001:db8::7", "02:00:5e:00:53:01", "255.255.255.0", "192.0.2.255"
        ),
    )


def test_a_device_with_several_ipv4_addresses_is_named_for_each() -> None:
    more = [*ETH, Address(Family.IPV4, "198.51.100.7", "255.255.255.128", "198.51.100.127")]
    assert [(device.name, device.ipv4) for device in devices_of({"eth0": more})] == [
        ("eth0", "192.0.2.7"),
        ("eth0", "198.51.100.7"),
    ]


def test_a_device_without_ipv4_and_without_any_address_is_told_too() -> None:
    found = devices_of({"tun0": [Address(Family.IPV6, "fe80::2%tun0")], "dummy": []})
    assert [(device.name, device.ipv6) for device in found] == [("dummy", ""), ("tun0", "fe80::2")]


def test_loopback_is_told_only_where_there_is_nothing_else() -> None:
    assert [device.name for device in devices_of({"lo": LO})] == ["lo"]
    assert len(devices_of({})) == 1, "the event must name a device"


def test_the_devices_of_this_machine_can_be_read() -> None:
    for device in network_devices():
        if device.ipv4:
            assert ipaddress.ip_address(device.ipv4).version == 4
        if device.ipv6:
            assert ipaddress.ip_address(device.ipv6).version == 6


def test_the_announcement_is_a_valid_event_with_methods_and_their_signatures() -> None:
    table = CommandTable("client")
    table.register(BasicCommands(lambda: {}, lambda: ()))
    event = announcement(
        SCHEMAS,
        "desk-1",
        "Desk",
        devices_of({"eth0": ETH}),
        table.commands.values(),
        "org.clacks.client.desk-1",
    )
    told = event.to_dict()
    assert (told["Id"], told["Name"]) == ("desk-1", "Desk")
    assert told["NetworkInformation"]["NetworkDevice"][0]["Broadcast"] == "192.0.2.255"
    methods = told["ClientCapabilities"]["ClientMethod"]
    assert [method["Name"] for method in methods] == ["getMethods", "getUsers"]
    assert methods[1]["Signature"] == "getUsers() -> list[text]"
    assert methods[1]["Path"] == "org.clacks.client.desk-1"
    assert methods[1]["Documentation"] == "Return who is logged on to this client."


def test_a_name_that_xml_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        announcement(SCHEMAS, "desk-1", "De\x01sk", devices_of({"eth0": ETH}), [], "p")
