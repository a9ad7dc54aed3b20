"""libxml2 says the fast yes: it may never accept what xmlschema refuses (DESIGN, decision 5).

``CLACKS_EXAMPLES`` sets the number of documents in all; ordinary runs take 500.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from clacks.common.schema import SchemaRegistry
from clacks.common.schema_explain import NO_VERDICT
from clacks.common.schema_model import EVENTS_NS, ComplexType, SimpleType
from clacks.common.xmltext import read_document
from tests.common.instances import EDGES, broken, events

DATA = Path(__file__).parent / "data" / "agreement"
SPACES = set("\x85\u00a0\u2003\u2028")
REGISTRY = SchemaRegistry(plugins=False)
KINDS = sorted(REGISTRY.kinds)
EXAMPLES = max(1, int(os.environ.get("CLACKS_EXAMPLES", "500")) // len(KINDS))
MANY = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def accepted_by_xmlschema(kind: str, root: etree._Element) -> bool:
    explainer = REGISTRY.type(kind).explainer()
    assert explainer is not None
    errors = explainer.errors(root, 1)
    # Years beyond its reach: it breaks off and says nothing about the document.
    return not errors or errors[0].reason.startswith(NO_VERDICT)


def edges(of_type: SimpleType) -> list[str]:
    return sorted({text for texts in EDGES.values() for text in texts} | set(of_type.facets.enumeration))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Builtins", "Facets"])
def test_the_edges_of_all_types_of_xml_schema_agree(kind: str) -> None:
    registry = SchemaRegistry([DATA], builtin=False, plugins=False)
    of_type = registry.type(kind)
    explainer = of_type.explainer()
    assert explainer is not None
    content = of_type.model.type
    assert isinstance(content, ComplexType)
    disagreed: list[tuple[str, str, str]] = []
    verdicts = {True: 0, False: 0}
    for member in content.members.values():
        member_type = member.type if isinstance(member.type, SimpleType) else member.type.text
        assert member_type is not None
        for text in edges(member_type):
            root = etree.Element(f"{{{EVENTS_NS}}}Event", nsmap={None: EVENTS_NS})  # type: ignore[dict-item]
            place = etree.SubElement(etree.SubElement(root, f"{{{EVENTS_NS}}}{kind}"), member.tag)
            place.text = text
            root = reread(root)
            verdict = of_type.accepts(root, etree.tostring(root))
            verdicts[verdict] += 1
            # xmlschema collapses more than the white space of XML; libxml2 is right there.
            if verdict and not SPACES & set(text):
                errors = explainer.errors(root, 1)
                if errors and not errors[0].reason.startswith(NO_VERDICT):
                    disagreed.append((member.name, text, errors[0].reason))
    assert disagreed == []
    assert min(verdicts.values()) > 500


def reread(root: etree._Element) -> etree._Element:
    return read_document(etree.tostring(root, encoding="UTF-8"))[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_both_accept_generated_events(kind: str) -> None:
    @MANY
    @given(events(REGISTRY, kind))
    def check(root: etree._Element) -> None:
        root = reread(root)
        assert REGISTRY.receive(etree.tostring(root)).kind == kind
        assert accepted_by_xmlschema(kind, root)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_libxml2_never_accepts_what_xmlschema_refuses(kind: str) -> None:
    refused = 0

    @MANY
    @given(broken(REGISTRY, kind))
    def check(root: etree._Element) -> None:
        nonlocal refused
        root = reread(root)
        if REGISTRY.type(kind).accepts(root, etree.tostring(root)):
            assert accepted_by_xmlschema(kind, root), etree.tostring(root)
        else:
            refused += 1
            errors = list(REGISTRY.iter_errors(root))
            assert errors
            assert all(error.path.startswith("/") and error.reason for error in errors)

    check()
    assert refused, "the generator breaks nothing"


def test_the_check_would_notice_a_validator_that_accepts_everything() -> None:
    """The property is not empty: xmlschema does refuse generated documents."""

    @settings(max_examples=50, deadline=None, database=None, derandomize=True)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        root = reread(data.draw(broken(REGISTRY, "NodeStatus")))
        verdicts.add(accepted_by_xmlschema("NodeStatus", root))

    verdicts: set[bool] = set()
    check()
    assert verdicts == {True, False}
