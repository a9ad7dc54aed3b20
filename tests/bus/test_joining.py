from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clacks.bus.joining import Joint


def doc(n: int) -> bytes:
    return f"<e>{n}</e>".encode()


class Reader:
    """A subscription that reads a log while events come live."""

    def __init__(self, *, events: int = 1000, remembered: int = 10_000) -> None:
        self.joint: Joint[int] = Joint(events=events, size=10**9, remembered=remembered)
        self.got: list[int] = []

    def live(self, n: int) -> None:
        if self.joint.live(f"id-{n}", doc(n), n, 1):
            self.got.append(n)

    def replayed(self, n: int) -> None:
        if self.joint.replayed(f"id-{n}", doc(n)):
            self.got.append(n)

    def settle(self) -> None:
        self.got += self.joint.settle()


@given(
    before=st.integers(0, 20),
    meanwhile=st.integers(0, 20),
    pages=st.lists(st.integers(1, 7), min_size=1, max_size=10),
    room=st.integers(1, 30),
    after=st.integers(0, 5),
)
def test_every_event_comes_once_and_in_order(
    before: int, meanwhile: int, pages: list[int], room: int, after: int
) -> None:
    """Events are in the log before they come live (stored), and the log is read while they come."""
    reader = Reader(events=room)
    log = list(range(before))
    place, coming = 0, iter(range(before, before + meanwhile))
    sizes = iter(pages)
    while True:
        size = next(sizes, 1000)
        page = log[place : place + size]
        for n in page:
            reader.replayed(n)
        place += len(page)
        for _ in range(3):
            if (n := next(coming, None)) is not None:
                log.append(n)
                reader.live(n)
        if place >= len(log) or (size == 1000 and not reader.joint.incomplete and len(page) < size):
            if reader.joint.incomplete:
                continue
            break
    reader.settle()
    for n in [*coming, *range(before + meanwhile, before + meanwhile + after)]:
        reader.live(n)
    assert reader.got == list(range(before + meanwhile + after))


def test_what_was_let_go_must_turn_up_in_the_log() -> None:
    reader = Reader(events=2)
    for n in range(5):
        reader.live(n)
    assert reader.joint.incomplete
    for n in range(2):
        reader.replayed(n)
    assert reader.joint.incomplete
    reader.replayed(2)
    assert not reader.joint.incomplete
    reader.settle()
    assert reader.got == [0, 1, 2, 3, 4]


def test_what_was_let_go_and_replayed_before_is_not_missed() -> None:
    reader = Reader(events=1)
    reader.replayed(0)
    reader.live(0)
    reader.live(1)
    assert not reader.joint.incomplete
    reader.settle()
    assert reader.got == [0, 1]


def test_an_event_without_an_id_is_delivered_and_its_loss_is_known() -> None:
    joint: Joint[str] = Joint(events=1, size=10**9)
    assert not joint.live(None, b"<a/>", "a", 1)
    assert joint.settle() == ["a"]
    assert joint.live(None, b"<a/>", "again", 1)
    joint.hold()
    joint.live(None, b"<a/>", "lost", 1)
    joint.live(None, b"<b/>", "kept", 1)
    assert joint.incomplete
    assert joint.settle() == ["kept"]
    assert not joint.incomplete


def test_the_same_id_with_another_document_is_another_event() -> None:
    joint: Joint[str] = Joint(events=10, size=10**9)
    joint.settle()
    assert joint.live("x", b"<forged/>", "forged", 1)
    assert joint.live("x", b"<real/>", "real", 1)
    assert not joint.live("x", b"<real/>", "real", 1)


def test_a_double_is_known_for_as_long_as_it_is_remembered() -> None:
    reader = Reader(remembered=3)
    reader.settle()
    for n in range(5):
        reader.live(n)
    reader.live(4)
    reader.live(0)
    assert reader.got == [0, 1, 2, 3, 4, 0]


def test_what_was_stored_is_known_however_many_plain_events_came_since() -> None:
    reader = Reader(remembered=3)
    reader.settle()
    for n in (1, 2):
        assert reader.joint.live(f"id-{n}", doc(n), n, 1, stored=True)
    for n in range(10, 30):
        reader.live(n)
    assert not reader.joint.live("id-1", doc(1), 1, 1, stored=True), "published again after a long cut"
    reader.live(10)
    assert reader.got[-1] == 10, "plain ones are not published again"


def test_bytes_bound_what_is_held_back_but_one_stays() -> None:
    joint: Joint[str] = Joint(events=100, size=10)
    joint.live("a", b"a", "a", 8)
    joint.live("b", b"b", "b", 100)
    assert joint.incomplete
    joint.replayed("a", b"a")
    assert joint.settle() == ["b"]


def test_after_a_loss_the_log_is_read_from_some_way_back() -> None:
    reader = Reader()
    assert reader.joint.anchor is None
    reader.settle()
    for n in range(300):
        reader.live(n)
    assert reader.joint.anchor == "id-44"
