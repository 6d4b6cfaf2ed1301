"""Handlers are found, taken over and guarded; what would answer past the guards is refused with file and line."""

from __future__ import annotations

import itertools
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.routing import GuardedRoute, Handler, find_handlers
from app.settings import BootRefused
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from app.policy import MountedRoute

_numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Handler]]]:
    """Write modules into a package of their own and search it."""
    name = f"handlers_{next(_numbers)}"
    folder = tmp_path / "handlers" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(folder.parent))

    def search(**modules: str) -> list[Handler]:
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(source).lstrip())
        return find_handlers(name)

    yield search
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


def refusal(search: Callable[..., list[Handler]], **modules: str) -> str:
    with pytest.raises(BootRefused) as refused:
        search(**modules)
    return "\n".join(refused.value.problems)


def routes(handlers: list[Handler]) -> list[str]:
    return [f"{handler.route.method} {handler.route.path}" for handler in handlers]


def test_a_router_is_found(package: Any) -> None:
    found = package(
        things="""
        from fastapi import APIRouter
        router = APIRouter(prefix="/things")

        @router.get("/{number}")
        async def read(number: int) -> int:
            return number
        """
    )
    assert routes(found) == ["GET /things/{number}"]
    assert found[0].route.line == 4
    assert found[0].route.file.endswith("things.py")


def test_an_application_is_found_as_models_often_write_it(package: Any) -> None:
    found = package(
        things="""
        from fastapi import APIRouter, FastAPI
        app = FastAPI(title="Things")
        router = APIRouter(prefix="/things")

        @router.get("/a")
        async def a() -> int:
            return 1

        @app.post("/b")
        async def b() -> int:
            return 2

        app.include_router(router, prefix="/v1")
        """
    )
    assert sorted(routes(found)) == ["GET /v1/things/a", "POST /b"]


def test_a_router_that_another_includes_is_taken_once(package: Any) -> None:
    found = package(
        things="""
        from fastapi import APIRouter
        inner = APIRouter(prefix="/inner")

        @inner.get("")
        async def a() -> int:
            return 1

        router = APIRouter(prefix="/outer")
        router.include_router(inner)
        """
    )
    assert routes(found) == ["GET /outer/inner"]


def test_a_route_with_two_methods_becomes_two(package: Any) -> None:
    found = package(
        things="""
        from fastapi import APIRouter
        router = APIRouter()

        @router.api_route("/x", methods=["GET", "POST"])
        async def x() -> int:
            return 1
        """
    )
    assert routes(found) == ["GET /x", "POST /x"]


def test_a_helper_module_is_not_searched(package: Any) -> None:
    assert routes(package(_helper="x = 1\n")) == []


def test_a_package_of_handlers_is_searched(package: Any, tmp_path: Path) -> None:
    folder = next((tmp_path / "handlers").iterdir()) / "deeper"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from fastapi import APIRouter\nrouter = APIRouter()\n@router.get('/deep')\n"
        "async def deep() -> int:\n    return 1\n"
    )
    assert routes(package()) == ["GET /deep"]


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [
        ("x = (\n", 1, "does not parse"),
        ("import nothing_of_that_name\n", 1, "No module named"),
        ("x = 1\nx / 0\n", 2, "ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        ("x = 1\n", 1, "no APIRouter or FastAPI with routes"),
        ("from fastapi import APIRouter\nrouter = APIRouter()\n", 1, "no APIRouter or FastAPI with routes"),
    ],
)
def test_a_module_that_does_not_load_is_refused(package: Any, source: str, line: int, text: str) -> None:
    refused = refusal(package, broken=source)
    assert f"broken.py:{line}: " in refused
    assert text in refused


