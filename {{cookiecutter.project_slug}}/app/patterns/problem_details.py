"""Problem details: every error of the service in one shape, with nothing in it that helps an attacker.

Threat: error answers are written by whoever writes a handler, so each has another shape, some carry exception
texts, stack frames or SQL, and a client cannot tell a refusal it may retry from a fault it must report.

What it does:

* one renderer for all errors, ``application/problem+json`` (RFC 9457) with the members ``type``, ``title``,
  ``status``, ``detail``, ``instance``, ``code`` and ``request_id``;
* ``code`` is stable and meant for programs; ``title`` and ``detail`` are meant for people and may change;
* an exception that no rule knows becomes a 500 with a fixed text: its message stays in the log;
* ``instance`` names the request and not its path, because paths carry identifiers and what a client typed.

What it does not do: it does not log in full what went wrong (``on_unhandled`` is told and may), and once a
response has begun it can only end the connection, because a status cannot be taken back.

To lift it: needs ``starlette`` and ``orjson``. Wrap the application as its outermost layer::

    problems = ProblemDetails(rules={MyError: lambda error: Problem(409, "conflict", "Conflict")})
    app = problems.wrap(app)

and hand ``problems.refuse`` to guards that answer by themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE = b"application/problem+json"
MAX_DETAIL = 500
"""Characters of a ``detail``: enough for one sentence; a longer text is cut, never refused."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as the client sees it.

    Attributes:
        status: HTTP status, 400 to 599.
        code: stable machine-readable name in snake_case.
        title: short summary of the kind of problem; the same for every occurrence.
        detail: what the client can do about this occurrence; never an exception's text.
        headers: extra response headers, lower-case names.
        members: extension members (RFC 9457, section 3.2), such as ``errors``.
        type: URI of the kind of problem; ``about:blank`` means that ``title`` says it all.
        reason: for the log only: what the client must not be told; never sent.
    """

    status: int
    code: str
    title: str
    detail: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    members: Mapping[str, Any] | None = None
    type: str = "about:blank"
    reason: str | None = None


Rule = Callable[[Any], Problem | None]
"""Makes a :class:`Problem` of one type of exception; gets the instance. None leaves it unhandled, which is a 500."""

ProblemHook = Callable[["Scope", Problem], None]
"""Told of each problem that is rendered, for a counter."""

UnhandledHook = Callable[["Scope", BaseException], None]
"""Told of each exception that no rule knows, before the 500 leaves."""

Lookup = Callable[["Scope"], str | None]


_RENAMED = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""RFC 9110's phrases, which Python's ``http`` module took over only in 3.13; a ``code`` must not depend on that."""


