"""Which error becomes which problem: the one table between the patterns' error types and what clients see.

``code`` is stable: clients and dashboards hold on to it. A new refusal gets a line here, with a text that says what
the caller can do about it, and nothing that helps somebody who should not be calling.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from app.patterns.authentication import AuthenticationError, KeysUnavailableError, TooManyFailures
from app.patterns.authorization import PermissionDenied
from app.patterns.body_limit import BodyError
from app.patterns.containment import ContainmentError
from app.patterns.database_errors import Fault, classify
from app.patterns.deadline import DeadlineExceeded
from app.patterns.http_client import (
    UpstreamBadAnswer,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.patterns.idempotency import IdempotencyError
from app.patterns.load_shedding import Overloaded
from app.patterns.problem_details import INTERNAL, Problem, Rule, problem_of_status, title_of
from app.patterns.quarantine import Quarantined, RouteBusy
from app.patterns.rate_limit import RateLimited
from app.patterns.ssrf_guard import UrlRefused
from app.patterns.thread_pool import ThreadsBusy
from app.patterns.unit_of_work import ClientGone

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ERRORS = 20
"""Validation errors that one answer names: enough to mend a form, not an amplifier."""


_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")
"""How Python writes a class, which FastAPI's message says where a text stands for a file."""


def _retry_after(seconds: float) -> tuple[bytes, bytes]:
    """Whole seconds, rounded up, at least one (RFC 9110, section 10.2.3)."""
    return b"retry-after", b"%d" % max(1, math.ceil(seconds))


def _unauthenticated(error: AuthenticationError) -> Problem:
    # One code for every reason: why a token was refused is for the log, not for who forged it.
    headers = ((b"www-authenticate", error.challenge),)
    return Problem(401, "unauthenticated", "Unauthorized", "Send a valid bearer token.", headers, reason=error.code)


def _too_many_failures(error: TooManyFailures) -> Problem:
    headers = (_retry_after(error.retry_after),)
    return Problem(429, "too_many_failures", "Too Many Requests", "Too many refused tokens; wait.", headers)


def _keys_unavailable(error: KeysUnavailableError) -> Problem:
    headers = (_retry_after(error.retry_after),)
    detail = "Tokens cannot be verified at the moment; try again."
    return Problem(503, "keys_unavailable", "Service Unavailable", detail, headers)


def _forbidden(_error: PermissionDenied) -> Problem:
    return Problem(403, "forbidden", "Forbidden")


def _rate_limited(error: RateLimited) -> Problem:
    detail = "Too many requests; Retry-After says when to try again."
    return Problem(429, "rate_limited", "Too Many Requests", detail, tuple(error.header_list))


def _deadline_exceeded(error: DeadlineExceeded) -> Problem:
    detail = f"The request did not end within {error.timeout:g} seconds."
    return Problem(504, "deadline_exceeded", "Gateway Timeout", detail)


def _body_refused(error: BodyError) -> Problem:
    return Problem(error.status_code, error.code, title_of(error.status_code), str(error.detail))


def _idempotency(error: IdempotencyError) -> Problem:
    headers = () if error.retry_after is None else (_retry_after(error.retry_after),)
    return Problem(error.status, error.code, title_of(error.status), str(error), headers)


def _client_gone(_error: ClientGone) -> Problem:
    # nginx's number for it. Nobody reads this answer; the log and the metrics do.
    return Problem(499, "client_gone", "Client Closed Request", "The client left, and nothing was done.")


def _upstream_unavailable(error: UpstreamError) -> Problem:
    headers = (_retry_after(error.retry_after or 1),)
    detail = "A service that this one needs cannot be reached at the moment; try again."
    return Problem(503, "upstream_unavailable", title_of(503), detail, headers, reason=_upstream(error))


def _upstream_timeout(error: UpstreamTimeout) -> Problem:
    detail = "A service that this one needs did not answer in time."
    return Problem(504, "upstream_timeout", title_of(504), detail, reason=_upstream(error))


def _upstream_bad_answer(error: UpstreamBadAnswer) -> Problem:
    detail = "A service that this one needs gave an answer that cannot be used."
    return Problem(502, "upstream_bad_answer", title_of(502), detail, reason=_upstream(error))


def _upstream_refused(error: UpstreamRefused) -> Problem:
    if error.status in _BUSY:
        return _upstream_unavailable(error)
    detail = "A service that this one needs failed, or did not accept what it was asked."
    return Problem(502, "upstream_refused", title_of(502), detail, reason=_upstream(error))


