from __future__ import annotations

import resource
import threading
import zlib

import pytest
from lxml import etree

from clacks.common.errors import MalformedEvent
from clacks.common.limits import Limits
from clacks.common.xmltext import decode_text, encode_text, illegal_character, read_document
from tests.costs import cpu_seconds

BOMB = (
    b"<!DOCTYPE a [<!ENTITY x0 'ha'>"
    + b"".join(b"<!ENTITY x%d '%s'>" % (n, b"&x%d;" % (n - 1) * 10) for n in range(1, 12))
    + b"]>\n<a>&x11;</a>"
)


def refusal(data: bytes | str, limits: Limits | None = None) -> MalformedEvent:
    with pytest.raises(MalformedEvent) as caught:
        read_document(data, limits or Limits())
    assert caught.value.reason
    return caught.value


@pytest.mark.parametrize(
    ("data", "reason", "line"),
    [
        (b"", "the document is empty", None),
        (b" \n ", "the document is empty", None),
        (b"plain text", "Start tag expected, '<' not found", 1),
        (b"<a>\n<b></a>", "Opening and ending tag mismatch: b line 2 and a", 2),
        (b"<a>\n\n", "Premature end of data in tag a line 1", 3),
        (b"<a/><b/>", "Extra content at the end of the document", 1),
        (b"<a>\n&unknown;</a>", "Entity 'unknown' not defined", 2),
        (b"<a>\nx\0y</a>", "U+0000 is no character of XML", 2),
        (b"<a>\n\x01</a>", "PCDATA invalid Char value 1", 2),
        (b"<a>&#0;</a>", "xmlParseCharRef: invalid xmlChar value 0", 1),
        (b"<a>\n\xff</a>", "not UTF-8: byte 0xFF", 2),
        (b"<a>\xc3</a>", "not UTF-8: byte 0xC3", 1),
        (b"<a>\xed\xa0\x80</a>", "not UTF-8: byte 0xED", 1),
        (b"<a>\xc0\xaf</a>", "not UTF-8: byte 0xC0", 1),
        (b"<x:a/>", "Namespace prefix x on a is not defined", 1),
        ("<a>\n\ud800</a>", "U+D800 is no character", 2),
        ("<a>\0</a>", "U+0000 is no character of XML", 1),
    ],
)
def test_text_that_is_no_xml_is_refused_with_reason_and_line(
    data: bytes | str, reason: str, line: int | None
) -> None:
    error = refusal(data)
    assert error.reason.startswith(reason)
    assert error.line == line


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16", "utf-7", "utf-32", "cp037", "windows-1252"])
def test_other_encodings_are_refused(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><a>\u00e4</a>'
    refusal(text.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding: str) -> None:
    assert "UTF-16" in refusal("<a>x</a>".encode(encoding)).reason


def test_a_declared_encoding_is_named() -> None:
    error = refusal(b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>")
    assert str(error) == "not an event document: the encoding is ISO-8859-1, expected UTF-8 (line 1)"


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-8", "US-ASCII", "ascii"])
def test_utf_8_and_its_subset_may_be_declared(encoding: str) -> None:
    data = f"<?xml version='1.0' encoding='{encoding}'?>\n<a>x</a>".encode()
    root, kept = read_document(data)
    assert root.text == "x"
    assert kept == data


def test_a_byte_order_mark_is_taken_off() -> None:
    root, data = read_document(b"\xef\xbb\xbf<a>\xc3\xa4</a>")
    assert root.text == "\u00e4"
    assert data == b"<a>\xc3\xa4</a>"
    assert read_document("\ufeff<a/>")[1] == b"<a/>"


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_bytes_are_copied(kind: type) -> None:
    root, data = read_document(kind(b"<a>x</a>"))
    assert root.text == "x"
    assert type(data) is bytes


def test_text_may_have_a_declaration_of_any_encoding() -> None:
    root, data = read_document('<?xml version="1.0"\n encoding="ISO-8859-1"?>\n<a>\u00e4</a>')
    assert root.text == "\u00e4"
    assert root.sourceline == 3
    assert data.strip() == "<a>\u00e4</a>".encode()


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE a><a/>",
        b"<?xml version='1.0'?>\n<!-- c -->\n<?p i?> <!DOCTYPE a><a/>",
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        b"<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/x.dtd'> %x;]><a/>",
        BOMB,
    ],
)
def test_a_dtd_is_refused_before_it_is_parsed(data: bytes) -> None:
    error = refusal(data)
    assert error.reason == "a DTD is not allowed"
    assert error.line == data.count(b"\n", 0, data.index(b"<!DOCTYPE")) + 1
    assert cpu_seconds(lambda: refusal(data)) < 0.05


