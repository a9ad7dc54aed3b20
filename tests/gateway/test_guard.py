"""What is refused before anything is looked at."""

from __future__ import annotations

import pytest

from clacks.gateway.guard import Guard, host_of

GUARD = Guard.of(["bus.example.org"], ["https://app.example.org/"])


def status(method: str = "GET", path: str = "/", **headers: str) -> int | None:
    given = {"host": "localhost:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    found = GUARD.refusal(
        method, path, given, words=frozenset(("sysadm-client",)), upgrade=method == "UPGRADE"
    )
    return None if found is None else found[0]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "192.0.2.7",
        "BUS.example.org.",
    ],
)
def test_these_hosts_are_ours(host: str) -> None:
    assert status(host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example.com", "localhost.evil.example.com", "127.0.0.1.nip.io", "bus"]
)
def test_a_name_that_points_here_is_not_ours(host: str) -> None:
    assert status(host=host) == 421


@pytest.mark.parametrize("host", ["", "a b", "a/b", "user@localhost", "localhost:x", "[::1"])
def test_a_host_that_cannot_be_read_is_refused(host: str) -> None:
    assert status(host=host) == 400


@pytest.mark.parametrize("path", ["/../etc", "/a/../b", "/a/./b", "/a//b", "/..", "/a\\b", "/a\x00", "", "a"])
def test_paths_that_climb_are_refused(path: str) -> None:
    assert status(path=path) == 400


@pytest.mark.parametrize("method", ["UPGRADE", "POST", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example.com", "null", "https://localhost.evil.example.com", "file://", "http://[", ""],
)
def test_a_page_of_somewhere_else_may_not_connect_or_post(method: str, origin: str) -> None:
    assert status(method, origin=origin) == 403


@pytest.mark.parametrize("origin", ["http://localhost:8080", "https://APP.example.org", "sysadm-client"])
def test_own_pages_named_pages_and_words_of_programs_may(origin: str) -> None:
    assert status("UPGRADE", origin=origin) is None


def test_another_port_is_another_origin() -> None:
    assert status("POST", origin="http://localhost:9999") == 403


def test_a_form_of_another_site_without_an_origin_is_refused() -> None:
    assert status("POST", sec_fetch_site="cross-site") == 403
    assert status("POST", sec_fetch_site="same-origin") is None
    assert status("POST") is None


def test_reading_is_left_to_the_browser() -> None:
    assert status("GET", origin="http://evil.example.com") is None


def test_a_socket_in_the_file_system_needs_no_host() -> None:
    assert GUARD.refusal("GET", "/", {}, unix=True) is None
    assert GUARD.refusal("GET", "/../x", {}, unix=True) is not None


def test_a_star_takes_everything() -> None:
    anywhere = Guard.of(["*"], ["*"])
    assert anywhere.refusal("POST", "/", {"host": "x.org", "origin": "http://y.org"}) is None


def test_hosts_are_compared_in_small_letters_and_without_port() -> None:
    assert host_of("EXAMPLE.org.:80") == "example.org"
    assert host_of("[FE80::1]:80") == "fe80::1"
