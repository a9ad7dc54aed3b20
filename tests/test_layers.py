"""Imports point down, and each third-party package has one door (STYLE 1, rules 4 and 5)."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from tests.rules import ROOT, holds_for_each, nodes

FILES = sorted((ROOT / "clacks").rglob("*.py"))

# From the ground up. What stands on one line are siblings: they do not know each other.
LAYERS = [
    ["clacks.common"],
    ["clacks.xquery", "clacks.amqp", "clacks.dialects", "clacks.web"],
    ["clacks.filters"],
    ["clacks.dialects.eventhub", "clacks.dialects.truenas", "clacks.dialects.sysadm", "clacks.dialects.http"],
    ["clacks.broker"],
    ["clacks.store"],
    ["clacks.net"],
    ["clacks.bus"],
    ["clacks.common.components", "clacks.agent", "clacks.client", "clacks.gateway", "clacks.sources"],
    ["clacks.cli"],
]

# Modules that stand lower than their folder: tables, sessions and codecs without input or output.
LOWER: dict[str, str] = {
    "clacks.agent.methods": "clacks.broker",
    "clacks.agent.nodes": "clacks.broker",
    "clacks.agent.clients": "clacks.broker",
    "clacks.agent.lifecycle": "clacks.broker",
}

# (importing module, imported module): why it may.
EXCEPTIONS: dict[tuple[str, str], str] = {}

# (module, what it imports of the network): why it may.
NETWORK_WORDS = {
    ("clacks.common.schema_explain", "urllib.request"): "an opener without handlers keeps xmlschema off it",
}

# Package: where it may be imported.
DOORS = {
    "dbus_fast": ["clacks.net"],
    "yaml": ["clacks.sources"],
    "proton": ["clacks.amqp"],
    "cproton_ffi": ["clacks.amqp"],
    "cproton": ["clacks.amqp"],
    "elementpath": ["clacks.xquery"],
    "xmlschema": ["clacks.common.schema"],
    "re2": ["clacks.xquery"],
    "scramp": ["clacks.amqp", "clacks.common.credentials"],
    "cryptography": ["clacks.net"],
    "socket": ["clacks.net"],
    "ssl": ["clacks.net"],
    "signal": ["clacks.net", "clacks.cli"],
    "sqlite3": ["clacks.store"],
    "redis": ["clacks.store"],
    "aiohttp": ["clacks.net.web"],
    "jwt": ["clacks.gateway.tokens"],
    "prometheus_client": ["clacks.common.exposition"],
    "opentelemetry": ["clacks.common.tracing", "clacks.net.tracing"],
    "psutil": ["clacks.agent", "clacks.client", "clacks.sources"],
    "typer": ["clacks.cli"],
    "rich": ["clacks.cli"],
    "setproctitle": ["clacks.cli"],
    "uvloop": ["clacks.net", "clacks.cli"],
}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports(file: Path) -> list[tuple[int, str]]:
    """Return line and full name of all imports, those inside functions included; not those for types only."""
    found: list[tuple[int, str]] = []
    only_types = {
        id(inner)
        for node in nodes(file)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in node.body
        for inner in ast.walk(child)
    }
    package = module_name(file) if file.name == "__init__.py" else module_name(file).rpartition(".")[0]
    for node in nodes(file):
        if id(node) in only_types:
            continue
        if isinstance(node, ast.Import):
            for name in node.names:
                found.append((node.lineno, name.name))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for name in node.names:
                found.append((node.lineno, f"{base}.{name.name}"))
    return found


def below(module: str, prefix: str) -> bool:
    """Tell whether a module is ``prefix``, inside it, or a part of it as ``schema_model`` of ``schema``."""
    return module == prefix or module.startswith((prefix + ".", prefix + "_"))


def layer(module: str) -> tuple[int, str]:
    """Return height and sibling of a module."""
    # What is imported from a module comes as its name and the name inside.
    module = LOWER.get(module) or LOWER.get(module.rpartition(".")[0]) or module
    found = [
        (len(name), height, name)
        for height, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert found, f"{module} stands in no layer"
    _, height, name = max(found)
    return height, name


def test_there_is_something_to_read() -> None:
    assert len(FILES) > 5
    assert ("clacks.common.errors.SettingsError") in [
        name for _, name in imports(ROOT / "clacks/common/address.py")
    ]


@holds_for_each(FILES)
def test_imports_point_down(file: Path) -> None:
    importer = module_name(file)
    if importer == "clacks":
        assert not imports(file), "the package itself imports nothing"
        return
    height, sibling = layer(importer)
    wrong = []
    for line, name in imports(file):
        if not name.startswith("clacks."):
            continue
        other_height, other = layer(name)
        upward = other_height > height or (other_height == height and other != sibling)
        if upward and not any(below(importer, one) and below(name, two) for one, two in EXCEPTIONS):
            wrong.append(f"{file.relative_to(ROOT)}:{line}: {sibling} must not know {name}")
    assert not wrong, "\n".join(wrong)


@holds_for_each(FILES)
def test_each_package_has_one_door(file: Path) -> None:
    importer = module_name(file)
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {package} belongs to {', '.join(DOORS[package])}"
        for line, name in imports(file)
        if (package := name.split(".")[0]) in DOORS
        and not any(below(importer, door) for door in DOORS[package])
    ]
    assert not wrong, "\n".join(wrong)


@holds_for_each(FILES)
def test_common_does_not_use_the_network(file: Path) -> None:
    if not module_name(file).startswith(("clacks.common", "clacks.xquery", "clacks.filters", "clacks.amqp")):
        return
    forbidden = {
        "asyncio",
        "socketserver",
        "http",
        "urllib.request",
        "multiprocessing",
        "select",
        "selectors",
    }
    if module_name(file).startswith("clacks.common.components"):
        forbidden.discard("asyncio")
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for line, name in imports(file)
        if any(name == module or name.startswith(module + ".") for module in forbidden)
        and not any(module_name(file) == one and below(name, two) for one, two in NETWORK_WORDS)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_page_on_the_design_shows_the_layers_as_they_are() -> None:
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    rows = page.partition("```text\n")[2].partition("```")[0].splitlines()
    shown = []
    for row in reversed(rows):
        names: list[str] = []
        for name in row[:55].split():
            # ".truenas" is what begins as the one before it.
            names.append(names[-1].rpartition(".")[0] + name if name.startswith(".") else f"clacks.{name}")
        shown.append(sorted(names))
    assert shown == [sorted(names) for names in LAYERS]


def test_every_exception_is_still_needed() -> None:
    used = {
        (one, two)
        for file in FILES
        for _, name in imports(file)
        for one, two in EXCEPTIONS
        if below(module_name(file), one) and below(name, two)
    }
    assert used == set(EXCEPTIONS)
