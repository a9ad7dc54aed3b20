from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clacks.common.errors import SettingsError
from clacks.common.rights import Rights, add_user, parse_rights, remove_user

FILE = """
# who works here
[users.jane]
roles = ["desk", "night"]  # both

[users."O=org,CN=client1"]
roles = ["night"]

[users.root]
roles = ["admin"]

[roles.desk]
publish = ["PhoneStatus", "Asterisk*"]
commands = ["getMethods"]
create = ["org.example.*"]

[roles.night]
read = ["*"]
announce = ["desk-[0-9]"]
"""


def test_admin_may_do_everything() -> None:
    rights = parse_rights(FILE)
    assert rights.may_publish("root", "Anything")
    assert rights.may_read("root", "Anything")
    assert rights.may_call("root", "anything")
    assert rights.may_create("root", "any.address")
    assert rights.may_announce("root", "any-id")
    assert rights.may_impersonate("root")
    assert rights.may_impersonate("root", "jane")


def test_who_is_not_named_may_do_nothing() -> None:
    for rights in (Rights(), parse_rights(""), parse_rights(FILE)):
        assert not rights.may_publish("nobody", "PhoneStatus")
        assert not rights.may_read("nobody", "PhoneStatus")
        assert not rights.may_call("nobody", "getMethods")
        assert not rights.may_create("nobody", "a")
        assert not rights.may_announce("nobody", "a")
        assert not rights.may_impersonate("nobody")


def test_a_user_has_the_sum_of_its_roles() -> None:
    rights = parse_rights(FILE)
    assert rights.may_publish("jane", "PhoneStatus")
    assert rights.may_read("jane", "PhoneStatus")
    assert rights.may_announce("jane", "desk-7")
    assert not rights.may_impersonate("jane")


def test_globs_cover_whole_texts_and_mind_capitals() -> None:
    rights = parse_rights(FILE)
    assert rights.may_publish("jane", "AsteriskNotification")
    assert not rights.may_publish("jane", "asteriskNotification")
    assert not rights.may_publish("jane", "PhoneStatus2")
    assert not rights.may_publish("jane", "PhoneStatus\n")
    assert not rights.may_publish("jane", "NodeLeave")
    assert not rights.may_announce("jane", "desk-77")
    assert rights.may_create("jane", "org.example.a.b")
    assert not rights.may_create("jane", "org.example")


def test_users_may_be_certificate_subjects() -> None:
    assert parse_rights(FILE).may_read("O=org,CN=client1", "X")


def test_builtin_roles_but_admin_may_be_written_anew() -> None:
    rights = parse_rights('[users.r]\nroles=["reader"]\n[roles.reader]\nread=["A"]')
    assert rights.may_read("r", "A")
    assert not rights.may_read("r", "B")
    with pytest.raises(SettingsError, match="admin"):
        parse_rights("[roles.admin]\nread=[]")


def test_impersonation_may_be_for_some_only() -> None:
    rights = parse_rights('[users.gw]\nroles=["gw"]\n[roles.gw]\nimpersonate=["web-*"]')
    assert rights.may_impersonate("gw")
    assert rights.may_impersonate("gw", "web-1")
    assert not rights.may_impersonate("gw", "root")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[users.a]\nroles = ['x']", "does not exist"),
        ("[users.a]\nrole = ['admin']", "unknown key 'role'"),
        ("[roles.a]\npublsh = ['x']", "unknown key 'publsh'"),
        ("[roles.a]\npublish = 'x'", "list of texts"),
        ("[roles.a]\npublish = [1]", "list of texts"),
        ("[roles.a]\npublish = ['']", "list of texts"),
        ("[user.a]\n", "unknown table"),
        ("users = 1", "must be tables"),
        ("[users]\na = 1", "must be a table"),
        ("[users.a", "Expected"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word) as caught:
        parse_rights(text, "r.toml")
    assert str(caught.value).startswith("r.toml: ")


def test_with_user_adds_one_and_keeps_the_others() -> None:
    rights = Rights().with_user("a", ["admin"]).with_user("b", ["reader"])
    assert rights.may_publish("a", "X")
    assert rights.may_read("b", "X")
    assert not rights.may_publish("b", "X")
    with pytest.raises(SettingsError):
        rights.with_user("c", ["nosuch"])


def test_adding_and_removing_a_user_keeps_the_rest_of_the_file() -> None:
    added = add_user(FILE, "joe", ["desk", "admin"])
    assert parse_rights(added).users["joe"] == ("desk", "admin")
    assert "# who works here" in added
    assert "# both" in added
    assert remove_user(added, "joe").split() == FILE.split()
    without = remove_user(FILE, "O=org,CN=client1")
    assert set(parse_rights(without).users) == {"jane", "root"}
    assert "[roles.desk]" in without


def test_adding_a_user_that_is_there_changes_its_roles() -> None:
    text = add_user(add_user("", "a", ["reader"]), "a", ["admin"])
    assert text.count("[users") == 1
    assert parse_rights(text).users == {"a": ("admin",)}


def test_removing_a_stranger_changes_nothing() -> None:
    assert remove_user(FILE, "nobody") == FILE


def test_a_list_over_several_lines_is_removed_with_its_user() -> None:
    text = '[users.a]\nroles = [\n "admin",\n "reader",\n]\n[users.b]\nroles=[]\n'
    assert remove_user(text, "a") == "[users.b]\nroles=[]\n"


def test_a_user_in_a_table_of_tables_is_for_a_person_to_remove() -> None:
    with pytest.raises(SettingsError, match="by hand"):
        remove_user("[users]\na = {roles = []}\n", "a")


@settings(max_examples=40)
@given(
    st.text(min_size=1, max_size=20).filter(
        lambda name: not any(0xD800 <= ord(sign) <= 0xDFFF for sign in name)
    )
)
def test_any_name_can_be_added_and_removed(name: str) -> None:
    text = add_user(FILE, name, ["night"])
    assert parse_rights(text).users[name] == ("night",)
    assert name not in parse_rights(remove_user(text, name)).users


def test_a_question_costs_less_than_a_microsecond_or_two() -> None:
    rights = parse_rights(FILE)
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(5000):
            rights.may_publish("jane", "AsteriskNotification")
        best = min(best, (time.process_time() - start) / 5000)
    assert best < 5e-6
