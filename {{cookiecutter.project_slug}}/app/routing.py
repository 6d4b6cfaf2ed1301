"""Finds the handlers, takes their routes over, and puts each behind its guards.

A handler module is plain FastAPI: ``router = APIRouter()`` or ``app = FastAPI()``. Included routers are flattened
(FastAPI keeps them as one opaque route that is matched twice), and every route is rebuilt as a
:class:`GuardedRoute` whose ASGI application stands inside its guard chain. Whatever could answer a request
without passing that chain is refused here: mounts, websockets, static files, middleware, route classes.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fastapi import APIRouter, FastAPI
from fastapi.params import Form
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.convertors import PathConvertor, StringConvertor
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from app.background import Declared, Jobs
from app.policy import MountedRoute
from app.settings import BootRefused

if TYPE_CHECKING:
    from types import ModuleType

    from fastapi.dependencies.models import Dependant
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_ROUTES = 2000
"""Routes of one service. Each is a label in metrics and logs, and label sets are bounded."""

_ROUTE_ARGUMENTS = tuple(
    name
    for name in inspect.signature(APIRoute.__init__).parameters
    if name not in {"self", "path", "endpoint", "methods", "name", "dependency_overrides_provider"}
)
_DOCUMENTATION = frozenset({"openapi", "swagger_ui_html", "swagger_ui_redirect", "redoc_html"})
"""Names of the routes that ``FastAPI()`` adds by itself; the service serves its own documentation."""

_DEFAULT_LIFESPAN = type(APIRouter().lifespan_context)
_DEFAULT_EXCEPTION_HANDLERS = frozenset(FastAPI().exception_handlers)


@dataclass(frozen=True, slots=True)
class Handler:
    """One route of one handler module, before it is guarded.

    Attributes:
        route: method, path and where the endpoint stands.
        context: FastAPI's view of it, with everything that its routers add.
    """

    route: MountedRoute
    context: RouteContext


Wrap = Callable[["ASGIApp", MountedRoute], "ASGIApp"]
"""Puts the guard chain of a route round its ASGI application."""


InThreads = Callable[[MountedRoute, Callable[..., Any]], Callable[..., Any]]
"""Makes a coroutine function, with the same signature, of a route's synchronous endpoint."""


