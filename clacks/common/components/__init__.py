"""The blocking facade over ``Bus``: what users import first."""

from clacks.common.components.consumer import AMQPEventConsumer
from clacks.common.components.producer import AMQPEventProducer
from clacks.common.components.proxy import AMQPServiceProxy

__all__ = ["AMQPEventConsumer", "AMQPEventProducer", "AMQPServiceProxy"]
