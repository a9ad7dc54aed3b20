"""The house rules that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from lxml import etree

from tests.rules import ROOT, holds_for_each, nodes, tree

LIBRARY = sorted((ROOT / "clacks").rglob("*.py"))
SCHEMAS = sorted((ROOT / "clacks" / "common" / "data" / "events").glob("*.xsd"))
XSD = "{http://www.w3.org/2001/XMLSchema}"

# Where a broad "except" stands, and why.
BROAD_EXCEPTS = {
    "clacks/common/command.py": "around a command, somebody else's code: the caller gets an answer",
    "clacks/bus/serving.py": "around the handler of a call, somebody else's code: the caller gets an answer",
    "clacks/filters/index.py": "around a query of somebody else: a fault of the engine concerns it alone",
    "clacks/common/plugins.py": "around loading a plug-in, somebody else's code: the others are loaded",
    "clacks/common/components/consumer.py": "around a callback, somebody else's code: the consumer lives on",
    "clacks/cli/main.py": "the last line of defence: a traceback is not what a user should see",
}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def stated_names(module: ast.Module) -> list[str] | None:
    """Return ``__all__``, or None if the module has none."""
    for node in module.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            value = node.value  # type: ignore[union-attr]  # it is one of the two
            assert isinstance(value, ast.List | ast.Tuple), "__all__ is a plain list"
            return [ast.literal_eval(item) for item in value.elts]
    return None


@holds_for_each(LIBRARY)
def test_every_module_states_its_public_names(file: Path) -> None:
    module = tree(file)
    if file.name == "__init__.py" and not module.body:
        return
    if file.name == "__init__.py" and all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in module.body
    ):
        return
    names = stated_names(module)
    assert names is not None, f"{name(file)} has no __all__"
    assert len(names) == len(set(names))
    if file.name != "__init__.py":
        assert ast.get_docstring(module), f"{name(file)} does not say what it is"


@holds_for_each(LIBRARY)
def test_every_public_name_exists_and_has_a_docstring(file: Path) -> None:
    if file.name == "__init__.py":
        return  # re-exports have theirs where they are defined
    module = tree(file)
    defined = {
        node.name: node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    imported = {
        alias.asname or alias.name
        for node in module.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assigned = {
        target.id
        for node in nodes(file)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for public in stated_names(module) or []:
        assert public in defined or public in imported or public in assigned, (
            f"{name(file)}: {public} is not there"
        )
        node = defined.get(public)
        if node is None:
            continue
        assert ast.get_docstring(node), f"{name(file)}: {public} has no docstring"
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith(
                    "_"
                ):
                    overloaded = any(
                        "overload" in ast.unparse(mark) or ".setter" in ast.unparse(mark)
                        for mark in method.decorator_list
                    )
                    assert ast.get_docstring(method) or overloaded, f"{name(file)}: {public}.{method.name}"


@holds_for_each(LIBRARY)
def test_the_library_does_not_print_or_configure_logging(file: Path) -> None:
    if name(file).startswith("clacks/cli/"):
        return
    for node in nodes(file):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "logging.basicConfig", "logging.config.dictConfig"), (
                f"{name(file)}:{node.lineno}"
            )


@holds_for_each(LIBRARY)
def test_broad_excepts_stand_in_few_places(file: Path) -> None:
    broad = [
        node.lineno
        for node in nodes(file)
        if isinstance(node, ast.ExceptHandler)
        and ast.unparse(node.body[-1]) != "raise"  # it cleans up and hides nothing
        and (node.type is None or re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))
    ]
    assert not broad or name(file) in BROAD_EXCEPTS, f"{name(file)}: broad except in lines {broad}"


def test_the_list_of_broad_excepts_is_no_longer_than_needed() -> None:
    for file in BROAD_EXCEPTS:
        text = (ROOT / file).read_text("utf-8") if (ROOT / file).exists() else ""
        assert re.search(r"except \(?(Base)?Exception", text), f"{file} has none any more"


def test_no_finalizer_method_is_used() -> None:
    for file in LIBRARY:
        for node in nodes(file):
            assert not (isinstance(node, ast.FunctionDef) and node.name == "__del__"), name(file)


@holds_for_each([*LIBRARY, *sorted((ROOT / "tests").rglob("*.py"))])
def test_every_file_has_modern_annotations(file: Path) -> None:
    module = tree(file)
    if module.body and file.name != "__init__.py":
        assert any(
            isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in module.body
        ), f"{name(file)}: from __future__ import annotations"


@holds_for_each(SCHEMAS)
def test_every_schema_is_named_for_its_element_and_documented(file: Path) -> None:
    schema = etree.parse(file, etree.XMLParser(resolve_entities=False, no_network=True)).getroot()
    elements = schema.findall(f"{XSD}element")
    assert [element.get("name") for element in elements] == [file.stem]
    types = schema.findall(f"{XSD}complexType")
    texts = [node.text or "" for holder in (*elements, *types) for node in holder.iter(f"{XSD}documentation")]
    assert any(len(text.split()) >= 8 for text in texts), (
        "it does not say who sends it, when, and what it means"
    )
    for helper in (*types, *schema.findall(f"{XSD}simpleType")):
        assert (helper.get("name") or "").startswith(file.stem) or helper.get("name") in _INHERITED_TYPES


# Names of helper types that existing installations know without the prefix of their event.
_INHERITED_TYPES: set[str] = set()


def test_metadata_stands_in_one_place() -> None:
    module = tree(ROOT / "setup.py")
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    assert [ast.unparse(call) for call in calls] == ["setup()"]


def test_packages_whose_insides_we_use_are_pinned_to_the_minor_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for package in ("python-qpid-proton", "elementpath"):
        (line,) = [item for item in project["dependencies"] if re.match(package + r"\b", item)]
        assert re.fullmatch(package + r"~=\d+\.\d+\.\d+", line), line


def test_what_the_library_imports_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(x for e, xs in extras.items() if e not in ("test", "dev", "docs") for x in xs),
    ]
    given = {re.match(r"[A-Za-z0-9_-]+", item)[0] for item in wanted}  # type: ignore[index]
    names = {
        "proton": "python-qpid-proton",
        "re2": "google-re2",
        "cproton_ffi": "python-qpid-proton",
        "opentelemetry": "opentelemetry-api",
        "jwt": "PyJWT",
        "yaml": "PyYAML",
    }
    for file in LIBRARY:
        for node in nodes(file):
            found = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for module in found:
                package = module.split(".")[0]
                if package in sys.stdlib_module_names or package == "clacks":
                    continue
                wanted_name = names.get(package, package.replace("_", "-"))
                assert wanted_name in given, f"{name(file)} imports {package}"


def test_nothing_names_the_place_where_it_was_written() -> None:
    words = re.compile(
        "/" + "work/|" + r"\.\./" + "shared|deb.debian.org|registry.npmjs|pythonhosted|pypi.org/simple"
    )
    allowed = {".ci/run"}  # it looks for the W3C tests beside the checkout
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    for file in files:
        path = ROOT / file
        if file in allowed or file == "tests/test_house.py" or not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        assert not words.search(text), f"{file}: {words.search(text)}"
