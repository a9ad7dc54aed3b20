"""A server of proton with Cyrus, in a process of its own: its configuration is global and read once.

``cyrus_server.py --make FOLDER`` makes the user alice with the password "correct horse";
``cyrus_server.py FOLDER MECHANISM PASSWORD`` logs a `SaslClient` in with PASSWORD and prints what came of it.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from proton import SASL, Connection, Transport

from clacks.amqp.sasl import SaslClient
from clacks.common.errors import BusError


def make_user(folder: Path, user: str, password: str) -> None:
    """Write the password file as saslpasswd2 would."""
    callback_type = ctypes.CFUNCTYPE(
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.POINTER(ctypes.c_uint),
    )
    options = {b"sasldb_path": str(folder / "sasldb2").encode(), b"auxprop_plugin": b"sasldb"}

    def option(_context, _plugin, name, result, length):
        if name not in options:
            return -1
        result[0] = options[name]
        if length:
            length[0] = len(options[name])
        return 0

    kept = callback_type(option)

    class Callback(ctypes.Structure):
        _fields_ = [("id", ctypes.c_ulong), ("proc", ctypes.c_void_p), ("context", ctypes.c_void_p)]

    callbacks = (Callback * 2)(Callback(1, ctypes.cast(kept, ctypes.c_void_p), None), Callback(0, None, None))
    lib = ctypes.CDLL("libsasl2.so.2")
    assert lib.sasl_server_init(callbacks, b"clacks-test-maker") == 0
    connection = ctypes.c_void_p()
    realm = b"bus.test"
    assert lib.sasl_server_new(b"amqp", realm, realm, None, None, None, 0, ctypes.byref(connection)) == 0
    create = 1
    found = lib.sasl_setpass(connection, user.encode(), password.encode(), len(password), None, 0, create)
    assert found == 0, f"sasl_setpass says {found}"
    lib.sasl_dispose(ctypes.byref(connection))
    lib.sasl_server_done()


def main(folder: Path, mechanism: str, password: str) -> None:
    (folder / "clacks-test.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {folder / 'sasldb2'}\n"
        f"mech_list: {mechanism}\n"
    )
    transport = Transport(Transport.SERVER)
    sasl = transport.sasl()
    sasl.config_name("clacks-test")
    sasl.config_path(str(folder))
    sasl.allow_insecure_mechs = True
    transport.require_auth(True)
    connection = Connection()
    transport.bind(connection)
    client = SaslClient("alice@bus.test", password, tls=True, allowed=[mechanism], hostname="bus.test")
    try:
        for _ in range(10):
            data = client.bytes_to_send()
            if data:
                transport.push(data)
            size = transport.pending()
            if size > 0:
                answer = bytes(transport.peek(size))
                transport.pop(size)
                client.receive(answer)
    except BusError as error:
        print(f"{type(error).__name__}: {error}")
    if client.done:
        print(f"in by {client.mechanism}, server says {sasl.outcome == SASL.OK} {sasl.user}")


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        make_user(Path(sys.argv[2]), "alice", "correct horse")
    else:
        main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
