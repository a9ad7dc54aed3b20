from __future__ import annotations

import logging
from typing import Any

import pytest
from lxml import etree

from clacks.agent.command import Command, CommandRegistry, CommandType
from clacks.common.errors import CommandError, CommandRefused, ConnectionLost
from clacks.common.event import Event, EventMaker
from clacks.common.jsonrpc import (
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_EVENT,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNAVAILABLE,
    Request,
)
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry

SCHEMAS = SchemaRegistry()
RIGHTS = parse_rights(
    """
    [users.admin]
    roles = ["admin"]
    [users.jane]
    roles = ["desk"]
    [users.gate]
    roles = ["gate"]
    [roles.desk]
    publish = ["Phone*"]
    commands = ["getMethods", "getSessionUser", "sendEvent", "missing"]
    [roles.gate]
    impersonate = ["jane"]
    """
)


def make(sent: list[Event] | None = None, **options: Any) -> CommandRegistry:
    return CommandRegistry(
        publish=(sent if sent is not None else []).append, rights=RIGHTS, registry=SCHEMAS, **options
    )


def phone_status() -> str:
    e = EventMaker(SCHEMAS)
    return etree.tostring(
        e.Event(e.PhoneStatus(e.CallerId("012345"), e.ReceiverId("12343424"), e.Status("busy"))),
        encoding="unicode",
    )


def refusal(commands: CommandRegistry, request: Request, user: str | None, *rest: Any) -> CommandError:
    with pytest.raises(CommandError) as error:
        commands.dispatch(request, user, *rest)
    return error.value


class Lamp:
    """A source of commands."""

    @property
    def broken(self) -> str:
        raise AssertionError("nobody asked for this property")

    @Command(needs_user=True, queue="lamps", type=CommandType.CUMULATIVE)
    def dim(self, user: str, percent: int = 50) -> str:
        """Dim the lamp.

        All the way down to 0.
        """
        return f"{user}: {percent}"

    @Command(needs_user=True, needs_deadline=True)
    def until(self, user: str, deadline: float | None, what: str) -> list[Any]:
        return [user, deadline, what]

    @Command(name="lamp.fail")
    def fail(self) -> None:
        raise FileNotFoundError(2, "No such file", "/etc/secret/lamp.conf")

    @Command
    def say(self) -> None:
        raise CommandError(17, "the bulb is gone", {"bulb": 3})

    @Command
    def lost(self) -> None:
        raise ConnectionLost("the broker went away")

    def hidden(self) -> None:
        raise AssertionError("not a command")


def test_a_command_that_wants_it_learns_when_its_caller_stops_waiting() -> None:
    commands = make()
    commands.register(Lamp())
    for deadline in (12.5, None):
        request = Request("until", ("dawn",), deadline=deadline)
        assert commands.dispatch(request, "admin") == ["admin", deadline, "dawn"]


# -- what is there


def test_the_first_commands_are_there() -> None:
    assert set(make().commands) == {"getMethods", "getNodes", "getSchemas", "getSessionUser", "sendEvent"}


def test_methods_of_an_object_are_registered_by_their_mark() -> None:
    commands = make()
    commands.register(Lamp())
    dim = commands.commands["dim"]
    assert (dim.queue, dim.type, dim.needs_user) == ("lamps", CommandType.CUMULATIVE, True)
    assert dim.signature.text == "(percent: integer = 50) -> text"
    assert dim.documentation == "Dim the lamp.\n\nAll the way down to 0."
    assert commands.commands["until"].signature.text == "(what: text) -> list[any]"
    assert "lamp.fail" in commands.commands
    assert "hidden" not in commands.commands


def test_a_marked_function_is_a_command_too() -> None:
    @Command
    def double(number: int) -> int:
        return 2 * number

    commands = make()
    commands.register(double)
    assert commands.dispatch(Request("double", (4,)), "admin") == 8


