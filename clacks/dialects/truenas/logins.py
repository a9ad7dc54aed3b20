"""Methods ``auth.*``: every way that clients know to log in, and what there is to know of the login.

Passwords and keys in the clear are taken over TLS, on loopback and on a socket in the file system only; SCRAM
goes everywhere. A refused login is an answer, not an error: ``false``, or ``AUTH_ERR`` in the newer form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from clacks.dialects.actions import (
    ApiKey,
    Credentials,
    Effect,
    Failed,
    Failure,
    LoggedIn,
    Login,
    Logout,
    MakeToken,
    Outcome,
    Password,
    Result,
    ScramStep,
    SessionToken,
    Token,
)
from clacks.dialects.truenas.problems import BUSY, Problem, invalid, problem_of
from clacks.dialects.truenas.session import MethodTable, TrueNasSession
from clacks.dialects.truenas.wire import Method

__all__ = ["AUTH_METHODS"]

MOST_TOKEN_SECONDS: Final = 24 * 3600
_OPEN_LINE: Final = Problem(13, "[EACCES] Logins in the clear need TLS; SCRAM works here")

_CLEAR: Final = ("PASSWORD_PLAIN", "API_KEY_PLAIN", "TOKEN_PLAIN")


def _mechanism_choices(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    return session.reply(call, ["SCRAM", *(_CLEAR if session.hello.secure else ())])


def _log_in(
    session: TrueNasSession,
    call: Method,
    credentials: Credentials,
    done: Callable[[TrueNasSession, Outcome], Iterable[Effect]],
) -> Iterable[Effect]:
    if not session.hello.secure and not isinstance(credentials, ScramStep):
        return session.refuse(call, _OPEN_LINE)

    def answered(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
        if isinstance(outcome, LoggedIn):
            session.let_in(outcome.access)
        elif isinstance(outcome, Failed) and outcome.why is Failure.BUSY:
            return session.refuse(call, BUSY)
        return done(session, outcome)

    return [Login(session.waiting(answered), credentials)]


def _simple(session: TrueNasSession, call: Method, credentials: Credentials) -> Iterable[Effect]:
    """Log in and answer true or false."""

    def done(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
        return session.reply(call, isinstance(outcome, LoggedIn))

    return _log_in(session, call, credentials, done)


def _texts(call: Method, *names: str) -> list[str] | Problem:
    """Return the first parameters, which must be texts."""
    wrong = [
        (name, "Field required" if place >= len(call.params) else "Input should be a valid string")
        for place, name in enumerate(names)
        if place >= len(call.params) or not isinstance(call.params[place], str)
    ]
    return invalid(*wrong) if wrong else [*call.params[: len(names)]]


def _login(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    found = _texts(call, "username", "password")
    if isinstance(found, Problem):
        return session.refuse(call, found)
    # A third parameter is a one-time password, which nobody has here: null, or ignored.
    return _simple(session, call, Password(found[0], found[1]))


def _login_with_api_key(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    found = _texts(call, "api_key")
    return (
        session.refuse(call, found)
        if isinstance(found, Problem)
        else _simple(session, call, ApiKey(found[0]))
    )


def _login_with_token(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    found = _texts(call, "token")
    return (
        session.refuse(call, found)
        if isinstance(found, Problem)
        else _simple(session, call, _token(found[0]))
    )


def _token(text: str) -> Credentials:
    """Tell the gateway's own tokens, letters and digits, from JSON web tokens, which have dots."""
    return Token(text) if "." in text else SessionToken(text)


# -- auth.login_ex


