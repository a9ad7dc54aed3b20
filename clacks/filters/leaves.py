"""The texts of all leaves of a large event, read by libxml2 without an object for each element.

Most elements hold one text or nothing, and that is their value. The others hold several nodes: records
around leaves, mixed content, a text that a comment cuts in two. Where those stand is the frame of an event.
Events of one kind have the same frame again and again, so it is learned once and then confirmed by counting:
as many elements hold several nodes as do at the places that are known.
"""

from __future__ import annotations

from typing import Final, cast

from lxml import etree

from clacks.filters.view import node_texts

__all__ = ["Leaves"]

_MOST_KINDS: Final = 256
"""Roots and their first children, by which frames are told apart."""
_MOST_PLACES: Final = 12
"""Of one frame. Each is a step of the count; where there are more, elements are read one by one."""
_DEEPEST: Final = 8
"""Steps below the root to a place."""
_MOST_SPARSE: Final = 64
"""Sets of names of which one frame remembers that."""

_SEVERAL: Final = "descendant-or-self::*/node()[2]"
"""The second node of each element that has one. To step from there to the parents takes quadratic time."""

Names = tuple[str, ...]
_Kind = tuple[str, str]


class _Frame:
    """The places in events of one kind where elements hold several nodes.

    Args:
        root: The name of the root.
        places: For each place the names of the elements that lead there from below the root.
    """

    __slots__ = ("_same_count", "names", "places", "sparse")

    def __init__(self, root: str, places: set[Names]) -> None:
        self.places = places
        self.names = frozenset((root, *(name for place in places for name in place)))
        """The names of all elements that may hold several nodes, themselves or further in."""
        self.sparse: dict[Names, bool] = {}
        """Whether the elements of some names are so few that they had better be read one by one."""
        namespaces: dict[str, str] = {}
        known = " + ".join(f"count({_steps(place, namespaces)}node()[2])" for place in sorted(places))
        self._same_count = etree.XPath(f"count({_SEVERAL}) = {known or 0}", namespaces=namespaces)

    def fits(self, root: etree._Element) -> bool:
        """Tell whether no element elsewhere holds several nodes.

        Then all others hold one text, or nothing, or one element of which the same is true.
        """
        return cast("bool", self._same_count(root))

    def note(self, names: Names, elements: int, texts: int) -> None:
        """Note how many elements of these names there are among how many texts of an event."""
        if len(self.sparse) >= _MOST_SPARSE:
            self.sparse.clear()
        # To make an element and ask it takes half as long again as to read a text.
        self.sparse[names] = 3 * elements < 2 * texts


class Leaves:
    """Reads the values of all elements of some names at once, together with others.

    It keeps the frames that it has seen. Not safe for use by several threads at once.
    """

    __slots__ = ("_frames", "_irregular", "_several", "_texts")

    def __init__(self) -> None:
        self._frames: dict[_Kind, _Frame] = {}
        self._irregular: set[_Kind] = set()
        """Kinds of events that differ too much, or are too deep."""
        self._texts = etree.XPath("descendant-or-self::text()", smart_strings=False)
        self._several = etree.XPath("descendant-or-self::*[node()[2]]")

    def texts(self, root: etree._Element, names: Names) -> set[str]:
        """Return the distinct values of all elements of these names in a tree, and maybe other texts."""
        kind = (root.tag, next(root.iterchildren("*"), root).tag)
        frame = self._frames.get(kind)
        sparse = frame.sparse.get(names) if frame is not None else None
        if sparse or kind in self._irregular:
            return _read(root, names)
        if frame is None or not frame.fits(root):
            frame = self._learn(kind, root)
            if frame is None:
                return _read(root, names)
        texts = cast("list[str]", self._texts(root))
        if sparse is None:
            frame.note(names, sum(1 for _ in root.iter(*names)), len(texts))
        found = set(texts)
        found.add("")  # the value of an element without text
        several = frame.names.intersection(names)
        if several:
            found |= _read(root, tuple(several))
        return found

    def _learn(self, kind: _Kind, root: etree._Element) -> _Frame | None:
        """Return a frame for events of this kind, this one among them; None if there is none."""
        if len(self._frames) + len(self._irregular) >= _MOST_KINDS:
            self._frames.clear()
            self._irregular.clear()
        old = self._frames.pop(kind, None)
        places = set(old.places) if old is not None else set()
        for element in cast("list[etree._Element]", self._several(root)):
            place = _place(element, root)
            places.add(place)
            if len(place) > _DEEPEST or len(places) > _MOST_PLACES:
                self._irregular.add(kind)
                return None
        frame = self._frames[kind] = _Frame(kind[0], places)
        return frame


def _read(root: etree._Element, names: Names) -> set[str]:
    elements = list(root.iter(*names))
    return node_texts(elements) if elements else set()


def _place(element: etree._Element, root: etree._Element) -> Names:
    names: list[str] = []
    above: etree._Element | None = element
    while above is not None and above is not root:
        names.append(above.tag)
        above = above.getparent()
    return tuple(reversed(names))


def _steps(place: Names, namespaces: dict[str, str]) -> str:
    """Return the way from the root to a place as XPath, with a slash behind each step."""
    steps = []
    for name in place:
        namespace, _, local = name.rpartition("}")
        if namespace:
            prefix = f"n{len(namespaces)}"
            namespaces[prefix] = namespace[1:]
            local = f"{prefix}:{local}"
        steps.append(f"{local}/")
    return "".join(steps)
