from __future__ import annotations

from pathlib import Path

import pytest

from clacks.common.schema import SchemaRegistry
from clacks.common.schema_model import ComplexType, ElementDecl, SimpleType
from tests.common.test_schema import schema, write

REGISTRY = SchemaRegistry([Path(__file__).parent / "data" / "mapping"], plugins=False)


def content(kind: str, *path: str) -> ComplexType:
    found = REGISTRY.model(kind).type
    for name in path:
        assert isinstance(found, ComplexType)
        found = found.members[name].type
    assert isinstance(found, ComplexType)
    return found


def model_of(folder: Path, text: str, kind: str = "Door") -> ElementDecl:
    write(folder, **{kind: schema(text)})
    registry = SchemaRegistry([folder], builtin=False, plugins=False)
    assert registry.refused == ()
    return registry.model(kind)


def occurrences(found: ComplexType) -> dict[str, tuple[int, int | None]]:
    return {name: (member.least, member.most) for name, member in found.members.items()}


def test_members_know_how_often_they_occur() -> None:
    assert occurrences(content("PuppetReport")) == {"Id": (1, 1), "PuppetLog": (1, None)}
    assert content("PuppetReport").members["PuppetLog"].repeated
    assert not content("PuppetReport").members["Id"].repeated
    assert content("PuppetReport", "PuppetLog").order == "all"
    assert content("PuppetReport").order == "sequence"


def test_simple_types_know_their_restrictions() -> None:
    member = content("LifePreserver").members["Priority"].type
    assert isinstance(member, SimpleType)
    assert (member.builtin, member.shape) == ("int", "integer")
    assert dict(member.facets.bounds) == {"minInclusive": "0", "maxInclusive": "10"}
    numbers = content("AsteriskNotification").members["From"].type
    assert isinstance(numbers, SimpleType)
    assert numbers.shape == "list"
    assert numbers.item is not None
    assert numbers.item.facets.patterns == (r"\+[0-9]{3,}",)
    kinds = content("AsteriskNotification").members["Type"].type
    assert isinstance(kinds, SimpleType)
    assert "QueueSummary" in kinds.facets.enumeration


def test_simple_content_has_text_and_attributes() -> None:
    detail = content("JobStatus", "Detail")
    assert detail.encodes
    assert detail.attributes["name"].required
    assert not detail.attributes["enc"].required
    assert detail.text is not None
    assert detail.text.keeps_space
    assert content("RealtimeReport", "Cpu", "Usage").text is not None


def test_groups_extensions_and_attribute_groups_are_joined() -> None:
    extended = content("Mapping", "extended")
    assert occurrences(extended) == {"a": (1, 1), "first": (1, 1), "more": (0, 1), "less": (0, 1)}
    assert list(extended.attributes) == ["kind"]
    assert extended.opaque == ""


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("mixed", "mixed content"),
        ("wild", "a wildcard"),
        ("repeatedChoice", "a repeated group"),
        ("twice", "an element at two places"),
        ("anything", "any content"),
    ],
)
def test_content_that_members_cannot_hold_says_why(member: str, why: str) -> None:
    assert content("Mapping", member).opaque == why


def test_a_repeated_group_of_one_element_is_a_repeated_element() -> None:
    assert occurrences(content("Mapping"))["trees"] == (0, None)
    assert content("Mapping").opaque == ""


def test_types_may_hold_themselves() -> None:
    tree = content("Mapping", "tree")
    assert tree.members["tree"].type is tree


def test_elements_may_hold_themselves(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        '<element name="Door"><complexType><sequence><element ref="e:Door" minOccurs="0"/></sequence>'
        "</complexType></element>",
    )
    assert isinstance(model.type, ComplexType)
    assert model.type.members["Door"].type is model.type
    assert (model.least, model.type.members["Door"].least) == (1, 0)


def test_a_type_derived_from_what_contains_it_is_opaque(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        '<complexType name="Door"><sequence><element name="inner" type="e:Inner" minOccurs="0"/></sequence>'
        '</complexType><complexType name="Inner"><complexContent><extension base="e:Door"/></complexContent>'
        '</complexType><element name="Door" type="e:Door"/>',
    )
    assert isinstance(model.type, ComplexType)
    inner = model.type.members["inner"].type
    assert isinstance(inner, ComplexType)
    assert inner.opaque == "a type derived from what contains it"


def test_an_element_that_others_may_stand_for_is_opaque(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        '<element name="Door"><complexType><sequence><element ref="e:Part"/></sequence></complexType>'
        "</element>"
        '<element name="Part" type="string"/><element name="Lock" type="string" substitutionGroup="e:Part"/>',
    )
    assert isinstance(model.type, ComplexType)
    assert model.type.opaque == "substitution"


def test_restrictions_of_complex_types_keep_their_attributes(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        '<complexType name="Base"><sequence><element name="a" type="int"/><element name="b" type="int" '
        'minOccurs="0"/></sequence><attribute name="x" type="int"/><attribute name="y" type="int"/>'
        "</complexType>"
        '<element name="Door"><complexType><complexContent><restriction base="e:Base"><sequence>'
        '<element name="a" type="int"/></sequence><attribute name="y" use="prohibited"/></restriction>'
        "</complexContent></complexType></element>",
    )
    assert isinstance(model.type, ComplexType)
    assert occurrences(model.type) == {"a": (1, 1)}
    assert list(model.type.attributes) == ["x"]


def test_names_follow_the_form_of_the_schema(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        '<element name="Door"><complexType><sequence><element name="a" form="unqualified" type="int"/>'
        '<element name="b" type="int"/></sequence><attribute name="x" form="qualified" type="int"/>'
        "</complexType></element>",
    )
    assert isinstance(model.type, ComplexType)
    namespace = "{http://www.gonicus.de/Events}"
    assert list(model.type.by_tag()) == ["a", f"{namespace}b"]
    assert list(model.type.attributes) == [f"{namespace}x"]


def test_an_element_that_must_not_occur_is_no_member(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        '<element name="Door"><complexType><sequence><element name="a" type="int" minOccurs="0" '
        'maxOccurs="0"/>'
        '<element name="b" type="int" minOccurs="2" maxOccurs="3"/></sequence></complexType></element>',
    )
    assert isinstance(model.type, ComplexType)
    assert occurrences(model.type) == {"b": (2, 3)}


def test_annotations_of_element_and_type_are_read_together(tmp_path: Path) -> None:
    c = 'xmlns:c="urn:clacks:annotations"'
    write(
        tmp_path,
        Door=schema(
            f'<complexType name="Door"><annotation><appinfo {c}><c:key>a</c:key><c:state>1</c:state>'
            '</appinfo></annotation><sequence><element name="a" type="int"/></sequence></complexType>'
            f'<element name="Door" type="e:Door"><annotation><documentation>Outer.</documentation>'
            f'<appinfo {c}><c:operation removed="gone lost" changed="moved">a</c:operation>'
            "<c:collection>doors</c:collection></appinfo></annotation></element>"
        ),
    )
    registry = SchemaRegistry([tmp_path], builtin=False, plugins=False)
    found = registry.annotations("Door")
    assert (found.key, found.state, found.operation, found.collection) == ("a", True, "a", "doors")
    assert found.operations == {"gone": "removed", "lost": "removed", "moved": "changed"}
    assert registry.documentation("Door") == "Outer."
