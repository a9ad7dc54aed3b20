"""The vocabulary of the bus: all event types together, and the only place where an ``Event`` is made.

What comes in from outside passes ``SchemaRegistry.receive`` once and is trusted from then on. libxml2 says
the fast yes; what it refuses, xmlschema explains (``schema_explain.py``). Reading schema files is in
``schema_files.py``, one compiled event type in ``schema_type.py``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lxml import etree

from clacks.common import eventjson
from clacks.common.errors import InvalidEvent, MalformedEvent, SchemaError
from clacks.common.event_document import EVENT_TAG, Event
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema_explain import did_you_mean
from clacks.common.schema_files import SchemaFile, Signature, closure, join, read_folders, signature_of
from clacks.common.schema_model import EVENTS_NS, Annotations, ElementDecl
from clacks.common.schema_type import EventType
from clacks.common.settings import Settings
from clacks.common.xmltext import line_of, path_of, read_document

__all__ = ["ENTRY_POINTS", "SchemaRegistry", "builtin_folder", "default_registry"]

ENTRY_POINTS = "clacks.events"
"""Group of entry points; each names a package or module whose folder holds schema files."""

_SHARED: Final = 16 * 1024
"""Bytes of a document whose event is kept for others: its tree may take ten times as much."""

_log = logging.getLogger(__name__)


def builtin_folder() -> Path:
    """Return the folder of the event types that come with Clacks."""
    return Path(__file__).parent / "data" / "events"


@functools.cache
def default_registry() -> SchemaRegistry:
    """Return the registry of those who name none: built in, plug-ins, folders of the settings.

    The folders are those of ``events`` in the settings file or of ``CLACKS_EVENTS``.

    Raises:
        SettingsError: If the settings cannot be used.
    """
    return SchemaRegistry(Settings.load().events)


@dataclass(frozen=True, slots=True)
class _State:
    """One reading of all folders; replaced as a whole, so that other threads never see half of it."""

    types: Mapping[str, EventType]
    by_tag: Mapping[str, EventType]
    refused: tuple[SchemaError, ...]
    signature: Signature
    json_names: Mapping[str, bool | None]


class SchemaRegistry:
    """All event types that this process knows.

    The files of the package come first, then those of plug-ins, then ``folders`` in their order: of two files
    that define one name the first has it. A file that cannot be used is listed in ``refused``; the others
    stay usable. Files are read by ``load`` or at the first use. Safe to use from several threads.

    Example:
        >>> registry = SchemaRegistry()
        >>> "PhoneStatus" in registry.kinds
        True
    """

    def __init__(
        self,
        folders: Sequence[str | os.PathLike[str]] = (),
        *,
        builtin: bool = True,
        plugins: bool = True,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._own = tuple(Path(folder) for folder in folders)
        self._builtin = builtin
        self._plugins = plugins
        self._limits = limits
        self._folders: tuple[Path, ...] | None = None
        self._plugin_errors: tuple[SchemaError, ...] = ()
        self._loaded: _State | None = None
        self._loading = threading.Lock()
        self._shared: tuple[_State | None, Event] | None = None

    # Reading the files

    def load(self) -> None:
        """Read the schema files, if that was not done yet."""
        self._state()

    def reload(self) -> bool:
        """Read the schema files again if one came, went or changed; tell whether that was so.

        Events made before keep the schema that accepted them. When this process can open no files now, what
        it read before stays: a bus without event types would drop everything.
        """
        with self._loading:
            before = self._loaded
            try:
                if before is not None and before.signature == signature_of(self.folders):
                    return False
                self._loaded = self._read()
            except OSError as error:
                if before is None:
                    raise
                _log.error("schemas not read again, the old ones stay: %s", error)
                return False
        return before is not None

    def stale(self) -> bool:
        """Tell whether a schema file came, went or changed since they were read (one listing per folder)."""
        try:
            return self._state().signature != signature_of(self.folders)
        except OSError:  # nothing can be opened now: see reload
            return False

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that are read, in the order of precedence."""
        if self._folders is None:
            found = [builtin_folder()] if self._builtin else []
            if self._plugins:
                plugged, self._plugin_errors = _plugin_folders()
                found += plugged
            self._folders = tuple(dict.fromkeys([*found, *self._own]))
        return self._folders

    def _state(self) -> _State:
        state = self._loaded
        if state is None:
            with self._loading:
                state = self._loaded
                if state is None:
                    state = self._loaded = self._read()
        return state

    def _read(self) -> _State:
        folders = self.folders
        # Before the files: one that changes meanwhile is seen as changed later, not missed.
        signature = signature_of(folders)
        files, refused = read_folders(folders, self._limits)
        files, clashing = join(files)
        refused = [*self._plugin_errors, *refused, *clashing]
        known = {file.path: file for file in files}
        shared = [file for file in files if not file.version_11]
        types: dict[str, EventType] = {}
        for file in files:
            if file.kind is None:
                continue
            try:
                types[file.kind] = _event_type(file, known, shared)
            except SchemaError as error:
                refused.append(error)
        for no in refused:
            _log.warning("schema refused file=%s line=%s reason=%s", no.file, no.line, no.reason)
        return _State(
            types=types,
            by_tag={found.tag: found for found in types.values()},
            refused=tuple(refused),
            signature=signature,
            json_names=_json_names(files),
        )

    # What is known

    @property
    def kinds(self) -> frozenset[str]:
        """The names of all event types."""
        return frozenset(self._state().types)

    @property
    def refused(self) -> tuple[SchemaError, ...]:
        """Why files were refused, in the order of the folders."""
        return self._state().refused

    def type(self, kind: str) -> EventType:
        """Return one event type.

        Raises:
            InvalidEvent: If there is none of that name.
        """
        types = self._state().types
        found = types.get(kind)
        if found is None:
            raise InvalidEvent(
                kind, f"/Event/{kind}", f"unknown event type{did_you_mean(kind, types)}", found=kind
            )
        return found

    def model(self, kind: str) -> ElementDecl:
        """Return what an event of ``kind`` consists of. Raises InvalidEvent if ``kind`` is unknown."""
        return self.type(kind).model

    def annotations(self, kind: str) -> Annotations:
        """Return the annotations of an event type. Raises InvalidEvent if ``kind`` is unknown."""
        return self.type(kind).annotations

    def documentation(self, kind: str) -> str:
        """Return who sends the event, when, and what follows. Raises InvalidEvent if ``kind`` is unknown."""
        return self.type(kind).documentation

    def sources(self) -> dict[str, bytes]:
        """Return the texts of all usable schema files by file name without ``.xsd``.

        For event types that is the kind; files that others include are there too.
        """
        found: dict[str, bytes] = {}
        for of_type in self._state().types.values():
            for part in of_type.parts:
                found.setdefault(part.path.stem, part.data)
        return dict(sorted(found.items()))

    def is_json(self, name: str) -> bool | None:
        """Tell whether elements of this name hold JSON text; None if some do and others do not."""
        return self._state().json_names.get(name, False)

    # Making events

    def receive(self, data: bytes | str, *, newer_ok: bool = False) -> Event:
        """Make an event of a document from outside.

        Args:
            data: The document: bytes in UTF-8, or text.
            newer_ok: Accept elements that this schema does not know, if the event is valid without them: a
                newer schema may have added them. They are listed in ``Event.newer``. For receivers; what is
                to be sent must be valid as it is.

        Raises:
            MalformedEvent: If it is no document that Clacks reads.
            InvalidEvent: If its schema refuses it.
        """
        root, xml = read_document(data, self._limits)
        if len(root) == 1 and root.tag == EVENT_TAG:
            of_type = (self._loaded or self._state()).by_tag.get(root[0].tag)
            if of_type is not None and of_type.accepts(root, xml):
                return Event(of_type, root, xml)
        return self._second_look(root, xml, newer_ok)

    def share(self, event: Event) -> None:
        """Keep an event that was received for others of this process, who get its document next: `shared`.

        That is for a broker: what it accepted goes to the buses of its process, and need not be parsed and
        validated once more by each of them. Only the last event is kept, and no large one.
        """
        if len(event.xml) <= _SHARED:
            self._shared = self._loaded, event

    def shared(self, data: bytes) -> Event | None:
        """Return the event of a document if it was shared last, and the schemas are still the same."""
        kept = self._shared
        if kept is None or kept[1].xml != data or kept[0] is not self._loaded:
            return None
        return kept[1]

    def event(self, element: etree._Element, *, newer_ok: bool = False) -> Event:
        """Make an event of a tree that somebody built; the tree is taken over, not copied.

        Comments and processing instructions are taken out. A part of a larger tree is copied.

        Raises:
            MalformedEvent: If it is larger than a document may be.
            InvalidEvent: If its schema refuses it.
        """
        # As a received document: a comment inside of a text would hide the rest of it from some readers.
        etree.strip_tags(element, etree.Comment, etree.ProcessingInstruction)
        xml = etree.tostring(element, encoding="UTF-8", xml_declaration=False, with_tail=False)
        if type(element) is not etree._Element or element.getparent() is not None:
            # Objectified, or part of something larger: an Event has a plain document of its own.
            return self.receive(xml, newer_ok=newer_ok)
        if len(xml) > self._limits.message_size:
            raise MalformedEvent(f"{len(xml)} bytes, at most {self._limits.message_size} are sent")
        if len(element) == 1 and element.tag == EVENT_TAG:
            of_type = (self._loaded or self._state()).by_tag.get(element[0].tag)
            if of_type is not None and of_type.accepts(element, xml):
                return Event(of_type, element, xml)
        return self._second_look(element, xml, newer_ok)

    def _second_look(self, root: etree._Element, xml: bytes, newer_ok: bool) -> Event:
        of_type = self._type_of(root)
        if newer_ok:
            reduced, newer = of_type.without_newer(root)
            if newer and of_type.accepts(reduced, etree.tostring(reduced)):
                return Event(of_type, root, xml, newer)
        raise of_type.errors(root, xml, 1)[0]

    def _type_of(self, root: etree._Element) -> EventType:
        """Return the type of a document. Raises InvalidEvent if it is no Event with one known child."""
        line = line_of(root)
        if root.tag != EVENT_TAG:
            found = str(root.tag)
            reason = f"the root is {found}, expected {EVENT_TAG}"
            raise InvalidEvent("", path_of(root), reason, line, found=found, expected=EVENT_TAG)
        children = list(root.iterchildren(tag=etree.Element))
        if len(children) != 1:
            names = ", ".join(etree.QName(child).localname for child in children[:5])
            reason = (
                f"{len(children)} events ({names}), expected one" if children else "no event, expected one"
            )
            raise InvalidEvent("", path_of(root), reason, line, found=names or None, expected="one event")
        child = children[0]
        name = etree.QName(child)
        if name.namespace != EVENTS_NS:
            raise InvalidEvent(
                name.localname,
                path_of(child),
                f"the namespace is {name.namespace!r}, expected {EVENTS_NS!r}",
                line_of(child),
                found=name.namespace,
                expected=EVENTS_NS,
            )
        types = self._state().types
        of_type = types.get(name.localname)
        if of_type is None:
            reason = f"unknown event type{did_you_mean(name.localname, types)}"
            raise InvalidEvent(name.localname, path_of(child), reason, line_of(child), found=name.localname)
        return of_type

    def iter_errors(self, source: bytes | str | etree._Element) -> Iterator[InvalidEvent]:
        """Yield everything that is wrong with a document or tree, at most a hundred things.

        Raises:
            MalformedEvent: If it is no document that Clacks reads.
        """
        if isinstance(source, etree._Element):
            root, xml = (
                source,
                etree.tostring(source, encoding="UTF-8", xml_declaration=False, with_tail=False),
            )
        else:
            root, xml = read_document(source, self._limits)
        try:
            of_type = self._type_of(root)
        except InvalidEvent as error:
            yield error
            return
        if not of_type.accepts(root, xml):
            yield from of_type.errors(root, xml)

    def from_dict(self, kind: str, content: Mapping[str, Any]) -> Event:
        """Make an event of Python values, in the order of the schema.

        ``None`` leaves an optional element out; see ``Event.to_dict`` for the other way.

        Raises:
            InvalidEvent: If the type is unknown, a member is unknown, missing or wrong, or the schema
                refuses the result.
        """
        return self.event(eventjson.encode(content, self.type(kind).model, eventjson.PYTHON))

    def from_json(self, kind: str, fields: Mapping[str, Any]) -> Event:
        """Make an event of JSON values, in the order of the schema; see ``Event.to_json`` for the other way.

        Raises:
            InvalidEvent: As ``from_dict``.
        """
        return self.event(eventjson.encode(fields, self.type(kind).model, eventjson.JSON))

    def to_json(self, event: Event) -> dict[str, Any]:
        """Return the content of the event as JSON values."""
        return event.to_json()