class GuardedRoute(APIRoute):
    """An ``APIRoute`` that can only be reached through its guards.

    Args:
        handler: the route to rebuild, with one method of it.
        wrap: returns the guarded application; called once, at boot.
        openapi_extra: what the policy adds to the operation's documentation.
        in_threads: makes a coroutine function of a synchronous endpoint; None leaves it to Starlette's threads.
    """

    def __init__(
        self, handler: Handler, *, wrap: Wrap, openapi_extra: dict[str, Any], in_threads: InThreads | None = None
    ) -> None:
        context = handler.context
        arguments = {name: getattr(context, name) for name in _ROUTE_ARGUMENTS if name != "form_limits"}
        arguments["form_limits"] = getattr(context.original_route, "form_limits", None)
        arguments["openapi_extra"] = {**(arguments["openapi_extra"] or {}), **openapi_extra}
        endpoint = context.endpoint
        assert endpoint is not None  # noqa: S101 - an APIRoute always has one; for the type checker
        if in_threads is not None and _is_synchronous(endpoint):
            endpoint = in_threads(handler.route, endpoint)
        super().__init__(handler.route.path, endpoint, methods=[handler.route.method], name=context.name, **arguments)
        self.app = _answering(self.get_route_handler()) if _leaves_nothing_open(self) else _keeping_files(self.app)
        self.app = wrap(self.app, handler.route)
        if all(type(convertor) is StringConvertor for convertor in self.param_convertors.values()):
            self.parameters: Callable[[re.Match[str]], dict[str, Any]] = re.Match.groupdict
        else:
            self.parameters = self._converted
        self.allowed = handler.route.method

    def _converted(self, match: re.Match[str]) -> dict[str, Any]:
        return {name: self.param_convertors[name].convert(value) for name, value in match.groupdict().items()}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the guarded application, or answer 405 with every method that the path has.

        Raises:
            HTTPException: the path is this route's, the method is not.
        """
        if self.methods is None or scope["method"] not in self.methods:
            raise HTTPException(405, headers={"allow": self.allowed})
        await self.app(scope, receive, send)


def _leaves_nothing_open(route: APIRoute) -> bool:
    """Tell whether there is nothing to close after a request of this route: no file, no stream, no generator."""
    form = route.body_field is not None and isinstance(route.body_field.field_info, Form)
    special = form or route.max_body_size is not None or route.is_sse_stream or route.is_json_stream
    return not special and _has_no_generator(route.dependant)


def _has_no_generator(dependant: Dependant) -> bool:
    """Tell whether every dependency is a plain function, and none a generator with a second half to run."""
    return all(
        inspect.isfunction(dependency.call)
        and not hasattr(dependency.call, "__wrapped__")
        and not inspect.isgeneratorfunction(dependency.call)
        and not inspect.isasyncgenfunction(dependency.call)
        and _has_no_generator(dependency)
        for dependency in dependant.dependencies
    )


def _answering(respond: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """Return what FastAPI's ``request_response`` returns, for a route that leaves nothing open.

    There three exit stacks, two closures and five coroutines a request stand round what is done here.
    """

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(scope, receive, send)
        started = False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
            return send(message)

        scope[_FILES] = scope["fastapi_inner_astack"] = scope["fastapi_function_astack"] = _CLOSED
        try:
            response = await respond(request)
            await response(scope, receive, watch)
        except Exception as error:
            handlers = scope["starlette.exception_handlers"][0]
            handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
            if handler is None:
                raise
            if started:
                raise RuntimeError("an exception that has a handler came after the answer had begun") from error
            response = await handler(request, error)
            await response(scope, receive, watch)
            error.__traceback__ = None  # it may be raised again, and would hold the frames of each request

    return answering


_NO_QUERY = QueryParams()


class _Request(Request):
    """Starlette's request, of which FastAPI reads the query each time, also where the route takes nothing from it."""

    @property
    def query_params(self) -> QueryParams:
        """The query; one object for all requests without any, as it cannot be changed."""
        return super().query_params if self.scope["query_string"] else _NO_QUERY


_FILES = "fastapi_middleware_astack"
"""Where FastAPI looks for the stack that closes the files of a form."""


class _ClosedStack(AsyncExitStack):
    """The exit stack of routes that have nothing to close: one for all of them, so it takes nothing."""

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise RuntimeError("this route was found to leave nothing open, and now has something to close")

    push = callback = enter_context = _refuse
    push_async_exit = push_async_callback = enter_async_context = _refuse


_CLOSED = _ClosedStack()


