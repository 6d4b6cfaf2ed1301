"""Answers for the operator's page. A browser sends no bearer token by itself, so a token is exchanged for a cookie.

The cookie is the token: HttpOnly, SameSite=Strict, for /ops only, and as long as the browser's session and the token
live. An act has to come from the page itself: its ``Origin`` is the service, or ``Sec-Fetch-Site`` says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.ops import assets, page
from app.stages import Act, ControlUnavailable, Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Scope

    from app.ops.snapshot import Operations

COOKIE: Final = "ops"
READ: Final = "ops:read"
WRITE: Final = "ops:write"
MAX_FIELDS: Final = 10
MAX_WHY: Final = 300

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is looking.

    Attributes:
        subject: of the token.
        permissions: that its roles grant.
    """

    subject: str
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the page needs of the service.

    Attributes:
        operations: what there is to see.
        visitor: returns who the token of a request stands for, or None; raises what is answered otherwise, such as
            that this client has shown too many that were refused.
        log: gets a line for each act.
        secure: the cookie is for https only.
    """

    operations: Operations
    visitor: Callable[[Scope, str], Awaitable[Visitor | None]]
    log: Any
    secure: bool


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def _visitor(request: Request) -> Visitor | None:
    token = request.cookies.get(COOKIE)
    return None if token is None else await _desk(request).visitor(request.scope, token)


async def _turned_away(request: Request, needed: str) -> tuple[Visitor, None] | tuple[None, Response]:
    """Return who is looking, or the answer for who may not."""
    visitor = await _visitor(request)
    if visitor is None:
        return None, HTMLResponse(page.login(), 401)
    if needed not in visitor.permissions:
        return None, HTMLResponse(page.login(f"{visitor.subject}: {needed} is not among your permissions."), 403)
    return visitor, None


@router.get("/ops")
async def show(request: Request) -> Response:
    """Return the page, or the one that asks for a token."""
    visitor, answer = await _turned_away(request, READ)
    if visitor is None:
        return answer  # type: ignore[return-value]
    snapshot = _desk(request).operations.snapshot()
    return HTMLResponse(page.page(snapshot, subject=visitor.subject, may_act=WRITE in visitor.permissions))


@router.get("/ops/live")
async def live(request: Request) -> Response:
    """Return the part of the page that changes."""
    visitor, answer = await _turned_away(request, READ)
    if visitor is None:
        return answer  # type: ignore[return-value]
    return HTMLResponse(page.live(_desk(request).operations.snapshot(), may_act=WRITE in visitor.permissions))


@router.get("/ops/style.css")
async def style() -> Response:
    """Return the style."""
    return Response(assets.STYLE, media_type="text/css")


@router.get("/ops/live.js")
async def script() -> Response:
    """Return the script."""
    return Response(assets.SCRIPT, media_type="text/javascript")


@router.post("/ops/login")
async def log_in(request: Request) -> Response:
    """Exchange a token for the cookie."""
    if not _from_the_page(request):
        return HTMLResponse(page.login("The form has to be sent from this page."), 403)
    token = (await _form(request)).get("token", "").strip()
    visitor = await _desk(request).visitor(request.scope, token) if token else None
    if visitor is None:
        return HTMLResponse(page.login("This token is not valid, or not any more."), 401)
    if READ not in visitor.permissions:
        return HTMLResponse(page.login(f"{visitor.subject}: {READ} is not among your permissions."), 403)
    answer = RedirectResponse("/ops", 303)
    answer.set_cookie(COOKIE, token, path="/ops", secure=_desk(request).secure, httponly=True, samesite="strict")
    return answer


@router.post("/ops/logout")
async def log_out(request: Request) -> Response:
    """Forget the cookie."""
    answer = RedirectResponse("/ops", 303)
    if _from_the_page(request):
        answer.delete_cookie(COOKIE, path="/ops", secure=_desk(request).secure, httponly=True, samesite="strict")
    return answer


@router.post("/ops/act")
async def act(request: Request) -> Response:
    """Do what a person says, log who and why, and show the page again."""
    visitor, answer = await _turned_away(request, WRITE)
    if visitor is None:
        return answer  # type: ignore[return-value]
    if not _from_the_page(request):
        return HTMLResponse(page.login("An act has to be sent from this page."), 403)
    form = await _form(request)
    said = form.get("why", "").strip()[:MAX_WHY]
    mistake = (
        "Say why: whoever looks next will want to know."
        if not said
        else await _do(_desk(request), form, by=visitor.subject, why=said)
    )
    if mistake is None:
        return RedirectResponse("/ops", 303)
    snapshot = _desk(request).operations.snapshot()
    return HTMLResponse(page.page(snapshot, subject=visitor.subject, may_act=True, told=mistake), 422)


async def _do(desk: Desk, form: dict[str, str], *, by: str, why: str) -> str | None:
    """Do one act; return what was wrong with it, or None."""
    operations, wanted = desk.operations, form.get("act", "")
    route, upstream = form.get("route"), form.get("upstream")
    if route is not None and route in operations.stages.routes and wanted in set(Act):
        try:
            # It is logged by each process that obeys, this one first.
            await operations.stages.control.give(Order(route, Act(wanted), by, why, time.time()))
            await operations.stages.obey()
        except ControlUnavailable as error:
            return f"The order was not given: {error}"
        return None
    if upstream is not None and upstream in operations.upstreams.names and wanted in {"isolate", "reset"}:
        breaker = operations.upstreams.pipeline(upstream).breaker
        if wanted == "isolate":
            breaker.isolate()
        else:
            breaker.reset()
        desk.log.warning("upstream_order", upstream=upstream, act=wanted, by=by, why=why)
        return None
    return "There is no such route, service or act."


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form; the last of a name counts. What is none has none."""
    try:
        fields = parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}


def _from_the_page(request: Request) -> bool:
    """Tell a form of this page from one that somebody else's page sends. A browser says where it comes from."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    # Split by hand: urlsplit raises where brackets do not match.
    return origin is not None and origin.partition("://")[2] == request.headers.get("host")