def test_cumulative_is_spelt_on_the_wire_as_peers_spell_it() -> None:
    assert CommandType.CUMULATIVE.value == "CUMMULATIVE"


def test_a_name_cannot_be_taken_twice() -> None:
    commands = make()
    commands.register(Lamp())
    with pytest.raises(ValueError, match="already a command 'dim'"):
        commands.register(Lamp())


def test_an_object_without_commands_is_refused() -> None:
    with pytest.raises(TypeError, match="no command"):
        make().register(object())


def test_a_coroutine_function_cannot_be_a_command() -> None:
    @Command
    async def wait() -> None: ...

    with pytest.raises(TypeError, match="plain functions"):
        make().register(wait)


# -- who may


def test_a_call_without_user_is_refused() -> None:
    for nobody in (None, ""):
        assert refusal(make(), Request("getSessionUser"), nobody).code == FORBIDDEN


def test_a_command_that_the_rights_do_not_cover_is_refused() -> None:
    assert refusal(make(), Request("getNodes"), "jane").code == FORBIDDEN
    assert refusal(make(), Request("getSessionUser"), "mallory").code == FORBIDDEN


def test_who_may_not_call_a_method_does_not_learn_whether_it_exists() -> None:
    there = refusal(make(), Request("getSchemas"), "jane")
    away = refusal(make(), Request("getNothing"), "jane")
    assert there.code == away.code == FORBIDDEN


def test_an_unknown_method_is_not_found() -> None:
    assert refusal(make(), Request("missing"), "jane").code == METHOD_NOT_FOUND


@pytest.mark.parametrize("name", ["__init__", "dispatch", "register", "_caller", "rights", ""])
def test_what_is_not_a_command_cannot_be_reached_by_its_name(name: str) -> None:
    assert refusal(make(), Request(name), "admin").code == METHOD_NOT_FOUND


def test_a_command_of_another_queue_is_not_found() -> None:
    commands = make()
    commands.register(Lamp())
    assert commands.dispatch(Request("dim"), "admin", queue="lamps") == "admin: 50"
    with pytest.raises(CommandError) as error:
        commands.dispatch(Request("dim"), "admin", queue="core")
    assert error.value.code == METHOD_NOT_FOUND


def test_new_rights_count_from_the_next_call() -> None:
    commands = make()
    commands.rights = parse_rights("")
    assert refusal(commands, Request("getSessionUser"), "admin").code == FORBIDDEN


# -- in whose name


def test_a_gateway_may_speak_for_a_user_that_it_may_impersonate() -> None:
    assert make().dispatch(Request("getSessionUser"), "gate", "jane") == "jane"


def test_a_gateway_may_not_speak_for_anybody_else() -> None:
    assert refusal(make(), Request("getSessionUser"), "gate", "admin").code == FORBIDDEN


def test_a_user_may_not_speak_for_another() -> None:
    assert refusal(make(), Request("getSessionUser"), "jane", "admin").code == FORBIDDEN


def test_who_is_spoken_for_lends_only_its_own_rights() -> None:
    commands = make()
    commands.rights = parse_rights(
        '[users.gate]\nroles = ["admin"]\n[users.jane]\nroles = ["r"]\n[roles.r]\ncommands = ["getMethods"]'
    )
    assert refusal(commands, Request("getNodes"), "gate", "jane").code == FORBIDDEN


# -- arguments and failures


def test_wrong_arguments_are_invalid_params() -> None:
    assert refusal(make(), Request("sendEvent"), "admin").code == INVALID_PARAMS
    assert refusal(make(), Request("sendEvent", (1,)), "admin").code == INVALID_PARAMS
    assert refusal(make(), Request("sendEvent", {"user": "jane", "data": ""}), "admin").code == INVALID_PARAMS


def test_what_a_command_wants_to_say_reaches_the_caller() -> None:
    commands = make()
    commands.register(Lamp())
    error = refusal(commands, Request("say"), "admin")
    assert (error.code, error.message, error.data) == (17, "the bulb is gone", {"bulb": 3})


