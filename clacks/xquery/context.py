"""The dynamic context: what an expression knows while it runs.

``Execution`` is what one run of a query shares; ``Context`` is the focus and the frame of one place in it. A
context is made anew where focus or frame change and is never changed behind the back of somebody who holds
it. The class follows elementpath's XPathContext as far as its function classes look.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elementpath.datatypes import Timezone
from elementpath.xpath_context import XPathContext

from clacks.common.errors import QueryBudgetExceeded
from clacks.xquery.budget import BUDGET_CODE, Meter
from clacks.xquery.depth import DeepThread

__all__ = ["Context", "Execution", "Resolvers"]


class Resolvers:
    """Doors to the outside that a caller may open; all are shut by default.

    Attributes:
        document: Takes an absolute URI, returns an lxml document, or None if there is none.
        text: Takes an absolute URI and an encoding or None, returns the text, or bytes with the encoding that
            their source declares (or None), or None if there is none.
        collection: Takes an absolute URI (None for the default), returns a sequence of items, or None.
        uri_collection: The same for URIs.
        environment: Environment variables that queries may see.
    """

    def __init__(
        self,
        *,
        document: Callable[[str], Any] | None = None,
        text: Callable[[str, str | None], str | tuple[bytes, str | None] | None] | None = None,
        collection: Callable[[str | None], Any] | None = None,
        uri_collection: Callable[[str | None], Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.document = document
        self.text = text
        self.collection = collection
        self.uri_collection = uri_collection
        self.environment = environment


class Execution:
    """What one run of a query shares.

    Attributes:
        query: The compiled query (None for a bare expression).
        meter: Counts against the budget.
        globals: Values of global variables, by declaration.
        resolvers: Doors to the outside.
        now: The current time of this run.
        timezone: The implicit timezone.
        deep: Whether there is room for deep recursion.
        documents: Documents had through resolvers, by URI, so that the same URI is the same node.
    """

    def __init__(
        self,
        meter: Any,
        resolvers: Resolvers | None = None,
        variables: Mapping[str, Any] | None = None,
        now: datetime.datetime | None = None,
        root: Any = None,
    ) -> None:
        self.meter = meter
        self.resolvers = resolvers or Resolvers()
        self.variables = variables or {}
        self._now = now
        self._timezone: Timezone | None = None
        self.globals: dict[Any, Any] = {}
        self.documents: dict[str, Any] = {}
        self.caches: dict[object, Any] = {}
        self.root = root
        self.deep = False
        self._deep_thread: DeepThread | None = None

    def deeper(self, call: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """Go on with ``call`` in a thread with room for all function levels of the budget.

        The thread stays until ``close``: a query that is deep once is deep often.
        """
        meter = self.meter
        usual, seconds = meter.deepest, meter.seconds_left
        if usual >= meter.budget.depth:
            raise meter.too_deep()

        def go_on() -> Sequence[Any]:
            nonlocal seconds
            meter.seconds_left = seconds
            meter.go_deep()
            try:
                return call()
            except RecursionError:
                raise QueryBudgetExceeded(BUDGET_CODE, "the query recurs too deeply") from None
            finally:
                seconds = meter.seconds_left

        if self._deep_thread is None:
            self._deep_thread = DeepThread()
        try:
            return self._deep_thread.run(go_on)
        except RecursionError:
            raise  # here, in the usual thread: its last frames are used up
        except RuntimeError as error:
            raise QueryBudgetExceeded(BUDGET_CODE, f"the query recurs too deeply ({error})") from None
        finally:
            meter.deepest = usual
            meter.seconds_left = seconds

    def close(self) -> None:
        """End the thread for deep recursion, if there is one."""
        if self._deep_thread is not None:
            self._deep_thread.close()
            self._deep_thread = None

    def again(self) -> Execution:
        """Return a new execution of the same query with the same inputs and a full budget, for a thread with
        room for deep recursion. The meter counts the time of the thread that asks.
        """
        twin = Execution(Meter(self.meter.budget), self.resolvers, self.variables, self._now)
        twin.deep = True
        twin.meter.go_deep()
        return twin

    @property
    def now(self) -> datetime.datetime:
        """Return the current time, the same during one run."""
        if self._now is None:
            self._now = datetime.datetime.now(tz=datetime.UTC)
        return self._now

    @property
    def timezone(self) -> Timezone:
        """Return the implicit timezone."""
        if self._timezone is None:
            self._timezone = Timezone(self.now.utcoffset() or datetime.timedelta(0))
        return self._timezone


class Context(XPathContext):
    """Focus and frame.

    Attributes:
        item: The context item, None if absent.
        position: Context position, from 1.
        size: Context size.
        frame: Values of the local variables of the running function body, by slot.
        execution: What the whole run shares.
        static: Static context of the function call being carried out.
    """

    __slots__ = ("execution", "frame", "static")

    item: Any

    variables: Any = {}  # noqa: RUF012
    namespaces: Any = {}  # noqa: RUF012
    axis: Any = None
    collections = None
    default_collection = None
    text_resources: Any = {}  # noqa: RUF012
    resource_collections = None
    default_resource_collection = None
    default_language = None
    default_calendar = None
    default_place = None
    allow_environment = False

    def __init__(self, execution: Execution, item: Any = None, frame: list[Any] | None = None) -> None:
        self.execution = execution
        self.item = item
        self.position = 1
        self.size = 1
        self.frame = frame if frame is not None else []
        self.static: Any = None

    def __copy__(self) -> Context:
        return self.focus(self.item, self.position, self.size)

    def focus(self, item: Any, position: int, size: Any) -> Context:
        """Return a context with another focus and the same frame."""
        twin = Context.__new__(Context)
        twin.execution = self.execution
        twin.frame = self.frame
        twin.static = self.static
        twin.item = item
        twin.position = position
        twin.size = size
        return twin

    def call(self, frame: list[Any]) -> Context:
        """Return the context of a function body: a frame of its own and no focus."""
        twin = Context.__new__(Context)
        twin.execution = self.execution
        twin.frame = frame
        twin.static = None
        twin.item = None
        twin.position = 0
        twin.size = 0
        return twin

    @property
    def root(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the root of the tree of the context item."""
        item = self.item
        return getattr(item, "root_node", None) if item is not None else None

    @property
    def document(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the root if it is a document node."""
        root = self.root
        return root if root is not None and root.kind == "document" else None

    @property
    def current_dt(self) -> datetime.datetime:  # type: ignore[override]  # computed when asked for
        """Return the current time of this run."""
        return self.execution.now

    @property
    def timezone(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the implicit timezone."""
        return self.execution.timezone

    @property
    def documents(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the documents that were had through resolvers."""
        return self.execution.documents