_BUSY = frozenset({429, 503})


def _upstream(error: UpstreamError) -> str:
    """Name the service and what was wrong with it, for the log: a caller must not learn how this one is built."""
    return f"{error.upstream}: {error.reason}"


def _url_refused(error: UrlRefused) -> Problem:
    detail = "The URL does not lead to a public http or https address."
    return Problem(422, "url_refused", title_of(422), detail, reason=error.reason)


def _quarantined(error: Quarantined) -> Problem:
    detail = "This route is out of service for now, and others are not; Retry-After says when to try again."
    headers = (_retry_after(error.retry_after),)
    return Problem(503, "route_quarantined", title_of(503), detail, headers, reason=error.reason)


def _route_busy(error: RouteBusy) -> Problem:
    detail = "As many requests run on this route as may; nothing was done. Try again."
    return Problem(503, "route_busy", title_of(503), detail, (_retry_after(error.retry_after),))


def _overloaded(error: Overloaded | ThreadsBusy) -> Problem:
    detail = "The service has more to do than it can; nothing was done. Try again."
    return Problem(503, "overloaded", title_of(503), detail, (_retry_after(error.retry_after),), reason=str(error))


def _contained(error: ContainmentError) -> Problem:
    # What an intruder learns is that something failed; who runs the service has a log line of its own.
    return replace(INTERNAL, reason=f"contained: {error.kind}")


_DATABASE: Mapping[Fault, Problem] = {
    Fault.UNAVAILABLE: Problem(
        503,
        "database_unavailable",
        "Service Unavailable",
        "The database does not answer at the moment; nothing was done. Try again.",
        (_retry_after(1),),
    ),
    Fault.BUSY: Problem(
        503,
        "database_busy",
        "Service Unavailable",
        "Others are using the same data, or every connection; nothing was done. Try again.",
        (_retry_after(1),),
    ),
    Fault.TIMEOUT: Problem(
        504, "database_timeout", "Gateway Timeout", "The database did not answer in time; nothing was done."
    ),
    Fault.CONFLICT: Problem(
        409,
        "conflict",
        "Conflict",
        "What is to be made exists already, or what it refers to does not; nothing was done.",
    ),
    Fault.INVALID: Problem(
        422,
        "value_not_storable",
        title_of(422),
        "A value is too large, too long, or holds a character that cannot be stored; nothing was done.",
    ),
}


def _database(error: SQLAlchemyError) -> Problem | None:
    """Return what a database error means for the caller; None, and so a 500, where the mistake is ours."""
    fault = classify(error)
    return None if fault is None else _DATABASE[fault]


def _invalid(error: RequestValidationError) -> Problem:
    """Name what is wrong and where, and never repeat what was sent: it may be a secret, or a script."""
    errors: list[dict[str, Any]] = [
        {
            "location": [part if isinstance(part, int) else str(part)[:100] for part in fault["loc"]],
            "message": _CLASS.sub(r"\1", str(fault["msg"]))[:200],
            "type": str(fault["type"])[:100],
        }
        for fault in error.errors()[:MAX_ERRORS]
    ]
    if any(fault["type"] == "json_invalid" for fault in errors):
        return Problem(400, "json_invalid", "Bad Request", "The body is not valid JSON.", members={"errors": errors})
    detail = "A value is missing, unknown or out of bounds; see errors."
    return Problem(422, "validation_failed", title_of(422), detail, members={"errors": errors})


RULES: Mapping[type[BaseException], Rule] = {
    AuthenticationError: _unauthenticated,
    TooManyFailures: _too_many_failures,
    KeysUnavailableError: _keys_unavailable,
    PermissionDenied: _forbidden,
    RateLimited: _rate_limited,
    DeadlineExceeded: _deadline_exceeded,
    BodyError: _body_refused,
    IdempotencyError: _idempotency,
    ClientGone: _client_gone,
    UpstreamUnavailable: _upstream_unavailable,
    UpstreamTimeout: _upstream_timeout,
    UpstreamBadAnswer: _upstream_bad_answer,
    UpstreamRefused: _upstream_refused,
    UrlRefused: _url_refused,
    ContainmentError: _contained,
    Overloaded: _overloaded,
    ThreadsBusy: _overloaded,
    RouteBusy: _route_busy,
    Quarantined: _quarantined,
    SQLAlchemyError: _database,
    RequestValidationError: _invalid,
    HTTPException: problem_of_status,
}
