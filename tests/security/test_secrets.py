"""A whole run with secrets that cannot be mistaken: no log, process list, error text or file has them."""

from __future__ import annotations

import base64
import http.client
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.processes import Service, clacks, running

pytestmark = [pytest.mark.slow, pytest.mark.net]

PASSWORD = "Passw-Kestrel-8f3a61"
GUEST = "Passw-Wagtail-51bc07"
WRONG = "Passw-Bustard-77d2e9"
WRONG_TOKEN = "eyJhbGciOiJub25lIn0.Token-Ouzel-09cc41"


class Run:
    """What was said and seen in the run, and what must not be in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.secrets = {
            "password": PASSWORD,
            "password of a guest": GUEST,
            "wrong password": WRONG,
            "wrong token": WRONG_TOKEN,
        }
        self.texts: dict[str, str] = {}
        self.lines: set[str] = set()
        self.answers: list[int] = []

    @property
    def state(self) -> Path:
        return self.place / "state" / "clacks"

    def command(self, *arguments: str, said_once: bool = False, **more: str) -> str:
        ended = clacks(*arguments, home=self.place, **more)
        number = len(self.texts)
        self.texts[f"{number} errors of {arguments[0]}"] = ended.stderr
        if not said_once:
            self.texts[f"{number} output of {arguments[0]}"] = ended.stdout
        return ended.stdout.strip()

    def look_at_processes(self) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.lines.add(process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue

    def ask(self, port: int, path: str, **headers: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            self.answers.append(answer.status)
            shown = answer.read() if "event-stream" not in headers.get("Accept", "") else b""
            self.texts[f"{len(self.texts)} answer to {urlsplit(path).path}"] = shown.decode(
                "utf-8", "replace"
            )
        finally:
            connection.close()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def port_of(service: Service) -> int:
    (url,) = [line for line in service.out if line.startswith("http://")]
    port = urlsplit(url).port
    assert port is not None
    return port


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("secrets"))
    before = os.umask(0o022)  # the usual one: a file is not private by itself
    try:
        run.command("users", "add", "jane", "--role", "admin", CLACKS_PASSWORD=PASSWORD)
        run.secrets["API key"] = run.command("users", "key", "add", "jane", said_once=True)
        run.secrets["token"] = run.command("token", "jane", "--read", "#", "--write", "#", said_once=True)
        free = ("--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0")
        with running("--debug", "up", *free, "--user", f"ops:{GUEST}", home=run.place) as service:
            run.look_at_processes()
            talk(run, service)
            run.look_at_processes()
            service.stop()
        run.texts["log of up"] = "\n".join(service.err)
        run.texts["output of up"] = "\n".join(service.out)
    finally:
        os.umask(before)
    return run


def talk(run: Run, service: Service) -> None:
    """Log in by all ways, rightly and wrongly."""
    login = {"CLACKS_URL": service.url("amqps", "jane"), "CLACKS_PASSWORD": PASSWORD}
    event = ("PhoneStatus", "CallerId=1", "ReceiverId=2", "Status=busy")
    run.command("--debug", "send", *event, **login)
    run.command("--debug", "call", "getSessionUser", **login)
    guest = {"CLACKS_URL": service.url("amqp", f"ops:{GUEST}")}
    run.command("--debug", "send", *event, **guest)
    for wrong in ({**login, "CLACKS_PASSWORD": WRONG}, {"CLACKS_URL": service.url("amqp", f"jane:{WRONG}")}):
        run.command("--debug", "send", *event, **wrong)
    port = port_of(service)
    run.ask(port, "/nodes", Authorization=basic("jane", PASSWORD))
    run.ask(port, "/nodes", Authorization=basic("jane", WRONG))
    run.ask(port, "/nodes", Authorization=f"Bearer {run.secrets['token']}")
    run.ask(port, f"/eventhub/a?auth={run.secrets['token']}", Accept="text/event-stream")
    run.ask(port, f"/eventhub/a?auth={WRONG_TOKEN}")
    run.ask(port, "/nodes", Authorization=f"Bearer {WRONG_TOKEN}")
    run.ask(port, f"/nodes?auth={run.secrets['API key']}")


def test_the_run_was_one(ran: Run) -> None:
    log = ran.texts["log of up"]
    assert "login user=jane" in log
    assert "login refused" in log
    assert ran.answers.count(200) >= 3
    assert ran.answers.count(401) >= 3
    assert len(ran.secrets["token"]) > 60
    assert any("clacks" in line for line in ran.lines)


def test_no_secret_is_in_a_log_an_output_or_an_error_text(ran: Run) -> None:
    for where, text in ran.texts.items():
        for what, secret in ran.secrets.items():
            for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")):
                assert form not in text, f"{what} in {where}"
        for user in ("jane", "ops"):
            for password in (PASSWORD, GUEST, WRONG):
                assert basic(user, password)[6:].rstrip("=") not in text, where


def test_no_secret_is_in_the_process_list(ran: Run) -> None:
    for line in ran.lines:
        # The command that starts it says the password of a guest until the process has its title.
        for what, secret in ran.secrets.items():
            assert secret not in line, what


def test_no_password_is_in_a_file_and_what_is_secret_is_for_its_owner(ran: Run) -> None:
    files = [path for path in ran.state.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"credentials.toml", "token.key", "salts.key"} <= names, names
    open_ones = []
    for path in files:
        data = path.read_bytes()
        for what, secret in ran.secrets.items():
            assert secret.encode() not in data, f"{what} in {path.name}"
        public = data.startswith(b"-----BEGIN CERTIFICATE-----") and b"PRIVATE KEY" not in data
        if not public and stat.S_IMODE(path.stat().st_mode) != 0o600:
            open_ones.append(f"{path.name}: {stat.S_IMODE(path.stat().st_mode):o}")
    assert not open_ones, open_ones
    assert stat.S_IMODE(ran.state.stat().st_mode) == 0o700
    folders = [path for path in ran.state.rglob("*") if path.is_dir()]
    # That of the certificates, which are public, may be listed by who gets there; nobody writes to any.
    assert not [path for path in folders if path.stat().st_mode & 0o022]


def test_the_audit_log_has_a_line_for_each_login_and_command(ran: Run) -> None:
    lines = [line for line in ran.texts["log of up"].splitlines() if " audit " in line]
    text = "\n".join(lines)
    assert "audit login user=jane address=127.0.0.1 result=accepted method=SCRAM-SHA-256-PLUS" in text
    assert "audit login user=jane address=127.0.0.1 result=wrong method=SCRAM-SHA-256" in text
    assert "result=accepted method=password service=gateway" in text
    assert "service=gateway" in text
    assert "audit command user=jane for=jane method=getSessionUser result=accepted" in text
