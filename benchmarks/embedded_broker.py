"""The embedded broker as a process of its own, for the benchmarks.

python -m benchmarks.embedded_broker PORT
"""

from __future__ import annotations

import asyncio
import gc
import sys

from clacks.broker.broker import Broker
from clacks.common.credentials import make_credentials
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.net.listener import BrokerServer
from clacks.net.verifier import Logins

RIGHTS = """
[users.anonymous]
roles = ["load"]
[roles.load]
publish = ["Phone*", "Host*", "SchedulerUpdate"]
read = ["Phone*", "Host*", "SchedulerUpdate"]
create = ["bench.*"]
"""


async def main(port: int) -> None:
    """Serve until the process is ended."""
    broker = Broker(SchemaRegistry(plugins=False), parse_rights(RIGHTS))
    broker.registry.load()
    credentials = make_credentials("anonymous", "unused")
    logins = Logins(lambda: credentials, mechanisms=["ANONYMOUS"], metrics=broker.metrics)
    server = BrokerServer(broker, lambda: credentials, host="127.0.0.1", port=port, logins=logins)
    await server.start()
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