def test_a_failing_command_tells_the_caller_no_paths_and_the_log_everything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    commands = make(node="desk-1")
    commands.register(Lamp())
    with caplog.at_level(logging.ERROR):
        error = refusal(commands, Request("lamp.fail"), "admin")
    assert error.code == INTERNAL_ERROR
    assert "FileNotFoundError" in error.message
    assert "desk-1" in error.message
    assert "/etc/secret" not in str(error)
    (record,) = caplog.records
    assert record.exc_text is not None
    assert "/etc/secret/lamp.conf" in record.exc_text
    assert error.message.split()[-1] in record.getMessage()


def test_a_bus_that_is_gone_makes_a_command_unavailable() -> None:
    commands = make()
    commands.register(Lamp())
    assert refusal(commands, Request("lost"), "admin").code == UNAVAILABLE


# -- sendEvent and the others


def test_a_valid_event_is_published() -> None:
    sent: list[Event] = []
    assert make(sent).dispatch(Request("sendEvent", (phone_status(),)), "jane") is None
    assert [event.kind for event in sent] == ["PhoneStatus"]
    assert sent[0].to_dict() == {"CallerId": "012345", "ReceiverId": "12343424", "Status": "busy"}


def test_an_invalid_event_is_refused_with_path_and_reason_and_nothing_is_sent() -> None:
    sent: list[Event] = []
    broken = phone_status().replace("<Status>busy</Status>", "<Statsu>busy</Statsu>")
    error = refusal(make(sent), Request("sendEvent", (broken,)), "jane")
    assert isinstance(error, CommandRefused)
    assert error.code == INVALID_EVENT
    assert isinstance(error.data, dict)
    assert error.data["kind"] == "PhoneStatus"
    assert error.data["path"].startswith("/Event/PhoneStatus")
    assert "Statsu" in error.data["reason"]
    assert error.data["path"] in error.message
    assert sent == []


@pytest.mark.parametrize(
    "data",
    [
        "",
        "not XML",
        "<Event xmlns='http://www.gonicus.de/Events'/>",
        "<!DOCTYPE Event [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Event>&a;</Event>",
    ],
)
def test_what_is_no_event_is_refused_and_nothing_is_sent(data: str) -> None:
    sent: list[Event] = []
    assert refusal(make(sent), Request("sendEvent", (data,)), "jane").code == INVALID_EVENT
    assert sent == []


def test_an_event_type_that_the_user_may_not_publish_is_refused_and_nothing_is_sent() -> None:
    sent: list[Event] = []
    leave = "<Event xmlns='http://www.gonicus.de/Events'><NodeLeave><Id>n</Id></NodeLeave></Event>"
    error = refusal(make(sent), Request("sendEvent", (leave,)), "jane")
    assert error.code == FORBIDDEN
    assert "NodeLeave" in error.message
    assert sent == []


def test_get_methods_lists_what_the_caller_may_use() -> None:
    methods = make().dispatch(Request("getMethods"), "jane")
    assert set(methods) == {"getMethods", "getSessionUser", "sendEvent"}
    assert (
        methods["sendEvent"]["signature"] == "sendEvent(data: text, stored: boolean = False) -> text | null"
    )
    assert methods["sendEvent"]["documentation"].startswith("Publish an event")


def test_get_nodes_names_this_node_until_a_table_is_given() -> None:
    assert make(node="n1").dispatch(Request("getNodes"), "admin") == {"n1": {}}
    table = {"n1": {"load": 0.5}, "n2": {"load": 1.5}}
    assert make(node="n1", nodes=lambda: table).dispatch(Request("getNodes"), "admin") == table


def test_get_schemas_gives_the_text_of_every_event_type() -> None:
    schemas = make().dispatch(Request("getSchemas"), "admin")
    assert set(schemas) >= SCHEMAS.kinds
    assert "CallerId" in schemas["PhoneStatus"]
