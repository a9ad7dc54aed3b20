from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.common.limits import DEFAULT_LIMITS
from clacks.dialects.actions import EventDraft, Failed, Failure, Publish, XmlDraft
from clacks.dialects.http.entries import MEDIA_TYPES, BadBody, read_body

from .asking import NS, Asker, phone

FIELDS = {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}
CLOUD = {"specversion": "1.0", "id": "1", "source": "/here", "type": "PhoneStatus", "data": FIELDS}


def drafts(asker: Asker) -> list[object]:
    return [effect.draft for effect in asker.effects if isinstance(effect, Publish)]


def test_an_event_as_xml():
    asker = Asker()
    assert asker.answer("POST", "/events", phone(), content_type="application/xml") == (
        202,
        {"status": 202, "id": "5-1"},
    )
    assert drafts(asker) == [XmlDraft(phone().encode())]


def test_several_events_as_xml():
    asker = Asker()
    body = f'<Events xmlns="{NS}">{phone("a")}{phone("b")}</Events>'
    status, answer = asker.answer("POST", "/events", body, content_type="text/xml; charset=UTF-8")
    assert (status, len(answer["events"])) == (202, 2)


def test_an_event_as_json():
    asker = Asker()
    body = json.dumps({"type": "PhoneStatus", "data": FIELDS})
    assert asker.answer("POST", "/events", body, content_type="application/json")[0] == 202
    assert drafts(asker) == [EventDraft("PhoneStatus", FIELDS)]


def test_many_events_are_answered_one_by_one():
    asker = Asker()
    asker.results["NodeLeave"] = Failed(Failure.FORBIDDEN, "no right")
    entries = [{"type": "PhoneStatus", "data": FIELDS}, {"type": "NodeLeave", "data": {"Id": "x"}}, 7]
    status, answer = asker.answer("POST", "/events", json.dumps(entries), content_type="application/json")
    assert status == 207
    assert [one["status"] for one in answer["events"]] == [202, 403, 422]
    assert answer["events"][1]["detail"] == "no right"


def test_stored_is_handed_on():
    asker = Asker()
    asker.answer("POST", "/events?stored=true", phone(), content_type="application/xml")
    (effect,) = asker.effects
    assert isinstance(effect, Publish)
    assert effect.stored
    assert asker.answer("POST", "/events?stored=perhaps", phone(), content_type="application/xml")[0] == 400


def test_a_cloud_event_in_structured_mode():
    asker = Asker()
    media = "application/cloudevents+json"
    assert asker.answer("POST", "/events", json.dumps(CLOUD), content_type=media)[0] == 202
    with_document = {**CLOUD, "datacontenttype": "application/xml", "data": phone()}
    assert asker.answer("POST", "/events", json.dumps(with_document), content_type=media)[0] == 202
    encoded = {key: value for key, value in with_document.items() if key != "data"}
    encoded["data_base64"] = base64.b64encode(phone().encode()).decode()
    assert asker.answer("POST", "/events", json.dumps(encoded), content_type=media)[0] == 202
    assert drafts(asker) == [EventDraft("PhoneStatus", FIELDS), *[XmlDraft(phone().encode())] * 2]


def test_cloud_events_in_a_batch():
    media = "application/cloudevents-batch+json"
    status, answer = Asker().answer("POST", "/events", json.dumps([CLOUD, CLOUD]), content_type=media)
    assert (status, len(answer["events"])) == (202, 2)


@pytest.mark.parametrize(
    ("media", "body", "draft"),
    [
        ("application/json", json.dumps(FIELDS), EventDraft("PhoneStatus", FIELDS)),
        ("application/xml", phone(), XmlDraft(phone().encode())),
    ],
)
def test_a_cloud_event_in_binary_mode(media, body, draft):
    asker = Asker()
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/x", "ce_type": "PhoneStatus"}
    assert asker.answer("POST", "/events", body, content_type=media, **headers)[0] == 202
    assert drafts(asker) == [draft]


@pytest.mark.parametrize(
    "wrong",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"source": None},
        {"type": 7},
        {"data_base64": "eA=="},
        {"data": 7},
        {"data": None, "data_base64": "?"},
        {"type": "NodeLeave", "data": "<Event/>", "datacontenttype": "application/xml"},
    ],
)
def test_a_cloud_event_that_is_none_is_422(wrong):
    body = json.dumps({**CLOUD, **wrong})
    status, answer = Asker().answer("POST", "/events", body, content_type="application/cloudevents+json")
    assert status == 422
    assert answer["detail"]


@pytest.mark.parametrize("missing", ["ce_id", "ce_source", "ce_type"])
def test_binary_mode_needs_its_headers(missing):
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/x", "ce_type": "PhoneStatus"}
    del headers[missing]
    status, answer = Asker().answer("POST", "/events", "{}", content_type="application/json", **headers)
    assert status == 422
    assert missing.replace("_", "-") in answer["detail"]


@pytest.mark.parametrize(
    ("media", "body", "status"),
    [
        ("application/json", "{", 400),
        ("application/json", "NaN", 400),
        ("application/json", "[" * 100_000, 400),
        ("application/json", b"\xff", 400),
        ("application/json", json.dumps([{}] * 1001), 413),
        ("application/cloudevents-batch+json", "{}", 400),
        ("application/xml", f'<Events xmlns="{NS}">' + "<Event/>" * 1001 + "</Events>", 413),
        ("application/xml", "<!DOCTYPE Events><Events/>", 400),
        ("application/xml; charset=latin1", phone(), 415),
        ("text/plain", phone(), 415),
        ("", phone(), 415),
        ("application/x-www-form-urlencoded", "a=b", 415),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(media, body, status):
    found, answer = Asker().answer("POST", "/events", body, content_type=media)
    assert found == status
    assert answer["status"] == status


def test_nobody_publishes_without_a_login():
    asker = Asker("")
    response = asker.ask("POST", "/events", phone(), content_type="application/xml")
    assert response.status == 401  # type: ignore[union-attr]
    assert "WWW-Authenticate" in response.headers
    assert asker.effects == []


headers = st.fixed_dictionaries(
    {"content-type": st.sampled_from(MEDIA_TYPES)},
    optional={
        "ce-specversion": st.just("1.0"),
        "ce-id": st.text(min_size=1),
        "ce-source": st.just("/x"),
        "ce-type": st.text(),
    },
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "data", "specversion", "id", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()), headers)
def test_no_body_breaks_the_reader(data, given_headers):
    try:
        body = read_body(data, given_headers, DEFAULT_LIMITS)
    except BadBody as error:
        found = error.status
    else:
        found = 0 if body.many else len(body.entries)
    assert found in (0, 1, 400, 413, 415)