def test_the_word_doctype_in_a_text_is_no_dtd() -> None:
    root, _ = read_document(b"<a><![CDATA[<!DOCTYPE html>]]></a>")
    assert root.text == "<!DOCTYPE html>"


def test_the_search_for_a_dtd_is_linear() -> None:
    assert cpu_seconds(lambda: refusal(b"<?p?>" * 100_000 + b"<!DOCTYP<!DOCTYPE")) < 0.5
    assert cpu_seconds(lambda: refusal(b" " * 1_000_000 + b"<a><!DOCTYPE")) < 0.5


def test_comments_and_instructions_are_passed_over() -> None:
    root, _ = read_document(b"<?x y?><!-- c --><a>1<!-- c -->2<?p i?>3</a><!-- c -->")
    assert root.text == "123"
    assert len(root) == 0
    assert root.getprevious() is None


def test_a_large_document_is_refused_by_its_size() -> None:
    error = refusal(b"<a>" + b"x" * 100 + b"</a>", Limits(message_size=50))
    assert error.reason == "107 bytes, at most 50 are read"


def test_a_document_of_100_mb_costs_nothing() -> None:
    data = b"<a>" + b" " * 100_000_000 + b"</a>"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cpu_seconds(lambda: refusal(data)) < 0.1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


@pytest.mark.parametrize("depth", [201, 250, 300, 5000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    error = refusal(b"<a>" * depth + b"</a>" * depth)
    assert error.reason == "nested more than 200 deep"


def test_nesting_up_to_the_limit_is_read() -> None:
    root, _ = read_document(b"<a>" * 200 + b"</a>" * 200)
    assert root.tag == "a"


def test_a_flat_document_of_many_elements_is_not_deep() -> None:
    root, _ = read_document(b"<a>" + b"<b/>" * 5000 + b"</a>")
    assert len(root) == 5000


def test_too_many_tags_are_refused_before_a_tree_is_made() -> None:
    error = refusal(b"<a>" + b"<b/>" * 200_000 + b"</a>")
    assert error.reason == "200002 tags, at most 200000 are read"


def test_many_attributes_cost_linear_time() -> None:
    names = b" ".join(b"a%d=''" % number for number in range(100_000))
    assert cpu_seconds(lambda: read_document(b"<a " + names + b"/>")) < 2


def test_compressed_data_is_not_unpacked() -> None:
    refusal(zlib.compress(b"<a/>"))


def test_documents_can_be_read_in_several_threads() -> None:
    wrong: list[object] = []

    def read(number: int) -> None:
        for _ in range(300):
            root, _ = read_document(f"<a><b>{number}</b></a>")
            try:
                read_document(b"\n" * number + b"<a>")
            except MalformedEvent as error:
                if error.line != number + 1:
                    wrong.append(error)
            if root[0].text != str(number):
                wrong.append(etree.tostring(root))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["", "plain", "\0\x01\x1f", "\ufffe\uffff", "\ud800 \udfff", "\U0001f600\r\n"]
)
def test_every_text_survives_base64(text: str) -> None:
    assert decode_text(encode_text(text)) == text


@pytest.mark.parametrize("coded", ["?", "QQ", "/w==", "QUJ\u00e4"])
def test_what_is_no_base64_of_utf_8_is_none(coded: str) -> None:
    assert decode_text(coded) is None


def test_white_space_in_base64_is_ignored() -> None:
    assert decode_text(" QU\n JD ") == "ABC"


@pytest.mark.parametrize(
    ("text", "found"),
    [("a\tb\r\n\u00e4\ud7ff\ue000\ufffd\U0010ffff", None), ("a\0", "U+0000"), ("\x1b[0m", "U+001B"),
     ("\ufffe", "U+FFFE"), ("\ud800", "U+D800")],
)  # fmt: skip
def test_the_first_illegal_character_is_found(text: str, found: str | None) -> None:
    assert illegal_character(text) == found