APP = """\
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.routing import APIRoute
app = FastAPI()
@app.get('/a')
async def a() -> int:
    return 1
"""
LIFESPAN = """\
from contextlib import asynccontextmanager
from fastapi import FastAPI
@asynccontextmanager
async def life(app):
    yield
app = FastAPI(lifespan=life)
@app.get('/a')
async def a() -> int:
    return 1
"""
ROUTE_CLASS = """\
from fastapi import APIRouter
from fastapi.routing import APIRoute
class Mine(APIRoute): ...
router = APIRouter(route_class=Mine)
@router.get('/a')
async def a() -> int:
    return 1
"""


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [
        (APP + "app.mount('/sub', FastAPI())\n", 7, "a Mount is a way round"),
        (
            APP + "@app.websocket('/ws')\nasync def ws(socket: WebSocket) -> None: ...\n",
            7,
            "WebSocketRoute is a way round",
        ),
        (
            APP + "from fastapi.staticfiles import StaticFiles\napp.mount('/s', StaticFiles(directory='.'))\n",
            8,
            "a Mount is a way round",
        ),
        (APP + "async def raw(request): ...\napp.add_route('/raw', raw)\n", 7, "a Route is a way round"),
        (APP + "app.host('x.example', FastAPI())\n", 7, "a Host is a way round"),
        (APP + "@app.middleware('http')\nasync def m(request, call_next): ...\n", 7, "middleware is not taken over"),
        (APP + "@app.exception_handler(ValueError)\nasync def h(request, error): ...\n", 7, "exception handler"),
        (
            LIFESPAN,
            6,
            "lifespan is not taken over",
        ),
        (APP + "app.dependency_overrides[a] = a\n", 7, "dependency_overrides"),
        (
            ROUTE_CLASS,
            5,
            "custom route classes",
        ),
    ],
)
def test_a_way_round_the_guards_is_refused(package: Any, source: str, line: int, text: str) -> None:
    refused = refusal(package, sly=source)
    assert text in refused
    assert f"sly.py:{line}: " in refused


def test_two_handlers_on_one_method_and_path_are_refused_with_both_places(package: Any) -> None:
    source = (
        "from fastapi import APIRouter\nrouter = APIRouter()\n@router.get('/a')\nasync def a() -> int:\n    return 1\n"
    )
    refused = refusal(package, first=source, second=source)
    assert "second.py:3: GET /a is also defined at GET /a" in refused
    assert "first.py:3" in refused


def test_a_route_that_an_earlier_one_catches_is_refused(package: Any) -> None:
    refused = refusal(
        package,
        things="""
        from fastapi import APIRouter
        router = APIRouter()

        @router.get("/things/{name}")
        async def read(name: str) -> str:
            return name

        @router.get("/things/new")
        async def new() -> str:
            return "new"
        """,
    )
    assert "GET /things/new is never reached: it matches GET /things/{name}" in refused


def test_everything_wrong_is_named_at_once(package: Any) -> None:
    refused = refusal(package, a="x = (\n", b="import nothing_of_that_name\n", c=APP + "app.mount('/s', FastAPI())\n")
    assert [line.split(": ")[0].split("/")[-1] for line in refused.splitlines()] == ["a.py:1", "b.py:1", "c.py:7"]


NESTED = """
from fastapi import APIRouter, Depends
from pydantic import BaseModel

async def dep() -> None: ...

class Item(BaseModel):
    id: int

sub = APIRouter(prefix="/b", tags=["inner"])

@sub.get("/y/{n}", status_code=202, summary="S", responses={404: {"description": "none"}})
async def y(n: int) -> Item:
    return Item(id=n)

router = APIRouter(prefix="/a", dependencies=[Depends(dep)], tags=["outer"])

@router.post("/x", response_model_exclude_none=True)
async def x(item: Item) -> Item:
    return item

router.include_router(sub, prefix="/more")
"""


def rebuilt(handlers: list[Handler], wrap: Callable[[ASGIApp, MountedRoute], ASGIApp]) -> FastAPI:
    app = FastAPI()
    app.router.routes.extend(GuardedRoute(handler, wrap=wrap, openapi_extra={}) for handler in handlers)
    return app


def test_flattening_leaves_the_documentation_as_it_was(package: Any) -> None:
    handlers = package(nested=NESTED)
    flat = rebuilt(handlers, lambda app, _route: app)
    included = FastAPI()
    included.include_router(sys.modules[f"{handlers[0].context.endpoint.__module__}"].router)

    def document(app: FastAPI) -> dict[str, Any]:
        return get_openapi(title="x", version="1", routes=app.routes)

    assert document(flat) == document(included)


