"""Run the two programs of the reference document, unchanged, on the default ports.

    python -m tests.examples.reference_document HOME

Started inside a network namespace of its own, or by somebody who holds a lock on the ports.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.examples.processes import EXAMPLES, Program, environment, running_bus

__all__ = ["main"]


def main(home: Path) -> None:
    """Start bus and receiver, send until something arrives, and stop everything by Ctrl-C."""
    env = environment(home)
    with running_bus(home), Program(sys.executable, EXAMPLES / "receiver.py", env=env) as receiver:
        # The receiver does not say when it listens, and an event that nobody hears is lost.
        for _ in range(30):
            with Program(sys.executable, EXAMPLES / "sender.py", env=env) as sender:
                assert sender.wait() == 0, str(sender)
                assert (sender.out, sender.err) == ([], []), str(sender)
            time.sleep(0.2)
            if receiver.out:
                break
        receiver.wait_for("PhoneStatus")
        began = time.monotonic()
        assert receiver.interrupt() == 0, str(receiver)
        assert time.monotonic() - began < 3
        assert receiver.err == [], str(receiver)
        print("\n".join(receiver.out))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
