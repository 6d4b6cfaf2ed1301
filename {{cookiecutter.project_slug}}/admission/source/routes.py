"""Route handlers: which functions answer requests, and what each of their parameters is."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from admission.source.annotations import Annotation, calls_in
from admission.source.module import is_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

METHODS: Final = frozenset({"get", "post", "put", "patch", "delete", "options", "head", "trace"})
ROUTING: Final = METHODS | {"api_route", "route"}
ROUTERS: Final = frozenset({"fastapi.APIRouter", "fastapi.FastAPI"})
_ROUTER_NAMES: Final = re.compile(r"(^|_)(router|app|api|routes)$|^(router|app|api)(_|$)", re.IGNORECASE)
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")

SCAFFOLD: Final = frozenset({"fastapi.Request", "fastapi.Response", "fastapi.BackgroundTasks", "fastapi.WebSocket"})
"""What FastAPI hands over itself: no input of its own, or input only through its attributes."""

Source = Literal["path", "query", "header", "cookie", "body", "form", "file", "dependency", "scaffold"]
_MARKERS: Final[dict[str, Source]] = {
    "fastapi.Path": "path",
    "fastapi.Query": "query",
    "fastapi.Header": "header",
    "fastapi.Cookie": "cookie",
    "fastapi.Body": "body",
    "fastapi.Form": "form",
    "fastapi.File": "file",
    "fastapi.Depends": "dependency",
    "fastapi.Security": "dependency",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a route handler or of a dependency.

    Attributes:
        name: its name.
        node: where it stands.
        annotation: what its annotation says.
        source: where FastAPI takes it from.
        default: its default, if it has one.
        depends: the expression inside ``Depends``, or None for ``Depends()``.
    """

    name: str
    node: ast.arg
    annotation: Annotation
    source: Source
    default: ast.expr | None = None
    depends: ast.expr | None = None

    def markers(self) -> Iterator[ast.Call]:
        """Yield the calls that bound it: ``Query(...)``, ``Path(...)``, ``Field(...)``."""
        yield from calls_in(self.annotation)
        if isinstance(self.default, ast.Call):
            yield self.default


@dataclass(frozen=True, slots=True)
class Route:
    """One function that answers requests.

    Attributes:
        node: the function.
        registration: the decorator or call that makes it a route.
        methods: HTTP methods in capitals; empty if they are not constant.
        path: its path, if that is constant.
        parameters: its parameters, in order.
        options: keyword arguments of the registration.
    """

    node: ast.FunctionDef | ast.AsyncFunctionDef
    registration: ast.Call | ast.expr
    methods: tuple[str, ...]
    path: str
    parameters: tuple[Parameter, ...] = ()
    options: dict[str, ast.expr] = field(default_factory=dict, compare=False)

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return not self.methods or any(method not in {"GET", "HEAD", "OPTIONS"} for method in self.methods)


def find_routes(module: Module) -> list[Route]:
    """Return the route handlers of a module, whichever way they are registered."""
    found: dict[ast.AST, Route] = {}
    for node in module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        if is_definition(node):
            for decorator in node.decorator_list:
                route = _route(module, node, decorator)
                if route is not None:
                    found.setdefault(node, route)
    for call in module.walk(ast.Call):
        if isinstance(call, ast.Call):
            route = _registered(module, call)
            if route is not None:
                found.setdefault(route.node, route)
    return list(found.values())


def _route(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef, decorator: ast.expr) -> Route | None:
    if not isinstance(decorator, ast.Call):
        return None
    method = _routing_method(module, decorator.func)
    if method is None:
        return None
    path = _path(decorator)
    options = {keyword.arg: keyword.value for keyword in decorator.keywords if keyword.arg}
    methods = (method.upper(),) if method in METHODS else _methods(options.get("methods"))
    return Route(node, decorator, methods, path, parameters_of(module, node, path), options)


def is_registration(module: Module, decorator: ast.expr) -> bool:
    """Return whether a decorator makes a function a route."""
    return isinstance(decorator, ast.Call) and _routing_method(module, decorator.func) is not None