def title_of(status: int) -> str:
    """Return the standard reason phrase of ``status``, or ``Error`` for an unregistered one."""
    if status in _RENAMED:
        return _RENAMED[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def code_of(status: int) -> str:
    """Return the default ``code`` of a bare status: its reason phrase in snake_case."""
    return title_of(status).lower().replace(" ", "_").replace("-", "_").replace("'", "")


def problem_of_status(error: HTTPException) -> Problem:
    """Turn an ``HTTPException`` of a handler or of the router into a problem.

    A handler's ``detail`` is shown for 4xx, where it is meant for the client, and dropped for 5xx, where it
    tends to be an exception's text. A ``detail`` that is not a string is an object of the handler's own and
    goes out as the extension member ``errors``.
    """
    status = error.status_code if 400 <= error.status_code <= 599 else 500  # noqa: PLR2004 - the error classes of RFC 9110
    detail: str | None = None
    members: dict[str, Any] | None = None
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        said: object = error.detail  # FastAPI's subclass lets a handler put any JSON value here
        if not isinstance(said, str):
            members = {"errors": said}
        elif said != title_of(status):
            detail = said
    headers = tuple(
        # A handler may write a number, `{"Retry-After": 5}`, or a character that no header holds: no reason for a 500.
        (name.lower().encode("latin-1"), str(value).encode("latin-1", "replace"))
        for name, value in (error.headers or {}).items()
        if name.lower() not in {"content-type", "content-length"}
    )
    return Problem(status, code_of(status), title_of(status), detail, headers, members)


INTERNAL = Problem(
    500,
    "internal_error",
    "Internal Server Error",
    "The service failed. Quote the request_id when you report it.",
)


class ProblemDetails:
    """Renders problems, and turns exceptions into them by a table of rules.

    Args:
        rules: exception type -> rule; the nearest type along the exception's MRO wins.
        request_id: looks up the request's id in the scope; default reads ``scope["state"]["request_id"]``.
        on_problem: told of every problem; default does nothing.
        on_unhandled: told of exceptions without a rule; default does nothing.
    """

    def __init__(
        self,
        rules: Mapping[type[BaseException], Rule] | None = None,
        *,
        request_id: Lookup | None = None,
        on_problem: ProblemHook | None = None,
        on_unhandled: UnhandledHook | None = None,
    ) -> None:
        self._rules: dict[type[BaseException], Rule] = {HTTPException: problem_of_status, **(rules or {})}
        self._request_id = request_id or _request_id
        self._on_problem = on_problem
        self._on_unhandled = on_unhandled

    def problem(self, error: BaseException) -> Problem | None:
        """Return the problem that the rules make of ``error``, or None if no rule knows it."""
        for kind in type(error).__mro__:
            if (rule := self._rules.get(kind)) is not None:
                return rule(error)
        return None

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` with every escaping exception turned into a problem."""

        async def problem_details(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            started = False

            def watch(message: Message) -> Awaitable[None]:  # no coroutine of its own: it costs as much as the rest
                nonlocal started
                started = True
                return send(message)

            try:
                await app(scope, receive, watch)
            except Exception as error:
                problem = self.problem(error)
                if problem is None:
                    problem = INTERNAL
                    scope.setdefault("state", {})["code"] = problem.code
                    if self._on_unhandled is not None:
                        self._on_unhandled(scope, error)
                if started:
                    # The status line has left. Ending the connection is the only honest signal that remains.
                    raise
                await self.render(scope, send, problem)

        return problem_details

    async def refuse(self, scope: Scope, _receive: Receive, send: Send, error: BaseException) -> None:
        """Answer ``error`` in place of the application; what guards call when they refuse.

        Raises:
            BaseException: ``error`` itself, if no rule knows it.
        """
        problem = self.problem(error)
        if problem is None:
            raise error
        await self.render(scope, send, problem)

    async def render(self, scope: Scope, send: Send, problem: Problem) -> None:
        """Send ``problem`` as a complete response."""
        headers, body = self.response(scope, problem)
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def response(self, scope: Scope, problem: Problem) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return the headers and the body of ``problem``; note its code and reason in ``scope["state"]``."""
        state = scope.setdefault("state", {})
        state["code"] = problem.code
        if problem.reason is not None:
            state["reason"] = problem.reason
        if self._on_problem is not None:
            self._on_problem(scope, problem)
        body = self._body(scope, problem)
        headers = [
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *problem.headers,
        ]
        return headers, body

    def _body(self, scope: Scope, problem: Problem) -> bytes:
        request_id = self._request_id(scope)
        document: dict[str, Any] = {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail[:MAX_DETAIL] if problem.detail else problem.title,
            "instance": f"urn:request:{request_id}" if request_id else None,
            "code": problem.code,
            "request_id": request_id,
        }
        if problem.members:
            document = {**problem.members, **document}
        try:
            return orjson.dumps(document, default=str)
        except TypeError:
            # A lone surrogate or an over-deep value in a handler's own detail must not turn a 4xx into a 500.
            document["detail"] = problem.title
            return orjson.dumps({name: document[name] for name in _MEMBERS})


_MEMBERS = ("type", "title", "status", "detail", "instance", "code", "request_id")


def _request_id(scope: Scope) -> str | None:
    value: str | None = scope.get("state", {}).get("request_id")
    return value


Refuse = Callable[["Scope", "Receive", "Send", Any], Awaitable[None]]
"""The shape of :meth:`ProblemDetails.refuse`, for guards that take it as an argument."""
