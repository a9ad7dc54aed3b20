from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clacks.client.desktop import show
from clacks.client.sessions import sessions
from clacks.net.dbus import DBusUnavailable, logind_users, show_notification
from tests.client.login1 import Desktop, Login1, private_bus
from tests.client.test_machine import record, write_utmp

pytestmark = [pytest.mark.net, pytest.mark.tool]


async def following(users: AsyncIterator[tuple[str, ...]]) -> tuple[str, ...]:
    async with asyncio.timeout(20):
        return await anext(users)


def test_logind_tells_who_is_logged_on_and_each_change(tmp_path: Path) -> None:
    async def run() -> None:
        async with private_bus(tmp_path) as address, Login1(address) as login1:
            login1.sessions["c1"] = {"Name": "gdm", "Class": "greeter", "State": "active", "uid": 110}
            users = logind_users(address)
            assert await following(users) == ()
            login1.login("1", "jane")
            assert await following(users) == ("jane",)
            login1.login("2", "jane")
            login1.login("3", "bob")
            assert await following(users) == ("bob", "jane")
            login1.logout("2")
            login1.logout("1")
            assert await following(users) == ("bob",)
            login1.closing("3")
            assert await following(users) == ()
            await users.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_utmp_is_read_where_there_is_no_logind(tmp_path: Path) -> None:
    file = tmp_path / "utmp"

    async def run() -> None:
        async with private_bus(tmp_path) as address:
            users = sessions("auto", utmp=file, address=address, look_again=0.01)
            assert await following(users) == ()
            write_utmp(file, record(7, os.getpid(), "jane"))
            assert await following(users) == ("jane",)
            await users.aclose()  # type: ignore[attr-defined]
        users = sessions("auto", utmp=file, address=f"unix:path={tmp_path}/nothing", look_again=0.01)
        assert await following(users) == ("jane",)
        await users.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_a_lost_bus_is_tried_again_and_what_changed_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clacks.client.sessions._ANEW", 0.05)

    async def run() -> None:
        address = f"unix:path={tmp_path}/bus"
        async with private_bus(tmp_path), Login1(address) as login1:
            login1.sessions["1"] = {"Name": "jane", "Class": "user", "State": "active", "uid": 1000}
            users = sessions("auto", utmp=tmp_path / "utmp", address=address)
            assert await following(users) == ("jane",)
        (tmp_path / "bus").unlink(missing_ok=True)
        asking = asyncio.ensure_future(following(users))
        await asyncio.sleep(0.1)
        async with private_bus(tmp_path), Login1(address) as login1:
            login1.sessions["2"] = {"Name": "bob", "Class": "user", "State": "active", "uid": 1001}
            assert await asking == ("bob",)
            await users.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_a_bus_without_logind_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with private_bus(tmp_path) as address:
            with pytest.raises(DBusUnavailable, match="login1"):
                await following(logind_users(address))
        with pytest.raises(DBusUnavailable, match="no D-Bus at"):
            await following(logind_users(f"unix:path={tmp_path}/nothing"))

    asyncio.run(run())


def test_without_dbus_fast_the_reason_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dbus_fast", None)

    async def run() -> None:
        with pytest.raises(DBusUnavailable, match=r"clacks\[client\]"):
            await following(logind_users())

    asyncio.run(run())


def test_a_notification_is_shown_and_markup_in_it_is_text(tmp_path: Path) -> None:
    async def run() -> None:
        async with private_bus(tmp_path) as address:
            with pytest.raises(DBusUnavailable, match="Notifications"):
                await show_notification(address, "t", "b")
            async with Desktop(address) as desktop:
                await show_notification(address, "Hello <b>", "1 < 2 & <b>x</b>", icon="face", timeout=500)
                ((name, _, icon, title, body, _, _, timeout),) = desktop.shown
                assert (name, icon, title, timeout) == ("clacks", "face", "Hello <b>", 500)
                assert body == "1 &lt; 2 &amp; &lt;b&gt;x&lt;/b&gt;"

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("somebody", [pwd.getpwuid(os.getuid()).pw_name, "nobody"])
def test_a_user_sees_it_on_the_own_session_bus(
    somebody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = pwd.getpwnam(somebody)
    if account.pw_uid != os.getuid() and os.getuid() != 0:
        pytest.skip("only root can show something to somebody else")
    folder = tmp_path / "run" / str(account.pw_uid)
    folder.mkdir(parents=True)
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        if parent.stat().st_uid == os.getuid() and parent != Path("/tmp"):
            parent.chmod(0o755)

    async def run() -> None:
        async with private_bus(folder) as address, Desktop(address) as desktop:
            assert not await asyncio.to_thread(
                show, "no-such-user", "t", "b", "", -1, runtime=tmp_path / "run"
            )
            if account.pw_uid != os.getuid():
                # A bus that is not its owner's own is not used.
                assert not await asyncio.to_thread(show, somebody, "t", "b", "", -1, runtime=tmp_path / "run")
                assert desktop.shown == []
                os.chown(folder / "bus", account.pw_uid, account.pw_gid)
                os.chmod(folder / "bus", 0o777)
            assert await asyncio.to_thread(show, somebody, "Hello", "You", "", -1, runtime=tmp_path / "run")
            assert [words[3:5] for words in desktop.shown] == [["Hello", "You"]]

    asyncio.run(run())
