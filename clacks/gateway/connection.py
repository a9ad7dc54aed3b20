"""One connection: its session, its subscriptions, and the loop that carries out what the session wants."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Final

from clacks.common.errors import QueryError, StoreError
from clacks.dialects.access import NOBODY, Access
from clacks.dialects.actions import (
    Call,
    Close,
    Effect,
    Failed,
    Failure,
    Join,
    Leave,
    LoggedIn,
    Login,
    Logout,
    Members,
    Outcome,
    Recalled,
    Result,
    Send,
    SessionToken,
    Since,
    Subscribe,
    Subscribed,
    Tell,
    Unsubscribe,
    Wake,
)
from clacks.dialects.delivered import Delivered
from clacks.dialects.session import Session
from clacks.gateway.acting import Hand, House
from clacks.gateway.fanout import Subscriber
from clacks.net.web_link import Link

__all__ = ["Connection", "States"]

_log = logging.getLogger(__name__)

_MOST_WAKES: Final = 64


class States:
    """The last event of each key of the types that are a state."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._last: dict[tuple[str, str], Delivered] = {}

    def put(self, delivered: Delivered, key: str) -> None:
        """Keep an event; beyond the limit the one that changed longest ago is forgotten."""
        place = (delivered.kind, key)
        self._last.pop(place, None)
        while len(self._last) >= self._most:
            del self._last[next(iter(self._last))]
        self._last[place] = delivered

    def remove(self, kind: str, key: str) -> None:
        """Forget what does not exist any more."""
        self._last.pop((kind, key), None)

    def all(self) -> list[Delivered]:
        """Return all of them, the one that changed longest ago first."""
        return list(self._last.values())


