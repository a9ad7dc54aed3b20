"""Use the lamp: its commands are methods here.

python examples/service/lamp_client.py [URL]
"""

from __future__ import annotations

import os
import sys

from clacks.common.components import AMQPServiceProxy
from clacks.common.errors import CommandError

URL = os.environ.get("CLACKS_URL", "amqp://admin:secret@localhost/org.clacks")

if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else URL
    with AMQPServiceProxy(url, serviceAddress="org.clacks.command.lamps") as lamp:
        print("it was at", lamp.dim(30))
        print("it was at", lamp.dim(percent=75))
        print(lamp.look())
        for wrong in (101, "bright"):
            try:
                lamp.dim(wrong)
            except CommandError as error:
                print(f"{error.code}: {error.message}")
        print(lamp.getMethods()["dim"]["signature"])