def _registered(module: Module, call: ast.Call) -> Route | None:
    """Read ``router.add_api_route("/x", f)`` and ``router.get("/x")(f)``."""
    target: ast.expr | None = None
    source = call
    if isinstance(call.func, ast.Attribute) and call.func.attr in {"add_api_route", "add_route"}:
        options = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        target = call.args[1] if len(call.args) > 1 else options.get("endpoint")
        methods = _methods(options.get("methods"))
    elif isinstance(call.func, ast.Call) and _routing_method(module, call.func.func) and call.args:
        source = call.func
        method = _routing_method(module, source.func) or ""
        options = {keyword.arg: keyword.value for keyword in source.keywords if keyword.arg}
        methods = (method.upper(),) if method in METHODS else _methods(options.get("methods"))
        target = call.args[0]
    if not isinstance(target, ast.Name) or target.id not in module.functions:
        return None
    node = module.functions[target.id]
    path = _path(source)
    return Route(node, call, methods, path, parameters_of(module, node, path), options)


def _routing_method(module: Module, function: ast.expr) -> str | None:
    if not isinstance(function, ast.Attribute) or function.attr not in ROUTING:
        return None
    base = function.value
    if module.value(base).types & ROUTERS or (module.resolve(base) or "") in ROUTERS:
        return function.attr
    if isinstance(base, ast.Name):
        made = module.aliases.get(base.id)
        if isinstance(made, ast.Call) and module.resolve(made.func) in ROUTERS:
            return function.attr
        if made is None and _ROUTER_NAMES.search(base.id):
            return function.attr
    if isinstance(base, ast.Attribute) and _ROUTER_NAMES.search(base.attr):
        return function.attr
    return None


def _path(call: ast.Call) -> str:
    for node in [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "path")]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
    return ""


def _methods(node: ast.expr | None) -> tuple[str, ...]:
    if not isinstance(node, ast.List | ast.Tuple | ast.Set):
        return ()
    return tuple(
        item.value.upper() for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)
    )


def parameters_of(
    module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef, path: str = "", *, skip_self: bool = False
) -> tuple[Parameter, ...]:
    """Return what FastAPI would make of the parameters of a handler or dependency."""
    arguments = [*node.args.posonlyargs, *node.args.args]
    defaults: list[ast.expr | None] = [None] * (len(arguments) - len(node.args.defaults))
    defaults += node.args.defaults
    pairs = [*zip(arguments, defaults, strict=True), *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    in_path = set(_PLACEHOLDER.findall(path))
    if skip_self:
        pairs = pairs[1:]
    return tuple(_parameter(module, argument, default, in_path) for argument, default in pairs)


def _parameter(module: Module, argument: ast.arg, default: ast.expr | None, in_path: set[str]) -> Parameter:
    annotation = module.annotation(argument.annotation)
    markers = list(calls_in(annotation))
    if isinstance(default, ast.Call):
        markers.append(default)
    for marker in markers:
        source = _MARKERS.get(module.resolve(marker.func) or "")
        if source == "dependency":
            return Parameter(argument.arg, argument, annotation, source, default, _depends(marker))
        if source is not None:
            return Parameter(argument.arg, argument, annotation, source, default)
    source = _guess(module, argument.arg, annotation, in_path)
    return Parameter(argument.arg, argument, annotation, source, default)


def _guess(module: Module, name: str, annotation: Annotation, in_path: set[str]) -> Source:  # noqa: PLR0911 - one for each kind
    if name in in_path:
        return "path"
    types = annotation.types
    if types & SCAFFOLD or any(
        kind.startswith("app.") and kind.split(".")[1] in {"dependencies", "upstreams"} for kind in types
    ):
        return "scaffold"
    if "sqlalchemy.ext.asyncio.AsyncSession" in types:
        return "scaffold"
    if "fastapi.UploadFile" in types or (annotation.items and "fastapi.UploadFile" in annotation.items.types):
        return "file"
    if any(module.is_model(kind) for kind in types) or annotation.container:
        return "body"
    if types and not any(kind.startswith(("builtins.", "typing.", "datetime.", "uuid.", "decimal.")) for kind in types):
        return (
            "query" if any(module.is_a(kind, "enum.Enum", "enum.StrEnum", "enum.IntEnum") for kind in types) else "body"
        )
    return "query"


def _depends(marker: ast.Call) -> ast.expr | None:
    if marker.args:
        return marker.args[0]
    return next((keyword.value for keyword in marker.keywords if keyword.arg == "dependency"), None)


def prefix_of(module: Module, route: Route) -> str:
    """Return what the router of a route puts before its path, if that is constant."""
    registration = route.registration
    if (
        isinstance(registration, ast.Call)
        and isinstance(registration.func, ast.Attribute)
        and isinstance(registration.func.value, ast.Name)
    ):
        made = module.aliases.get(registration.func.value.id)
        for keyword in made.keywords if isinstance(made, ast.Call) else ():
            if keyword.arg == "prefix" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return ""