def _keeping_files(app: ASGIApp) -> ASGIApp:
    """Return FastAPI's own application of a route, which keeps a form's files on a stack of somebody else."""

    async def keeping_files(scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            scope[_FILES] = stack
            await app(scope, receive, send)

    return keeping_files


def _is_synchronous(endpoint: Callable[..., Any]) -> bool:
    """Tell a function that FastAPI would run in a thread and wait for; a generator streams, piece by piece."""
    function = inspect.unwrap(endpoint)
    return (inspect.isfunction(function) or inspect.ismethod(function)) and not (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    )


def find_handlers(package: str = "app.handlers") -> list[Handler]:
    """Import every module of ``package`` and return its routes in order of definition.

    Modules whose name begins with an underscore are helpers and are not searched.

    Raises:
        BootRefused: with every module that does not load and every way round the guards, each with file and line.
    """
    handlers: list[Handler] = []
    problems: list[str] = []
    for name in _module_names(package):
        try:
            found = list(_handlers_of(_import(name)))
        except BootRefused as refused:
            problems += refused.problems
        else:
            handlers += found
    problems += _conflicts(handlers)
    if len(handlers) > MAX_ROUTES:
        problems.append(f"{len(handlers)} routes are more than the {MAX_ROUTES} that one service may have")
    if problems:
        raise BootRefused(problems)
    return handlers


def find_jobs(package: str = "app.jobs") -> list[Declared]:
    """Import every module of ``package`` and return the jobs that its ``Jobs`` declare. Helpers as for handlers.

    Raises:
        BootRefused: with every module that does not load.
    """
    found: dict[int, Jobs] = {}
    problems: list[str] = []
    for name in _module_names(package):
        try:
            module = _import(name)
        except BootRefused as refused:
            problems += refused.problems
        else:
            found |= {id(value): value for value in vars(module).values() if isinstance(value, Jobs)}
    if problems:
        raise BootRefused(problems)
    return [declared for jobs in found.values() for declared in jobs.declared]


def handlers_of_router(router: APIRouter) -> list[Handler]:
    """Return the routes of one router of the service's own."""
    return [_handler(context, method) for context in iter_route_contexts(router.routes) for method in _methods(context)]


def _module_names(package: str) -> list[str]:
    try:
        root = importlib.import_module(package)
    except Exception as error:
        raise BootRefused([_load_failure(package, error)]) from error
    names = (module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.", onerror=lambda _name: None))
    return sorted(name for name in names if not any(part.startswith("_") for part in name.split(".")))


def _import(name: str) -> ModuleType:
    try:
        with _without_bytecode():
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a handler may call sys.exit() while it is imported
        raise BootRefused([_load_failure(name, error)]) from error


@contextlib.contextmanager
def _without_bytecode() -> Iterator[None]:
    """Keep no compiled file: it is told from its source by second and size, and a reload can be quicker than that."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _load_failure(name: str, error: BaseException) -> str:
    """Say in one line where a handler module broke: the deepest line that stands in that module."""
    path = Path(*name.split(".")).with_suffix(".py")
    said = " ".join(str(error).split())[:500]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}: the handler does not parse: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).as_posix().endswith(path.as_posix()) or "/handlers/" in Path(frame.filename).as_posix():
            return f"{_shown(frame.filename)}:{frame.lineno}: the handler does not load: {type(error).__name__}: {said}"
    return f"{path}:1: the handler does not load: {type(error).__name__}: {said}"


def _shown(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _handlers_of(module: ModuleType) -> Iterator[Handler]:
    file = module.__file__ or module.__name__
    containers = _containers(module)
    problems: list[str] = []
    if not containers:
        problems.append(
            f"{_shown(file)}:1: no APIRouter or FastAPI with routes here; "
            "add `router = APIRouter()`, or begin the file's name with an underscore if it is a helper"
        )
    for container in containers:
        problems += _ways_round(container, file)
    if problems:
        raise BootRefused(problems)
    for container in containers:
        for context in iter_route_contexts(container.routes):
            if not _is_documentation(context):
                yield from (_handler(context, method) for method in _methods(context))


def _containers(module: ModuleType) -> list[FastAPI | APIRouter]:
    """Return the module's applications and routers, without those that another of them includes."""
    candidates: list[tuple[FastAPI | APIRouter, set[int]]] = []
    for value in vars(module).values():
        if isinstance(value, FastAPI | APIRouter) and all(value is not known for known, _ in candidates):
            routes = {
                id(context.original_route)
                for context in iter_route_contexts(value.routes)
                if not _is_documentation(context)
            }
            if routes:
                candidates.append((value, routes))
    return [
        container
        for index, (container, routes) in enumerate(candidates)
        if not any(
            routes < others or (routes == others and _wins(candidates[other][0], container, other < index))
            for other, (_, others) in enumerate(candidates)
            if other != index
        )
    ]


def _wins(rival: FastAPI | APIRouter, container: FastAPI | APIRouter, rival_is_first: bool) -> bool:  # noqa: FBT001 - private
    """Of two containers with the same routes the including one wins: an application, else the later one."""
    if isinstance(rival, FastAPI) != isinstance(container, FastAPI):
        return isinstance(rival, FastAPI)
    return not rival_is_first


def _is_documentation(context: RouteContext) -> bool:
    route = context.original_route
    return type(route) is Route and route.endpoint.__module__ == "fastapi.applications" and route.name in _DOCUMENTATION


def _methods(context: RouteContext) -> list[str]:
    return sorted(context.methods or ())


def _handler(context: RouteContext, method: str) -> Handler:
    endpoint = inspect.unwrap(context.endpoint) if context.endpoint else None
    code = getattr(getattr(endpoint, "__func__", endpoint), "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code else ("<unknown>", 0)
    return Handler(
        MountedRoute(method=method, path=context.path or "", file=_shown(file), line=line, name=context.name or ""),
        context,
    )


def _ways_round(container: FastAPI | APIRouter, file: str) -> list[str]:
    """Name everything in a container that would answer outside the guard chain or be lost when it is taken over."""
    problems = []
    for context in iter_route_contexts(container.routes):
        route = context.original_route
        if type(route) is APIRoute or _is_documentation(context):
            continue
        kind = type(route).__name__
        if isinstance(route, APIRoute):
            advice = "custom route classes are not taken over; write what it does as a dependency"
        else:
            advice = f"a {kind} is a way round the guards; use @router.get, .post, .put, .patch or .delete"
        line = _line_of(file, getattr(context, "endpoint", None), _CALLS.get(kind, ()))
        problems.append(f"{_shown(file)}:{line}: {context.path or kind!r}: {advice}")
    problems += [
        f"{_shown(file)}:{_line_of(file, None, calls)}: {what} is not taken over; {advice}"
        for what, calls, advice in _not_taken_over(container)
    ]
    return problems


_CALLS: dict[str, tuple[str, ...]] = {
    "Mount": ("mount",),
    "Host": ("host",),
    "Route": ("add_route", "route"),
    "APIWebSocketRoute": ("websocket", "add_api_websocket_route"),
    "WebSocketRoute": ("websocket_route", "add_websocket_route"),
    "_FrontendRouteGroup": ("frontend",),
}


def _not_taken_over(container: FastAPI | APIRouter) -> Iterator[tuple[str, tuple[str, ...], str]]:
    router = container.router if isinstance(container, FastAPI) else container
    if router.on_startup or router.on_shutdown or not _is_default_lifespan(router.lifespan_context):
        yield "a handler's lifespan", ("on_event", "FastAPI", "APIRouter"), "the service owns start and stop"
    if isinstance(container, FastAPI):
        if container.user_middleware:
            yield "middleware", ("middleware", "add_middleware", "FastAPI"), "the service's guards stand in its place"
        if set(container.exception_handlers) - _DEFAULT_EXCEPTION_HANDLERS:
            yield "an exception handler", ("exception_handler", "add_exception_handler"), "raise HTTPException instead"
        if container.dependency_overrides:
            yield "dependency_overrides", ("dependency_overrides",), "overrides are for tests"


def _is_default_lifespan(context: object) -> bool:
    """Tell FastAPI's own lifespan, also where ``include_router`` has merged two of them, from a handler's."""
    if isinstance(context, _DEFAULT_LIFESPAN):
        return True
    if getattr(context, "__module__", "") != "fastapi.routing":
        return False
    merged = [cell.cell_contents for cell in getattr(context, "__closure__", None) or ()]
    return bool(merged) and all(_is_default_lifespan(part) for part in merged)


def _line_of(file: str, endpoint: Callable[..., Any] | None, calls: tuple[str, ...]) -> int:
    """Return the line of an endpoint, or of the first call of one of the names, or 1."""
    code = getattr(endpoint, "__code__", None)
    if code is not None and code.co_filename == file:
        return int(code.co_firstlineno)
    try:
        tree = ast.parse(Path(file).read_text("utf-8"))
    except (OSError, ValueError, SyntaxError):
        return 1
    for name in calls:  # in order: the telling name before the one that merely constructs
        lines = [
            node.lineno
            for node in ast.walk(tree)
            if (isinstance(node, ast.Attribute) and node.attr == name)
            or (isinstance(node, ast.Name) and node.id == name)
        ]
        if lines:
            return min(lines)
    return 1


def streams(handler: Handler) -> bool:
    """Tell whether a handler's answer is a stream, as far as that can be seen before it runs.

    A generator, a streaming class declared as ``response_class`` or as what is returned, or one that the function
    names.
    """
    endpoint = inspect.unwrap(handler.context.endpoint) if handler.context.endpoint else None
    function = getattr(endpoint, "__func__", endpoint)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return True
    code, scope = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    named = [scope.get(name) for name in code.co_names] if code is not None else []
    declared = getattr(handler.context, "response_class", None)
    returned = inspect.signature(function).return_annotation if callable(function) else None
    returned = scope.get(returned) if isinstance(returned, str) else returned
    return any(
        isinstance(kind, type) and issubclass(kind, StreamingResponse | FileResponse)
        for kind in (*named, returned, getattr(declared, "value", declared))
    )


def _conflicts(handlers: Iterable[Handler]) -> list[str]:
    """Name routes that are defined twice, and routes that an earlier one catches."""
    problems: list[str] = []
    earlier: dict[str, list[Handler]] = {}
    for handler in handlers:
        route = handler.route
        for other in earlier.setdefault(route.method, []):
            if other.context.path_regex.match(route.path):
                same = other.context.path_regex.pattern == handler.context.path_regex.pattern
                what = (
                    "is also defined at" if same or other.route.path == route.path else "is never reached: it matches"
                )
                problems.append(
                    f"{route.file}:{route.line}: {route.method} {route.path} {what} "
                    f"{other.route.method} {other.route.path} ({other.route.file}:{other.route.line})"
                )
                break
        earlier[route.method].append(handler)
    return problems


class RouteIndex:
    """Finds the route of a request without trying all of them in turn.

    A path without parameters is one look into a table; the others are tried by their number of segments, in order of
    definition. The order between the two cannot matter: a route that an earlier one catches was refused at boot.

    Args:
        routes: guarded routes.
    """

    def __init__(self, routes: Iterable[GuardedRoute]) -> None:
        self._fixed: dict[tuple[str, str], GuardedRoute] = {}
        self._by_length: dict[tuple[str, int], list[GuardedRoute]] = {}
        self._unbounded: dict[str, list[GuardedRoute]] = {}
        for route in routes:
            for method in route.methods or ():
                if not route.param_convertors:
                    self._fixed[method, route.path_format] = route
                elif any(isinstance(convertor, PathConvertor) for convertor in route.param_convertors.values()):
                    self._unbounded.setdefault(method, []).append(route)
                else:
                    self._by_length.setdefault((method, route.path_format.count("/")), []).append(route)

    def find(self, method: str, path: str) -> tuple[GuardedRoute, dict[str, Any]] | None:
        """Return the route for a method and path with its parameters, or None."""
        route = self._fixed.get((method, path))
        if route is not None:
            return route, {}
        for route in self._by_length.get((method, path.count("/")), ()):
            match = route.path_regex.match(path)
            if match is not None:
                return route, route.parameters(match)
        for route in self._unbounded.get(method, ()):
            match = route.path_regex.match(path)
            if match is not None:
                return route, route.parameters(match)
        return None


@contextlib.contextmanager
def fresh_handlers(*packages: str) -> Iterator[None]:
    """Have the modules of these packages read from their files again; put the old ones back if that fails.

    Args:
        packages: default is those of the handlers and the jobs.
    """
    packages = packages or ("app.handlers", "app.jobs")

    def is_of_them(name: str) -> bool:
        return name.startswith(tuple(f"{package}." for package in packages)) or name in packages

    importlib.invalidate_caches()
    names = [name for name in sys.modules if is_of_them(name)]
    before = {name: sys.modules.pop(name) for name in names}
    try:
        yield
    except BaseException:
        for name in [name for name in sys.modules if is_of_them(name)]:
            del sys.modules[name]
        sys.modules.update(before)
        raise


def name_allowed_methods(routes: Iterable[GuardedRoute]) -> None:
    """Tell each route every method of its path, for the Allow header of a 405 (RFC 9110, section 15.5.6)."""
    methods: dict[str, set[str]] = {}
    routes = list(routes)
    for route in routes:
        methods.setdefault(route.path_regex.pattern, set()).update(route.methods or ())
    for route in routes:
        route.allowed = ", ".join(sorted(methods[route.path_regex.pattern]))
