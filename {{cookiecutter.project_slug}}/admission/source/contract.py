"""What a module takes from clients and gives them: the models of its requests, their bounds, and its answers."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from admission.source.annotations import NUMBERS, UNKNOWN, Annotation, calls_in
from admission.source.canonical import looks_like_class
from admission.source.match import calls, method
from admission.source.module import is_definition
from admission.source.routes import ROUTERS, Parameter, Route, parameters_of
from admission.source.tree import inside
from admission.source.validators import may_bound, pattern_bounds, text_said
from admission.source.values import INPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from admission.source.module import Call, Module
    from admission.source.values import Value

TEXTS: Final = frozenset(
    {
        "builtins.str",
        "builtins.bytes",
        "pydantic.SecretStr",
        "pydantic.SecretBytes",
        "pydantic.StrictStr",
        "pydantic.StrictBytes",
        "pydantic.AnyUrl",
        "builtins.bytearray",
        "pydantic.Base64Str",
        "pydantic.Json",
    }
)
OPEN: Final = frozenset({"typing.Any", "builtins.object", "builtins.dict", "typing.Dict", "pydantic.JsonValue"})
UPPER: Final = frozenset({"le", "lt", "max_digits"})
LENGTH: Final = frozenset({"max_length", "max_items"})
_VALIDATING: Final = frozenset(
    {"model_validate", "parse_obj", "model_validate_json", "parse_raw", "validate_python", "validate_json"}
)


@dataclass(frozen=True, slots=True)
class Taken:
    """One value that a client gives: a parameter or a field of a model.

    Attributes:
        name: its name.
        node: where it is declared.
        annotation: what its annotation says.
        source: ``path``, ``query``, ``header``, ``cookie``, ``form``, ``file``, ``body`` or ``field``.
        bounds: keyword arguments of everything that bounds it, with their expressions.
        owner: the model or function that declares it.
    """

    name: str
    node: ast.AST
    annotation: Annotation
    source: str
    bounds: dict[str, ast.expr]
    owner: ast.AST


def taken(module: Module) -> Iterator[Taken]:
    """Yield everything that clients give, once each."""
    for owner, parameter in input_parameters(module):
        if parameter.source not in {"dependency", "scaffold"}:
            yield Taken(
                parameter.name,
                parameter.node,
                parameter.annotation,
                parameter.source,
                bounds_of(module, [*parameter.markers()]),
                owner,
            )
    for name in sorted(input_models(module)):
        info = module.classes[name]
        for field, declared in info.fields.items():
            annotation = module.annotation(declared.annotation)
            if (
                "ClassVar" in ast.unparse(declared.annotation)
                or field == "model_config"
                or _is_made_inside(module, name, field, declared)
            ):
                continue
            markers = [*calls_in(annotation), *([declared.value] if isinstance(declared.value, ast.Call) else [])]
            yield Taken(
                field,
                declared,
                annotation,
                "field",
                bounds_of(module, markers) | _config_bounds(module, name),
                info.node,
            )


def _is_made_inside(module: Module, name: str, field: str, declared: ast.AnnAssign) -> bool:
    """Return whether nobody outside can give a field: a private attribute, `field(init=False)`."""
    if field.startswith("_") and module.is_a(name, "pydantic.BaseModel", "pydantic.RootModel"):
        return True
    return isinstance(declared.value, ast.Call) and any(
        keyword.arg == "init" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for keyword in declared.value.keywords
    )


def input_parameters(module: Module) -> Iterator[tuple[ast.AST, Parameter]]:
    """Yield the parameters of route handlers and of the functions they depend on, those that a router lists too."""
    seen: set[ast.AST] = set()
    waiting: list[tuple[ast.AST, tuple[Parameter, ...]]] = [(route.node, route.parameters) for route in module.routes]
    for node in dict.fromkeys(node for route in module.routes for node in listed_dependencies(module, route.options)):
        waiting += _provided_by(module, module.value(node))
    while waiting:
        owner, parameters = waiting.pop()
        if owner in seen:
            continue
        seen.add(owner)
        for parameter in parameters:
            yield owner, parameter
            if parameter.source == "dependency":
                waiting += _provider_parameters(module, parameter)


def _provider_parameters(module: Module, parameter: Parameter) -> Iterator[tuple[ast.AST, tuple[Parameter, ...]]]:
    """Yield the functions that provide a dependency, those of objects that are called among them, each with its own parameters."""
    names = None if parameter.depends is not None else parameter.annotation.types
    yield from _provided_by(module, module.value(parameter.depends), names)


def _provided_by(
    module: Module, provider: Value, names: Iterable[str] | None = None
) -> Iterator[tuple[ast.AST, tuple[Parameter, ...]]]:
    """Yield what FastAPI calls of what stands in ``Depends(...)``; without that, the constructors of the classes that are named."""
    for function in provider.functions:
        if is_definition(function.node):
            yield function.node, parameters_of(module, function.node)[len(function.bound) :]
    for kind in provider.types:
        called = module.method_of(kind, "__call__")
        if called is not None:
            yield called, parameters_of(module, called, skip_self=True)
    for name in provider.names if names is None else names:
        made = module.method_of(name, "__init__")
        if made is not None:
            yield made, parameters_of(module, made, skip_self=True)


def dependencies_of(module: Module, function: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the functions that FastAPI calls before a route handler or dependency, those that they depend on too."""
    found: dict[ast.FunctionDef | ast.AsyncFunctionDef, None] = {}
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if not is_definition(current):
            continue
        route = next((route for route in module.routes if route.node is current), None)
        parameters = [parameter for parameter in parameters_of(module, current) if parameter.source == "dependency"]
        providers = [owner for parameter in parameters for owner, _ in _provider_parameters(module, parameter)]
        for node in listed_dependencies(module, route.options) if route is not None else ():
            providers += [made.node for made in module.value(node).functions]
            providers += [
                method
                for kind in module.value(node).types
                if (method := module.method_of(kind, "__call__")) is not None
            ]
            providers += [
                method
                for name in module.value(node).names
                if (method := module.method_of(name, "__init__")) is not None
            ]
        new = [
            provider
            for provider in providers
            if is_definition(provider) and provider not in found and provider is not function
        ]
        found |= dict.fromkeys(new)
        waiting += new
    return list(found)