def _plugin_folders() -> tuple[list[Path], tuple[SchemaError, ...]]:
    folders: list[Path] = []
    errors: list[SchemaError] = []
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda e: (e.name, e.value)):
        try:
            spec = importlib.util.find_spec(entry.module)
        except (ImportError, ValueError) as error:
            errors.append(SchemaError(f"entry point {entry.name} = {entry.value}", str(error)))
            continue
        if spec is None:
            reason = f"no package or module {entry.module}"
            errors.append(SchemaError(f"entry point {entry.name} = {entry.value}", reason))
        elif spec.submodule_search_locations is not None:
            folders += [Path(folder) for folder in spec.submodule_search_locations]
        elif spec.origin is not None:
            folders.append(Path(spec.origin).parent)
    return folders, tuple(errors)


def _event_type(
    file: SchemaFile, known: Mapping[Path, SchemaFile], shared: Sequence[SchemaFile]
) -> EventType:
    """Compile a type from its own files and, where schemas are open, all others that they may speak of."""
    own = closure(file, known)
    others = [other for other in shared if other not in own]
    if any(part.wildcards for part in own) or any(other.substitutes for other in others):
        try:
            return EventType(file, [*own, *others])
        except SchemaError:
            # Another file is at fault: it must not take this one with it.
            pass
    return EventType(file, own)


def _json_names(files: Sequence[SchemaFile]) -> dict[str, bool | None]:
    found: dict[str, set[bool]] = {}
    for file in files:
        for node in file.root.iter("{http://www.w3.org/2001/XMLSchema}element"):
            marked = eventjson.is_marked_json(node)
            found.setdefault(node.get("name", ""), set()).add(marked)
    return {name: None if len(marks) > 1 else True for name, marks in found.items() if True in marks}