OPEN = """
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, UploadFile
from fastapi.responses import StreamingResponse

router = APIRouter()
log = []

async def opened():
    log.append("open")
    yield "something"
    log.append("closed")

async def plain():
    return "nothing"

@router.get("/opens")
async def opens(it: Annotated[str, Depends(opened)]) -> list[str]:
    return [it, *log]

@router.get("/opens-below")
async def opens_below(it: Annotated[str, Depends(lambda it=Depends(opened): it)]) -> list[str]:
    return [it, *log]

@router.get("/plain")
async def has_none(it: Annotated[str, Depends(plain)]) -> list[str]:
    return [it, *log]

@router.get("/refuses")
async def refuses() -> None:
    raise HTTPException(418, "short and stout")

@router.get("/too-late")
async def too_late() -> StreamingResponse:
    async def parts():
        yield b"begun"
        raise HTTPException(418)
    return StreamingResponse(parts())

files = []

@router.post("/form")
async def form(file: UploadFile, name: Annotated[str, Form()]) -> list[str]:
    files.append(file)
    return [name, (await file.read()).decode()]

@router.get("/form")
async def closed() -> list[bool]:
    return [file.file.closed for file in files]
"""


def test_what_a_request_opens_is_closed_when_it_ends(package: Any) -> None:
    with serve(rebuilt(package(opening=OPEN), lambda app, _route: app)) as url:
        assert httpx2.get(f"{url}/opens").json() == ["something", "open"]
        assert httpx2.get(f"{url}/opens-below").json() == ["something", "open", "closed", "open"]
        assert httpx2.get(f"{url}/plain").json() == ["nothing", "open", "closed", "open", "closed"]
        sent = httpx2.post(f"{url}/form", data={"name": "a"}, files={"file": b"content"})
        assert sent.json() == ["a", "content"]
        assert httpx2.get(f"{url}/form").json() == [True]


def test_what_a_handler_raises_is_answered_as_fastapi_answers_it(package: Any) -> None:
    with serve(rebuilt(package(opening=OPEN), lambda app, _route: app)) as url:
        refused = httpx2.get(f"{url}/refuses")
        assert (refused.status_code, refused.json()) == (418, {"detail": "short and stout"})
        with pytest.raises(httpx2.RemoteProtocolError):  # its answer has begun, and can only be broken off
            httpx2.get(f"{url}/too-late")


def test_a_route_that_leaves_nothing_open_is_held_to_that(package: Any) -> None:
    module = """
    from fastapi import APIRouter, Request

    router = APIRouter()

    @router.get("/leaves")
    async def leaves(request: Request) -> None:
        request.scope["fastapi_inner_astack"].callback(print, "never closed")
    """
    with serve(rebuilt(package(leaving=module), lambda app, _route: app)) as url:
        assert httpx2.get(f"{url}/leaves").status_code == 500


def test_a_query_is_read_and_none_is_not_parsed_again(package: Any) -> None:
    module = """
    from fastapi import APIRouter, Request

    router = APIRouter()
    seen = []

    @router.get("/query")
    async def query(request: Request, word: str = "none") -> list[str]:
        seen.append(request.query_params)
        return [word, str(request.query_params), str(seen[0] is seen[-1])]
    """
    with serve(rebuilt(package(query=module), lambda app, _route: app)) as url:
        assert httpx2.get(f"{url}/query").json() == ["none", "", "True"]
        assert httpx2.get(f"{url}/query?word=a&word=b").json() == ["b", "word=a&word=b", "False"]
        assert httpx2.get(f"{url}/query?").json() == ["none", "", "True"]


def test_every_route_answers_through_its_guards(package: Any) -> None:
    passed: list[str] = []

    def wrap(app: ASGIApp, route: MountedRoute) -> ASGIApp:
        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            passed.append(f"{route.method} {route.path}")
            await app(scope, receive, send)

        return guarded

    app = rebuilt(package(nested=NESTED), wrap)
    with serve(app) as url:
        assert httpx2.get(f"{url}/a/more/b/y/3").json() == {"id": 3}
        assert httpx2.post(f"{url}/a/x", json={"id": 4}).json() == {"id": 4}
    assert passed == ["GET /a/more/b/y/{n}", "POST /a/x"]