def listed_dependencies(module: Module, options: dict[str, ast.expr]) -> Iterator[ast.expr]:
    """Yield what stands in ``Depends(...)`` in the ``dependencies`` of a route and of the module's routers."""
    lists = [options.get("dependencies")]
    for made in module.walk(ast.Call):
        if isinstance(made, ast.Call) and module.resolve(made.func) in ROUTERS:
            lists += [keyword.value for keyword in made.keywords if keyword.arg == "dependencies"]
    for listed in lists:
        shown = module.given.get((None, listed.id), [listed])[-1] if isinstance(listed, ast.Name) else listed
        for each in shown.elts if isinstance(shown, ast.List | ast.Tuple) else ():
            said = module.aliases.get(each.id, each) if isinstance(each, ast.Name) else each
            if isinstance(said, ast.Call) and said.args:
                yield said.args[0]


def is_helper(module: Module) -> bool:
    """Return whether a module is a helper of handlers (`_NAME.py`), whose models of requests nobody in it takes."""
    return PurePosixPath(module.file).name.startswith("_")


def input_models(module: Module) -> set[str]:
    """Return the classes of this module that a request is read into, those in their fields too."""
    waiting: list[str] = []
    for _, parameter in input_parameters(module):
        if parameter.source != "scaffold" and parameter.depends is None:  # what a provider returns is the provider's
            waiting += _types_in(parameter.annotation)
        provided = module.value(parameter.depends).names
        waiting += [name for name in provided if module.method_of(name, "__init__") is None]
    for call in calls(module):
        waiting += _validated_classes(module, call)
    if is_helper(module):
        waiting += [
            name for name in module.classes if text_said(module, config_of(module, name).get("extra")) == "forbid"
        ]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or not module.is_model(name) or name not in module.classes:
            continue
        found.add(name)
        waiting += module.bases_of(name)
        for declared in module.classes[name].fields.values():
            waiting += _types_in(module.annotation(declared.annotation))
    return found


def _validated_classes(module: Module, call: Call) -> Iterator[str]:
    """Yield the classes that a call reads what the client sent into."""
    unknown = call.keywords.get("**")
    if unknown is not None and INPUT in unknown.all_labels():
        yield from (name for name in call.names if name in module.classes)
    if method(call) not in _VALIDATING or not any(_is_raw(value) for value in call.args):
        return
    yield from (name.rpartition(".")[0] for name in call.names)
    node = call.node.func
    if isinstance(node, ast.Attribute):
        yield from _types_in(module.annotation(node.value))
        adapter = module.aliases.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
        for argument in adapter.args if isinstance(adapter, ast.Call) else ():
            yield from _types_in(module.annotation(argument))


