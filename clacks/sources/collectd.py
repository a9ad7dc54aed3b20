"""The collectd source: packets of its network plugin become CollectD events."""

from __future__ import annotations

import fnmatch
import logging
import math

from clacks.common.errors import InvalidEvent, SettingsError
from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import CollectdSettings
from clacks.net.datagrams import DatagramReceiver
from clacks.net.feedback_cipher import decrypt_ofb
from clacks.sources.collectd_packets import Measurement, PacketError, Security, read_packet, read_passwords
from clacks.sources.outbox import Outbox, Publish

__all__ = ["CollectdSource", "collectd_event"]

_log = logging.getLogger(__name__)


def collectd_event(registry: SchemaRegistry, found: Measurement) -> Event:
    """Return the event of a measurement.

    Raises:
        InvalidEvent: A name holds what XML cannot, or a number is none that the event may hold.
    """
    if not math.isfinite(found.time) or not found.host or not found.plugin or not found.type:
        raise InvalidEvent("CollectD", "/Event/CollectD", "a measurement without time, host, plugin or type")
    return registry.from_dict(
        "CollectD",
        {
            "Host": found.host,
            "Plugin": found.plugin,
            "PluginInstance": found.plugin_instance or None,
            "Type": found.type,
            "TypeInstance": found.type_instance or None,
            "Time": found.time,
            "Interval": round(found.interval, 3),
            "Values": list(found.values),
        },
    )


class CollectdSource:
    """Listens for collectd and publishes what it measures.

    Args:
        registry: The event types.
        settings: Where to listen and what to believe.
        publish: Sends an event.

    Attributes:
        port: The UDP port that it listens on, once it runs.
        refused: Packets and measurements that could not be used.
    """

    def __init__(self, registry: SchemaRegistry, settings: CollectdSettings, publish: Publish) -> None:
        self._registry = registry
        self._settings = settings
        self._security = Security(settings.security)
        self._outbox = Outbox(publish)
        self._passwords: dict[str, str] = {}
        self.port = 0
        self.refused = 0

    async def run(self) -> None:
        """Listen and publish until cancelled.

        Raises:
            SettingsError: The file with passwords cannot be used.
            ConnectionFailed: The port cannot be had.
        """
        settings = self._settings
        if settings.passwords is not None:
            try:
                self._passwords = read_passwords(settings.passwords.read_text("utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8 text"
                raise SettingsError(str(settings.passwords), reason) from error
        elif self._security is not Security.NONE:
            raise SettingsError("sources.collectd", f"security {self._security.value!r} needs passwords")
        async with DatagramReceiver(settings.host, settings.port, self.take) as receiver:
            self.port = receiver.port
            _log.info("listening for collectd host=%s port=%d", settings.host, receiver.port)
            await self._outbox.run()

    def take(self, packet: bytes, sender: str) -> None:
        """Take one packet."""
        try:
            found = read_packet(
                packet, security=self._security, passwords=self._passwords, decrypt=decrypt_ofb
            )
        except PacketError as error:
            self.refused += 1
            self._outbox.warn("a packet was refused", f"sender={sender}", f"reason={error}")
            return
        for measurement in found:
            if not any(fnmatch.fnmatchcase(measurement.plugin, glob) for glob in self._settings.plugins):
                continue
            try:
                self._outbox.put(collectd_event(self._registry, measurement))
            except InvalidEvent as error:
                self.refused += 1
                self._outbox.warn("a measurement was refused", f"sender={sender}", f"reason={error}")
