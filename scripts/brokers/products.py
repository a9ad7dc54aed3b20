"""The Java brokers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scripts.brokers.activemq import ACTIVEMQ
from scripts.brokers.artemis import ARTEMIS
from scripts.brokers.brokerj import BROKER_J
from scripts.brokers.java import Product

__all__ = ["PRODUCTS"]

PRODUCTS: Final[Mapping[str, Product]] = {one.name: one for one in (ACTIVEMQ, ARTEMIS, BROKER_J)}