class Connection:
    """A session at work.

    Args:
        house: What all share.
        states: The last events of types that are a state.
        session: Says what to do.
        link: Where to write.
        access: Who it is at the begin.
    """

    __slots__ = (
        "_access",
        "_calls",
        "_expiry",
        "_hand",
        "_house",
        "_link",
        "_lock",
        "_over",
        "_queries",
        "_session",
        "_states",
        "_subscribers",
        "_tasks",
        "_wakes",
        "token",
    )

    def __init__(self, house: House, states: States, session: Session, link: Link, access: Access) -> None:
        self._house = house
        self._states = states
        self._session = session
        self._link = link
        self._hand = Hand(house, access, link.address)
        self._access = access
        self._subscribers: dict[Hashable, Subscriber] = {}
        self._queries = 0
        self._calls = 0
        self._tasks: set[asyncio.Task[None]] | None = None
        self._wakes: dict[Hashable, asyncio.TimerHandle] | None = None
        self._lock = asyncio.Lock()
        self._expiry: asyncio.TimerHandle | None = None
        self._over = False
        self.token: str | None = None
        """The session token that it logged in with, if any."""

    async def run(self) -> None:
        """Work until the connection is over."""
        try:
            self._watch_expiry()
            async with self._lock:
                await self._carry_out(self._session.opened())
            while not self._over:
                message = await self._link.receive()
                if message is None:
                    break
                async with self._lock:
                    if not self._over:
                        await self._carry_out(self._session.receive(message))
        except ConnectionError:
            pass  # it went away while we had something for it
        finally:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._house.rooms.leave_all(self)
        for subscriber in self._subscribers.values():
            self._house.fanout.remove(subscriber)
        self._subscribers.clear()
        for task in self._tasks or ():
            task.cancel()
        for wake in (self._wakes or {}).values():
            wake.cancel()
        if self._expiry is not None:
            self._expiry.cancel()

    # -- what others of a room want

    def met(self, token: Hashable, members: Members) -> None:
        """Tell the session who is there."""
        self._beside(self._in_turn(lambda: self._session.answer(token, members)))

    def told(self, text: str) -> None:
        """Send what another connection says."""
        if not self._over:
            self._link.send(text.encode("utf-8", "replace"))

    # -- effects

    async def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if self._over:
                return
            match effect:
                case Send():
                    self._link.send(effect.text.encode("utf-8", "replace"))
                case Close():
                    self._over = True
                    self._link.close(effect.code, effect.reason)
                case Subscribe():
                    await self._subscribe(effect)
                case Unsubscribe():
                    self._drop(effect.id)
                case Call():
                    await self._call(effect)
                case Wake():
                    self._wake(effect)
                case Join():
                    self._house.rooms.join(effect, self)
                case Leave():
                    self._house.rooms.leave(effect.room, self)
                case Tell():
                    self._house.rooms.tell(effect.room, effect.name, effect.text)
                case Logout():
                    self._become(self._house.access(NOBODY))
                    self.token = None
                case Login():
                    outcome = await self._hand.perform(effect)
                    if isinstance(outcome, LoggedIn):
                        shown = effect.credentials
                        self.token = shown.token if isinstance(shown, SessionToken) else None
                        self._become(outcome.access)
                    await self._answer(effect.token, outcome)
                case _:
                    outcome = await self._hand.perform(effect)
                    if isinstance(outcome, Recalled):
                        await self._link.room()
                    await self._answer(getattr(effect, "token", None), outcome)
        # What the peer asked for it must read, before it may ask for more.
        if self._link.waiting:
            await self._link.room()

    async def _answer(self, token: Hashable, outcome: Outcome) -> None:
        if token is not None:
            await self._carry_out(self._session.answer(token, outcome))

    # -- logins

    def _become(self, access: Access) -> None:
        """Go on as somebody else; what another user subscribed to ends."""
        if access.user != self._access.user:
            for id_ in list(self._subscribers):
                self._drop(id_)
        for subscriber in self._subscribers.values():
            subscriber.access = access
        self._access = access
        self._hand.become(access)
        self._house.fanout.changed()
        self._watch_expiry()

    def _watch_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        expires = self._access.identity.expires
        if expires is not None:
            # Looked at once a day: a timer that is centuries away overflows, and clocks are set.
            pause = min(max(expires - time.time(), 0.0), 86_400.0)
            self._expiry = asyncio.get_running_loop().call_later(pause, self._maybe_expired)

    def _maybe_expired(self) -> None:
        expires = self._access.identity.expires
        if expires is not None and expires <= time.time():
            self.expire()
        else:
            self._watch_expiry()

    def expire(self) -> None:
        """End the login: its token ran out or was made void."""
        self.token = None
        self._become(self._house.access(NOBODY))
        self._beside(self._in_turn(self._session.expired))

    # -- subscriptions

    async def _subscribe(self, effect: Subscribe) -> None:
        house, wanted = self._house, effect.wanted
        old = None if effect.replay_only else self._subscribers.get(effect.id)
        refused: Failed | None = None
        if wanted.topics is not None and not self._access.may_read_topic(wanted.topics):
            refused = Failed(Failure.FORBIDDEN, f"no right to read {wanted.topics}")
        elif wanted.xquery is not None and not self._access.may_query:
            refused = Failed(Failure.FORBIDDEN, "no right to use queries")
        elif old is None and len(self._subscribers) >= house.limits.web_subscriptions:
            refused = Failed(Failure.LIMIT, "too many subscriptions")
        elif wanted.xquery is not None and self._queries >= house.limits.web_queries:
            refused = Failed(Failure.LIMIT, "too many queries")
        elif effect.since is not None and house.history is None:
            refused = Failed(Failure.UNAVAILABLE, "no event log is kept")
        if refused is not None:
            if refused.why is Failure.FORBIDDEN:
                self._hand.note_refusal(refused.text)
            await self._answer(effect.token, refused)
            return
        try:
            wants = house.fanout.judge(wanted)
            subscriber = house.fanout.add(
                self,
                effect.id,
                self._link,
                self._access,
                wanted,
                effect.form,
                effect.splice,
                once=effect.once,
                pace=effect.pace,
                hold=effect.since is not None or effect.last,
            )
        except QueryError as error:
            await self._answer(effect.token, Failed(Failure.INVALID, str(error)))
            return
        id_: Hashable = ("replay", effect.id) if effect.replay_only else effect.id
        self._drop(id_)
        self._subscribers[id_] = subscriber
        self._queries += wanted.xquery is not None
        if effect.last:
            for delivered in self._states.all():
                fitting = wanted.topics is None and wants(delivered)
                if fitting and self._access.may_see(delivered):
                    house.fanout.send(subscriber, delivered)
        await self._answer(effect.token, Subscribed())
        # The reader has the event that it names; the bus may be about to bring it.
        sent = dict.fromkeys([effect.since.after] if effect.since and effect.since.after else [])
        if effect.since is not None and house.history is not None:
            await self._replay(effect, effect.since, id_, subscriber, wants, sent)
        if effect.replay_only:
            self._drop(id_)
        elif subscriber.held is not None and self._subscribers.get(id_) is subscriber:
            house.fanout.release(subscriber, sent)

    async def _replay(
        self,
        effect: Subscribe,
        since: Since,
        id_: Hashable,
        subscriber: Subscriber,
        wants: Callable[[Delivered], bool],
        sent: dict[str, None],
    ) -> None:
        """Send what the log has; without a limit all of it."""
        history = self._house.history
        assert history is not None
        access = self._access
        try:
            if effect.limit is not None:
                found = await history.recall(access, effect.wanted, since, effect.limit, wants)
                if isinstance(found, Recalled):
                    for delivered in found.events:
                        await self._resend(subscriber, delivered, sent)
                return
            async for delivered in history.replay(access, effect.wanted, since, wants):
                if self._over or self._subscribers.get(id_) is not subscriber:
                    return
                await self._resend(subscriber, delivered, sent)
        except StoreError as error:
            _log.warning("the event log cannot be read: %s", error)
        except QueryError as error:
            _log.warning("a replay was cut short user=%s: %s", self._access.user, error)

    async def _resend(self, subscriber: Subscriber, delivered: Delivered, sent: dict[str, None]) -> None:
        self._house.fanout.send(subscriber, delivered)
        sent[delivered.event_id or delivered.id] = None
        sent[delivered.id] = None
        if self._link.waiting:
            await self._link.room()

    def _drop(self, id_: Hashable) -> None:
        subscriber = self._subscribers.pop(id_, None)
        if subscriber is not None:
            self._queries -= subscriber.wanted.xquery is not None
            self._house.fanout.remove(subscriber)

    # -- what runs beside

    async def _call(self, effect: Call) -> None:
        if self._calls >= self._house.limits.web_calls:
            await self._answer(effect.token, Failed(Failure.LIMIT, "too many calls at once"))
            return
        self._calls += 1
        self._beside(self._called(effect))

    async def _called(self, effect: Call) -> None:
        try:
            outcome = await self._hand.perform(effect)
        finally:
            self._calls -= 1
        if effect.token is not None:
            await self._in_turn(lambda: self._session.answer(effect.token, outcome))

    def _wake(self, effect: Wake) -> None:
        if self._wakes is None:
            self._wakes = {}
        running = self._wakes.pop(effect.token, None)
        if running is not None:
            running.cancel()
        if effect.seconds is None or len(self._wakes) >= _MOST_WAKES:
            return
        loop = asyncio.get_running_loop()
        self._wakes[effect.token] = loop.call_later(effect.seconds, self._woken, effect.token)

    def _woken(self, token: Hashable) -> None:
        if self._wakes is not None:
            self._wakes.pop(token, None)
        self._beside(self._in_turn(lambda: self._session.answer(token, Result())))

    async def _in_turn(self, ask: Callable[[], Iterable[Effect]]) -> None:
        """Ask the session something between two messages, never within one."""
        async with self._lock:
            if not self._over:
                try:
                    await self._carry_out(ask())
                except ConnectionError:
                    self._over = True

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            self._tasks = set()
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