def _is_raw(value: Value) -> bool:
    """Return whether a value is what a client sent, and not an object that was made with some of it."""
    return INPUT in value.all_labels() and not any(
        looks_like_class(kind) and not kind.startswith("fastapi.") for kind in value.types
    )


def _types_in(annotation: Annotation, depth: int = 0) -> list[str]:
    found = list(annotation.types)
    for part in (annotation.items, annotation.keys):
        if part is not None and depth < 6:
            found += _types_in(part, depth + 1)
    return found


def bounds_of(module: Module, markers: list[ast.Call]) -> dict[str, ast.expr]:
    """Return the keyword arguments of everything that bounds a value."""
    bounds: dict[str, ast.expr] = {}
    for marker in markers:
        name = (module.resolve(marker.func) or "").rpartition(".")[2]
        if name in {"Le", "Lt", "Ge", "Gt", "MaxLen", "MinLen"} and marker.args:
            bounds[{"MaxLen": "max_length", "MinLen": "min_length"}.get(name, name.lower())] = marker.args[0]
        elif name == "Len" and len(marker.args) > 1:
            bounds["max_length"] = marker.args[1]
        elif name in {"AfterValidator", "BeforeValidator", "PlainValidator", "WrapValidator"} and may_bound(
            module, marker
        ):
            bounds["validator"] = marker
        for keyword in marker.keywords:
            if keyword.arg is None:
                value = module.value(keyword.value)
                bounds |= {key: keyword.value for key, _ in value.fields}
            elif not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None):
                bounds[keyword.arg] = keyword.value
    return bounds


def _config_bounds(module: Module, name: str) -> dict[str, ast.expr]:
    for base in module.bases_of(name):
        info = module.classes.get(base)
        config = config_of(module, base) if info is not None else {}
        if "str_max_length" in config:
            return {"str_max_length": config["str_max_length"]}
    return {}


def config_of(module: Module, name: str) -> dict[str, ast.expr]:
    """Return the configuration of a pydantic model, in any of its three forms."""
    info = module.classes[name]
    config = {keyword.arg: keyword.value for keyword in info.node.keywords if keyword.arg}
    said = info.assigned.get("model_config") or (
        info.fields["model_config"].value if "model_config" in info.fields else None
    )
    config |= _settings_in(module, said)
    for part in info.node.body:
        if isinstance(part, ast.ClassDef) and part.name == "Config":
            config |= {
                target.id: each.value
                for each in part.body
                if isinstance(each, ast.Assign)
                for target in each.targets
                if isinstance(target, ast.Name)
            }
    return config


def _settings_in(module: Module, node: ast.expr | None, depth: int = 0) -> dict[str, ast.expr]:
    """Return what a configuration says: a call, a dictionary, a name of one, what is spread into it, and the union of two."""
    found: dict[str, ast.expr] = {}
    if depth > _SPREADS:
        return found
    parts: list[tuple[str | None, ast.expr]] = []
    if isinstance(node, ast.Name):
        parts = [(None, given) for given in module.given.get((None, node.id), [])[-1:]]
    elif isinstance(node, ast.Call):
        parts = [
            *((None, argument) for argument in node.args),
            *((keyword.arg, keyword.value) for keyword in node.keywords),
        ]
    elif isinstance(node, ast.Dict):
        keys = [str(key.value) if isinstance(key, ast.Constant) else None for key in node.keys]
        parts = list(zip(keys, node.values, strict=True))
    elif isinstance(node, ast.BinOp):
        parts = [(None, node.left), (None, node.right)]
    elif isinstance(node, ast.Attribute):
        owner = module.classes.get(module.resolve(node.value) or "")
        given = owner.assigned.get(node.attr) if owner is not None else None
        parts = [(None, given)] if given is not None else []
    for name, value in parts:
        found |= {name: value} if name is not None else _settings_in(module, value, depth + 1)
    return found


_SPREADS: Final = 6


def is_text(annotation: Annotation) -> bool:
    """Return whether a value may be free text."""
    return bool(annotation.types & TEXTS)


def is_number(annotation: Annotation) -> bool:
    """Return whether a value is a number of any size."""
    return bool(annotation.types & NUMBERS)


