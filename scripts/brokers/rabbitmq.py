"""A private RabbitMQ node: own ports, own folder, own Erlang port mapper; nothing of the system's is touched.

    with RabbitMQ() as broker:
        print(broker.url)          # amqp://admin:secret@127.0.0.1:41234/org.clacks

Run as a program it stays until Ctrl-C, to try things by hand: ``python -m scripts.brokers.rabbitmq``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil

from scripts.brokers.ports import free_ports

__all__ = ["RabbitMQ"]

_SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_SECONDS: Final = 90

# Without "none" in the first line ANONYMOUS is offered, and a connection with no SASL at all counts as guest.
_CONFIG: Final = """\
amqp1_0.default_user = {anonymous}
listeners.tcp.1 = 127.0.0.1:{port}
{tls}
loopback_users = none
log.console = false
log.file.level = warning
"""

_TLS: Final = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
"""


# Waits for the end of its standard input, which is the end of us, however that comes: a test run that is
# killed must not leave a broker behind.
_WATCH: Final = """\
read -r _
kill -TERM -- "-$1"
for _ in $(seq 150); do kill -0 -- "-$1" || break; sleep 0.1; done
kill -KILL -- "-$1"
epmd -port "$2" -kill
rm -rf "$3"
"""


class RabbitMQ:
    """One node of Debian's RabbitMQ 3.10 with its AMQP 1.0 plug-in.

    Args:
        users: Passwords by name; all may do everything.
        policy: Whether left-over queues of subscribers expire and are bounded (docs: rabbitmq).
        certificate: PEM files of a server certificate and its key, for a TLS port.
        anonymous: Whether everybody is let in as the first user, as RabbitMQ does by default.
    """

    def __init__(
        self,
        users: dict[str, str] | None = None,
        *,
        policy: bool = True,
        certificate: tuple[Path, Path] | None = None,
        anonymous: bool = False,
    ) -> None:
        self.users = users or {"admin": "secret", "ann": "ann-secret"}
        self.policy = policy
        self.certificate = certificate
        self.anonymous = anonymous
        self.port, self.tls_port, self._dist_port, self._epmd_port = free_ports(4)
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @staticmethod
    def available() -> bool:
        """Whether it is installed (``make setup-brokers``)."""
        return _SERVER.exists()

    @property
    def url(self) -> str:
        """Where to connect as the first user, password included."""
        return self.url_of(next(iter(self.users)))

    def url_of(self, user: str, *, tls: bool = False) -> str:
        """Where to connect as ``user``, password included."""
        scheme, port = ("amqps", self.tls_port) if tls else ("amqp", self.port)
        return f"{scheme}://{user}:{self.users[user]}@127.0.0.1:{port}/org.clacks"

    @property
    def pids(self) -> list[int]:
        """The processes of the node: a shell, the Erlang machine and its helpers."""
        if self._process is None:
            return []
        parent = psutil.Process(self._process.pid)
        return [self._process.pid, *(child.pid for child in parent.children(recursive=True))]

    def cpu_seconds(self) -> float:
        """CPU time that the node has used since its start."""
        total = 0.0
        for pid in self.pids:
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
        return total

    def __enter__(self) -> RabbitMQ:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the node and wait until it serves; RuntimeError shows the end of its log if it does not."""
        self._folder = Path(tempfile.mkdtemp(prefix="clacks-rabbitmq-"))
        tls = ""
        if self.certificate is not None:
            certificate, key = self.certificate
            tls = _TLS.format(port=self.tls_port, certificate=certificate, key=key)
        anonymous = next(iter(self.users)) if self.anonymous else "none"
        (self._folder / "rabbitmq.conf").write_text(
            _CONFIG.format(port=self.port, tls=tls, anonymous=anonymous)
        )
        (self._folder / "plugins").write_text("[rabbitmq_amqp1_0].")
        self._launch()
        self.control("delete_user", "guest")
        for name, password in self.users.items():
            # On standard input: an argument would be seen by everybody on this machine.
            self.control("add_user", name, text=password + "\n")
            self.control("set_permissions", "-p", "/", name, ".*", ".*", ".*")
        if self.policy:
            # Subscriptions over AMQP 1.0 leave queues behind that nobody else removes.
            rules = '{"expires":60000,"max-length":10000,"overflow":"drop-head"}'
            self.control("set_policy", "clacks-subscribers", "^amq[.]gen", rules, "--apply-to", "queues")

    def _launch(self) -> None:
        log = (self._path() / "output").open("ab")
        with log:
            self._process = subprocess.Popen(
                [str(_SERVER)],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watcher = subprocess.Popen(
            ["bash", "-c", _WATCH, "watch", str(self._process.pid), str(self._epmd_port), str(self._path())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            done = self.control("await_startup", "--timeout", "60", check=False)
            if done.returncode == 0:
                return
            time.sleep(0.5)
        output = (self._path() / "output").read_text(errors="replace")[-2000:]
        self.stop()
        raise RuntimeError(f"RabbitMQ does not start:\n{output}")

    def stop(self) -> None:
        """End the node, and remove what it wrote."""
        if self._process is not None:
            self._end(signal.SIGTERM)
        if self._folder is not None:
            subprocess.run(
                ["epmd", "-port", str(self._epmd_port), "-kill"],
                env=self._environment(),
                capture_output=True,
                check=False,
            )
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """End the node as a power failure would; `restart` brings it back with the same ports."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again after `kill`: users and policies are still there."""
        if self._process is not None:
            self._end(signal.SIGTERM)
        self._launch()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            processes = [psutil.Process(pid) for pid in self.pids]
        except psutil.NoSuchProcess:
            processes = []
        for process in processes:
            try:
                process.send_signal(how)
            except psutil.NoSuchProcess:
                continue
        _, left = psutil.wait_procs(processes, timeout=30)
        for process in left:
            process.kill()
        self._process.wait()
        self._process = None
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None

    def control(
        self, *arguments: str, text: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run ``rabbitmqctl`` for this node."""
        done = subprocess.run(
            [str(_SERVER.with_name("rabbitmqctl")), "-q", *arguments],
            env=self._environment(),
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments[0]}: {done.stdout}{done.stderr}")
        return done

    def _path(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the node is not started")
        return self._folder

    def _environment(self) -> dict[str, str]:
        folder = self._path()
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"clacks{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }


def main() -> None:
    """Run a node until Ctrl-C."""
    with RabbitMQ() as broker:
        sys.stdout.write(f"{broker.url}\n")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            sys.stdout.write("stopping\n")


if __name__ == "__main__":
    main()