def _login_ex(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    asked = call.params[0] if call.params else None
    if not isinstance(asked, dict) or not isinstance(asked.get("mechanism"), str):
        return session.refuse(call, invalid(("mechanism", "Field required")))
    options = asked.get("login_options")
    options = options if isinstance(options, dict) else {}
    match asked:
        case {"mechanism": "PASSWORD_PLAIN", "username": str(user), "password": str(password)}:
            credentials: Credentials = Password(user, password)
        case {"mechanism": "API_KEY_PLAIN", "username": str(user), "api_key": str(key)}:
            credentials = ApiKey(key, user)
        case {"mechanism": "TOKEN_PLAIN", "token": str(token)}:
            credentials = _token(token)
        case {"mechanism": "SCRAM", "scram_type": "CLIENT_FIRST_MESSAGE", "rfc_str": str(text)}:
            credentials = ScramStep(text, True, session.hello.binding)
        case {"mechanism": "SCRAM", "scram_type": "CLIENT_FINAL_MESSAGE", "rfc_str": str(text)}:
            credentials = ScramStep(text, False, session.hello.binding)
        case {"mechanism": "PASSWORD_PLAIN" | "API_KEY_PLAIN" | "TOKEN_PLAIN" | "SCRAM" as mechanism}:
            return session.refuse(call, invalid((mechanism, "a member is missing or of the wrong type")))
        case {"mechanism": "OTP_TOKEN"}:
            return session.reply(call, {"response_type": "AUTH_ERR"})  # nobody was asked for one
        case _:
            return session.refuse(
                call, invalid(("mechanism", "Input should be one of auth.mechanism_choices"))
            )
    scram = isinstance(credentials, ScramStep)

    def done(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
        match outcome:
            case LoggedIn(_, detail):
                return _welcome(session, call, options, detail if scram else None)
            case Result(text) if scram:
                return session.reply(
                    call,
                    {
                        "response_type": "SCRAM_RESPONSE",
                        "scram_type": "SERVER_FIRST_RESPONSE",
                        "rfc_str": text,
                        "user_info": None,
                    },
                )
        return session.reply(call, {"response_type": "AUTH_ERR"})

    return _log_in(session, call, credentials, done)


def _welcome(
    session: TrueNasSession, call: Method, options: dict[str, Any], scram: str | None
) -> Iterable[Effect]:
    info = _user_info(session) if options.get("user_info", True) is not False else None
    if scram is not None:
        body: dict[str, Any] = {
            "response_type": "SCRAM_RESPONSE",
            "scram_type": "SERVER_FINAL_RESPONSE",
            "rfc_str": scram,
            "user_info": info,
        }
    else:
        body = {"response_type": "SUCCESS", "user_info": info, "authenticator": "LEVEL_1"}
    if options.get("reconnect_token") is not True:
        return session.reply(call, {**body, "reconnect_token": None})

    def made(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
        text = outcome.value if isinstance(outcome, Result) else None
        return session.reply(call, {**body, "reconnect_token": text})

    return [MakeToken(session.waiting(made), 600.0, once=True, address=session.hello.address)]


def _login_ex_continue(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    return session.reply(call, {"response_type": "AUTH_ERR"})  # no login here has a second step of this kind


# -- with a login


def _user_info(session: TrueNasSession) -> dict[str, Any]:
    return {
        "pw_name": session.access.user,
        "pw_gecos": "",
        "pw_dir": "",
        "pw_shell": "",
        "pw_uid": None,
        "pw_gid": None,
        "grouplist": None,
        "sid": None,
        "source": "LOCAL",
        "local": True,
        "attributes": {},
        "two_factor_config": None,
        "privilege": {"roles": {"$set": []}, "web_shell": False, "webui_access": False},
        "account_attributes": ["LOCAL"],
    }


def _me(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    return session.reply(call, _user_info(session))


def _logout(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    session.forget_login()
    return [Logout(), *session.reply(call, True)]


def _generate_token(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    seconds, _, match_origin, single_use = [*call.params, *_TOKEN_DEFAULTS[len(call.params) :]][:4]
    if seconds is None:
        seconds = 600
    if type(seconds) is not int or not 0 < seconds <= MOST_TOKEN_SECONDS:
        return session.refuse(call, invalid(("ttl", f"Input should be from 1 to {MOST_TOKEN_SECONDS}")))

    def made(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
        if isinstance(outcome, Result):
            return session.reply(call, outcome.value)
        assert isinstance(outcome, Failed)
        return session.refuse(call, problem_of(outcome))

    address = session.hello.address if match_origin is not False else None
    return [MakeToken(session.waiting(made), float(seconds), once=single_use is True, address=address)]


_TOKEN_DEFAULTS: Final[list[Any]] = [600, {}, True, False]

AUTH_METHODS: Final[MethodTable] = {
    "auth.mechanism_choices": (_mechanism_choices, False),
    "auth.login": (_login, False),
    "auth.login_with_api_key": (_login_with_api_key, False),
    "auth.login_with_token": (_login_with_token, False),
    "auth.login_ex": (_login_ex, False),
    "auth.login_ex_continue": (_login_ex_continue, False),
    "auth.me": (_me, True),
    "auth.logout": (_logout, True),
    "auth.generate_token": (_generate_token, True),
}
"""What this module adds to the methods of a session."""