def bounds_text(module: Module, item: Taken) -> bool:
    """Return whether something bounds the length of a text."""
    if item.bounds.keys() & (LENGTH | {"validator", "str_max_length"}):
        return True
    return pattern_bounds(module, item.bounds) or _checked(module, item, length=True)


def bounds_number(module: Module, item: Taken) -> bool:
    """Return whether something bounds a number from above."""
    return bool(item.bounds.keys() & (UPPER | {"validator"})) or _checked(module, item, length=False)


def bounds_collection(module: Module, item: Taken) -> bool:
    """Return whether something bounds the number of elements."""
    return bool(item.bounds.keys() & (LENGTH | {"validator"})) or _checked(module, item, length=True)


def _checked(module: Module, item: Taken, *, length: bool) -> bool:
    """Return whether the code itself bounds a value: by ``min(limit, 100)``, or by a check that refuses."""
    for scope in _scopes(item):
        for part in inside(scope):
            if (
                isinstance(part, ast.Call)
                and "builtins.min" in module.value(part.func).names
                and not length
                and any(_means(argument, item) for argument in part.args)
            ):
                return True
            if (
                isinstance(part, ast.Compare)
                and any(_compares(side, item, length=length) for side in (part.left, *part.comparators))
                and not isinstance(part.ops[0], ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn)
            ) and _bounds_above(part, item, length=length):
                return True
    return False


def _bounds_above(part: ast.Compare, item: Taken, *, length: bool) -> bool:
    """Return whether a comparison looks at the upper end: `x > 100`, `1 <= x <= 100`, not `x < 1`."""
    sides = [part.left, *part.comparators]
    for position, operator in enumerate(part.ops):
        left, right = sides[position], sides[position + 1]
        if _compares(left, item, length=length) and isinstance(operator, ast.Gt | ast.GtE) and not _is_small(right):
            return True
        if _compares(left, item, length=length) and isinstance(operator, ast.Lt | ast.LtE) and not _is_small(right):
            return True
        if (
            _compares(right, item, length=length)
            and isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
            and not _is_small(left)
        ):
            return True
    return False


def _is_small(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value <= 1


def _scopes(item: Taken) -> Iterator[ast.AST]:
    """Yield where a check of this value may stand: its function, its model's validators, the handlers that take it."""
    if is_definition(item.owner):
        yield item.owner
        return
    if isinstance(item.owner, ast.ClassDef):
        for part in item.owner.body:
            if is_definition(part):
                yield part


def _compares(node: ast.expr, item: Taken, *, length: bool) -> bool:
    if length:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "len"
            and bool(node.args)
            and _means(node.args[0], item)
        )
    return _means(node, item)


def _means(node: ast.expr, item: Taken) -> bool:
    """Return whether an expression is this value: the parameter, ``self.field``, or the value a validator is given."""
    if isinstance(node, ast.Name):
        if is_definition(item.owner):
            return node.id == item.name
        return isinstance(item.owner, ast.ClassDef) and any(
            is_definition(part)
            and _validates(part, item.name)
            and any(argument.arg == node.id for argument in part.args.args)
            for part in item.owner.body
        )
    return (
        isinstance(node, ast.Attribute)
        and node.attr == item.name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _validates(function: ast.AST, field: str) -> bool:
    """Return whether a validator is for a field."""
    for decorator in getattr(function, "decorator_list", []):
        if isinstance(decorator, ast.Call) and any(
            isinstance(argument, ast.Constant) and argument.value in {field, "*"} for argument in decorator.args
        ):
            return True
    return False


def answer_of(
    module: Module, route_node: ast.FunctionDef | ast.AsyncFunctionDef, options: dict[str, ast.expr]
) -> Annotation:
    """Return what a route says that it answers."""
    said = options.get("response_model")
    if said is not None and not (isinstance(said, ast.Constant) and said.value is None):
        return module.annotation(said)
    return module.annotation(route_node.returns) if route_node.returns is not None else UNKNOWN


def answer_models(module: Module, *routes: Route) -> set[str]:
    """Return the classes of this module that answers of these routes, or of all, are made of, those in their fields too."""
    waiting = [
        kind for route in routes or module.routes for kind in _types_in(answer_of(module, route.node, route.options))
    ]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in module.classes:
            continue
        found.add(name)
        waiting += list(module.classes[name].bases)
        for declared in module.classes[name].fields.values():
            waiting += _types_in(module.annotation(declared.annotation))
    return found
