"""Schema files: find them, read them, and refuse the ones that cannot be part of the vocabulary.

A folder holds one file for each event type, named for its element (``PhoneStatus.xsd``), and files without
elements, which others of the same folder include. All share one namespace, so no two files may define the
same name. What a file says beyond that is the concern of ``schema.py``.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from clacks.common.errors import MalformedEvent, SchemaError
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema_model import EVENTS_NS
from clacks.common.xmltext import line_of, read_document

__all__ = ["SchemaFile", "Signature", "closure", "join", "read_folders", "signature_of"]

_X = "{http://www.w3.org/2001/XMLSchema}"
_VERSIONING = "{http://www.w3.org/2007/XMLSchema-versioning}minVersion"
_SPACES = {
    f"{_X}element": "element",
    f"{_X}complexType": "type",
    f"{_X}simpleType": "type",
    f"{_X}group": "group",
    f"{_X}attributeGroup": "attribute group",
    f"{_X}attribute": "attribute",
    f"{_X}notation": "notation",
}
_FILE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\.xsd")

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that tell of this process or machine, and not of the file: it will be readable again."""

Signature = tuple[tuple[str, int, int], ...]
"""Paths, modification times (ns) and sizes of all schema files: equal if nothing changed."""


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One schema file that is well-formed and in order by itself.

    Attributes:
        path: Where it was read.
        data: Its bytes.
        root: Its tree; read only.
        kind: The event type that it defines, or None for a file that others include.
        names: Kind and name of what it defines at the top, with the line.
        includes: Names of the files of the same folder that it includes.
        version_11: Whether it asks for XSD 1.1 by ``vc:minVersion``.
        wildcards: Whether it accepts elements or attributes that other files define.
        substitutes: Whether it defines elements that may stand for those of other files.
    """

    path: Path
    data: bytes
    root: etree._Element
    kind: str | None
    names: Mapping[tuple[str, str], int]
    includes: tuple[str, ...]
    version_11: bool
    wildcards: bool
    substitutes: bool


def signature_of(folders: Iterable[Path]) -> Signature:
    """Return what tells whether files came, went or changed. A folder that is missing counts as empty.

    Raises:
        OSError: This process can open nothing now; that says nothing of the folder.
    """
    found = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".xsd") and not entry.name.startswith("."):
                        state = entry.stat()
                        found.append((entry.path, state.st_mtime_ns, state.st_size))
        except OSError as error:
            if error.errno in _OURS:
                raise
            continue
    return tuple(sorted(found))


def read_folders(
    folders: Iterable[Path], limits: Limits = DEFAULT_LIMITS
) -> tuple[list[SchemaFile], list[SchemaError]]:
    """Read all schema files, folder by folder, each folder in the order of file names.

    Raises:
        OSError: This process can open nothing now.
    """
    files: list[SchemaFile] = []
    refused: list[SchemaError] = []
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            if error.errno in _OURS:
                raise
            refused.append(SchemaError(str(folder), error.strerror or "cannot be read"))
            continue
        for name in names:
            if not name.endswith(".xsd") or name.startswith("."):
                continue
            try:
                files.append(_read_file(folder / name, limits))
            except SchemaError as error:
                refused.append(error)
    return files, refused


def _read_file(path: Path, limits: Limits) -> SchemaFile:
    try:
        with path.open("rb") as stream:
            data = stream.read(limits.message_size + 1)
    except OSError as error:
        if error.errno in _OURS:
            raise
        raise SchemaError(str(path), error.strerror or "cannot be read") from None
    try:
        root, data = read_document(data, limits)
    except MalformedEvent as error:
        raise SchemaError(str(path), error.reason, error.line) from None
    if root.tag != f"{_X}schema":
        raise SchemaError(str(path), f"the root is {root.tag}, expected an XML Schema", line_of(root))
    if root.get("targetNamespace") != EVENTS_NS:
        found = root.get("targetNamespace")
        raise SchemaError(str(path), f"targetNamespace is {found!r}, expected {EVENTS_NS!r}", line_of(root))
    names = _names(path, root)
    return SchemaFile(
        path=path,
        data=data,
        root=root,
        kind=_kind(path, names),
        names=names,
        includes=_includes(path, root),
        version_11=(root.get(_VERSIONING) or "1.0").strip() >= "1.1",
        wildcards=any(
            node.get("processContents") != "skip" for node in root.iter(f"{_X}any", f"{_X}anyAttribute")
        ),
        substitutes=any(node.get("substitutionGroup") is not None for node in root.iter(f"{_X}element")),
    )


def _names(path: Path, root: etree._Element) -> dict[tuple[str, str], int]:
    names: dict[tuple[str, str], int] = {}
    for node in root.iterchildren(tag=etree.Element):
        space = _SPACES.get(str(node.tag))
        name = node.get("name")
        if space is None or name is None:
            continue
        line = line_of(node) or 0
        if (space, name) in names:
            raise SchemaError(str(path), f"{space} {name} is defined twice", line)
        if (space, name) == ("element", "Event"):
            raise SchemaError(
                str(path), "element Event is the root of all events and not to be defined", line
            )
        names[space, name] = line
    return names


def _kind(path: Path, names: Mapping[tuple[str, str], int]) -> str | None:
    elements = {name: line for (space, name), line in names.items() if space == "element"}
    if not elements:
        return None
    if path.stem in elements:
        return path.stem
    name, line = next(iter(elements.items()))
    raise SchemaError(
        str(path), f"element is {name}, but the file is named {path.name}: expected {name}.xsd", line
    )


def _includes(path: Path, root: etree._Element) -> tuple[str, ...]:
    found = []
    for node in root.iterchildren(f"{_X}include", f"{_X}import", f"{_X}redefine", f"{_X}override"):
        line = line_of(node)
        way = etree.QName(node).localname
        if way != "include":
            raise SchemaError(str(path), f"{way} is not allowed: all events share one namespace", line)
        location = node.get("schemaLocation") or ""
        if not _FILE_NAME.fullmatch(location):
            raise SchemaError(
                str(path), f"includes {location!r}, expected the name of a file of its own folder", line
            )
        if not (path.parent / location).is_file():
            raise SchemaError(str(path), f"includes {location}, which does not exist", line)
        found.append(location)
    return tuple(found)


def join(files: Iterable[SchemaFile]) -> tuple[list[SchemaFile], list[SchemaError]]:
    """Keep the files that define names of their own; the first to define a name has it.

    A file that repeats another word for word (a schema that was pulled from the bus, say) is passed over.
    """
    kept: list[SchemaFile] = []
    refused: list[SchemaError] = []
    owners: dict[tuple[str, str], SchemaFile] = {}
    for file in files:
        clash = next(((name, owners[name]) for name in file.names if name in owners), None)
        if clash is None:
            kept.append(file)
            owners.update(dict.fromkeys(file.names, file))
            continue
        (space, name), owner = clash
        if owner.path.name == file.path.name and owner.data == file.data:
            continue
        refused.append(
            SchemaError(
                str(file.path),
                f"{space} {name} is already defined in {owner.path} (line {owner.names[space, name]})",
                file.names[space, name],
            )
        )
    return kept, refused


def closure(file: SchemaFile, known: Mapping[Path, SchemaFile]) -> list[SchemaFile]:
    """Return the file and all that it includes, directly or not.

    Raises:
        SchemaError: If one of them was refused.
    """
    found = {file.path: file}
    waiting = [file]
    while waiting:
        current = waiting.pop()
        for name in current.includes:
            path = current.path.parent / name
            if path in found:
                continue
            included = known.get(path)
            if included is None:
                raise SchemaError(str(file.path), f"includes {name}, which is refused")
            found[path] = included
            waiting.append(included)
    return list(found.values())
