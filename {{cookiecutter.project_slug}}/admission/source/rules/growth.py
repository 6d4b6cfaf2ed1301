"""BW504: what lives as long as the process, and what requests add to it or leave in it for one another."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.expressions import path_of
from admission.source.match import calls, is_constant, named, names_in
from admission.source.module import is_definition, is_function
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside
from admission.source.values import INPUT, SHAPED, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import ClassInfo, Module

registry = Registry()

_GROWS: Final = frozenset(
    {
        "append",
        "add",
        "extend",
        "insert",
        "update",
        "setdefault",
        "appendleft",
        "put",
        "put_nowait",
        "push",
        "__setitem__",
    }
)
_SHRINKS: Final = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard", "move_to_end", "expire"})
_CONTAINERS: Final = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.set",
        "collections.defaultdict",
        "collections.OrderedDict",
        "collections.Counter",
        "collections.deque",
        "asyncio.Queue",
        "queue.Queue",
        "weakref.WeakValueDictionary",
        "queue.SimpleQueue",
        "asyncio.LifoQueue",
        "asyncio.PriorityQueue",
        "collections.ChainMap",
        "builtins.bytearray",
    }
)


@registry.rule("BW504", "Module state that grows or is shared")
def growing(module: Module) -> Iterator[Fault]:
    """Point at containers of the module that requests add to and that nothing bounds, and at what one request leaves for the next."""
    message = "This grows with every request, is never emptied, is lost at a restart, and is another one in each worker process."
    mend = "Keep it in the database: `session.add(...)`; a cache needs a bound: `functools.lru_cache(maxsize=256)`."
    sources = (_growing_globals, _growing_attributes, _growing_closures, _growing_defaults, _growing_caches)
    for source in sources:
        for place in source(module):
            yield Fault(place, message, mend)
    for place in _left_behind(module):
        yield Fault(
            place,
            "One object serves all requests, and this is of one of them. Between two awaits another request overwrites it, and works with it.",
            "Hand it on: a parameter of the method; or make the object in the handler.",
        )
    for place in _kept_for_all(module):
        yield Fault(
            place,
            "What was read for one caller is kept under a key that does not say for whom, and is answered to whoever asks next.",
            "Leave the cache out; or put the caller into the key: `(caller.tenant, caller.subject, month)`.",
        )


def _left_behind(module: Module) -> Iterator[ast.AST]:
    """Yield where an object, or a name, of the module is given what is of one request: who is calling, what was sent, whose row it is."""
    lasting = {
        name: value
        for (home, name), values in module.given.items()
        if home is None
        for value in values
        if isinstance(value, ast.Call) and module.value(value.func).names & module.classes.keys()
    }
    kinds = {kind for value in lasting.values() for kind in module.value(value.func).names & module.classes.keys()}
    methods = {
        method
        for kind in kinds
        for base in module.bases_of(kind)
        if base in module.classes
        for method in module.classes[base].methods.values()
        if method.name not in {"__init__", "__post_init__"}
    }
    shared = {
        (module.function_of(part), name)
        for part in module.walk(ast.Global)
        if isinstance(part, ast.Global)
        for name in part.names
    }
    for node in module.walk(ast.Assign):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            function = module.function_of(node)
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                owner = target.value.id
                lasts = (owner in lasting and function is not None and not _is_local(function, owner)) or (
                    owner == "self" and function in methods
                )
            else:
                lasts = isinstance(target, ast.Name) and (function, target.id) in shared
            # What is added to is no memory of one request.
            if (
                lasts
                and isinstance(node, ast.Assign)
                and _is_of_request(module, node.value)
                and path_of(target) not in {path_of(part) for part in inside(node.value) if isinstance(part, ast.expr)}
            ):
                yield node


def _is_of_request(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    labels = value.all_labels()
    owned = any(label.startswith(TABLE) and module.is_owned(label.removeprefix(TABLE)) for label in labels)
    return bool(labels & {INPUT, SHAPED}) or owned or any(_is_caller(name) for name in (*value.names, *value.types))


def _is_caller(name: str) -> bool:
    return any(
        name == kind or name.startswith(f"{kind}.") for kind in ("app.dependencies.Caller", "app.dependencies.Identity")
    )


def _kept_for_all(module: Module) -> Iterator[ast.AST]:
    """Yield where a container of the module keeps what was read out of somebody's rows, under a key without the caller."""
    for name, _ in _module_containers(module):
        for node in module.walk(ast.Assign):
            function = module.function_of(node)
            if not isinstance(node, ast.Assign) or function is None or _is_local(function, name):
                continue
            for target in node.targets:
                if (
                    isinstance(target, ast.Subscript)
                    and path_of(target.value) == name
                    and _is_somebodys(module, node.value)
                    and not _names_caller(module, target.slice)
                ):
                    yield node


def _is_somebodys(module: Module, node: ast.expr) -> bool:
    """Return whether a value is made of rows of a table that is `Owned`."""
    parts = [part for piece in pieces_of(module, node) for part in inside(piece) if isinstance(part, ast.Name)]
    return any(module.is_owned(name) for part in parts for name in module.value(part).names if module.is_table(name))


def _names_caller(module: Module, key: ast.expr) -> bool:
    return any(
        _is_caller(name)
        for piece in pieces_of(module, key)
        for part in inside(piece)
        if isinstance(part, ast.Name | ast.Attribute)
        for name in (*module.value(part).names, *module.value(part).types)
    )


def _growing_globals(module: Module) -> Iterator[ast.AST]:
    for name, node in _module_containers(module):
        if not _is_bounded(module, node) and not _is_evicted(module.tree, name):
            yield from _growth(module, name)


def _growing_attributes(module: Module) -> Iterator[ast.AST]:
    """Yield growth of what an object or a class that lives on holds."""
    for info in module.classes.values():
        for name, node in _attributes(module, info) if _lives_on(module, info) else ():
            paths = (f"self.{name}", f"cls.{name}")
            if not _is_bounded(module, node) and not any(_is_evicted(info.node, path) for path in paths):
                for path in paths:
                    yield from _growth(module, path, info.node)
                yield from _growth(module, f"{info.node.name}.{name}")


def _growing_caches(module: Module) -> Iterator[ast.AST]:
    """Yield caches of results that have no size."""
    for call in calls(module):
        size = call.argument(0, "maxsize")
        if (named(call, {"functools.lru_cache"}) and size is not None and is_constant(size, None)) or (
            named(call, {"functools.cache"}) and call.node.args
        ):
            yield call.node
    for function in module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        for decorator in getattr(function, "decorator_list", []):
            if module.resolve(decorator) == "functools.cache" and _takes_arguments(function):
                yield decorator


def _growing_closures(module: Module) -> Iterator[ast.AST]:
    """Yield growth of a container that a decorator keeps for what it wraps, or that a factory keeps for what it made for the module."""
    decorators = {
        module.functions[name].name
        for function in module.walk(ast.FunctionDef, ast.AsyncFunctionDef)
        for decorator in getattr(function, "decorator_list", [])
        for name in names_in(decorator)
        if name in module.functions
    }
    made = {
        name
        for name, function in module.functions.items()
        if any(_runs_once(module, call.node) for call in module.callers.get(function, []))
    }
    for name in sorted(decorators | made):
        outer = module.functions[name]
        for part in inside(outer):
            if (
                isinstance(part, ast.Assign | ast.AnnAssign)
                and part.value is not None
                and _is_container(module, part.value)
            ) and (module.function_of(part) is outer or is_definition(module.function_of(part) or outer)):
                for target in part.targets if isinstance(part, ast.Assign) else [part.target]:
                    if isinstance(target, ast.Name) and not _is_evicted(outer, target.id):
                        # A generator goes on where it stopped: what it holds itself lives as long as it does.
                        lives = any(isinstance(inner, ast.Yield) for inner in inside(outer)) and name in made
                        places = (
                            place
                            for place in _adding(outer, target.id)
                            if lives or module.function_of(place) is not module.function_of(part)
                        )
                        yield from (
                            place
                            for place in places
                            if lives or not _is_local(module.function_of(place) or outer, target.id)
                        )


def _growing_defaults(module: Module) -> Iterator[ast.AST]:
    """Yield growth of a default: it is made once, and every call adds to it."""
    for function in module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        if not is_definition(function):
            continue
        arguments = [*function.args.posonlyargs, *function.args.args]
        defaults = function.args.defaults
        pairs = [
            *zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True),
            *zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True),
        ]
        for argument, default in pairs:
            if default is not None and _is_container(module, default):
                yield from (part for part in inside(function) if _adds(part, argument.arg))


def _takes_arguments(function: ast.AST) -> bool:
    return isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and bool(
        function.args.args or function.args.kwonlyargs or function.args.vararg
    )


def _bound(node: ast.AST) -> tuple[list[ast.expr], ast.expr | None]:
    """Return what an assignment binds, and to what; of anything else nothing."""
    if isinstance(node, ast.Assign):
        return node.targets, node.value
    if isinstance(node, ast.AnnAssign):
        return [node.target], node.value
    return [], None


def _module_containers(module: Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in module.tree.body:
        targets, value = _bound(statement)
        for target in targets:
            if isinstance(target, ast.Name) and value is not None and _is_container(module, value):
                yield target.id, value


def _is_container(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Dict | ast.List | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    names = module.value(node.func).names | {module.resolve(node.func) or ""} if isinstance(node, ast.Call) else ()
    return any(module.is_a(name, *_CONTAINERS) for name in names)


def _makes_container(module: Module, node: ast.expr) -> bool:
    """Return whether a field begins as a container of its own: `field(default_factory=set)`."""
    if not isinstance(node, ast.Call) or not module.value(node.func).names & {
        "dataclasses.field",
        "pydantic.Field",
        "pydantic.PrivateAttr",
    }:
        return False
    made = next((keyword.value for keyword in node.keywords if keyword.arg == "default_factory"), None)
    if isinstance(made, ast.Lambda):
        return _is_container(module, made.body)
    return made is not None and bool(module.value(made).names & _CONTAINERS)


def _is_bounded(module: Module, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    names = module.value(node.func).names
    if names & {"collections.deque"}:
        return any(keyword.arg == "maxlen" for keyword in node.keywords) or len(node.args) > 1
    if any(name.endswith("Queue") for name in names):
        said = (
            node.args[0]
            if node.args
            else next((keyword.value for keyword in node.keywords if keyword.arg == "maxsize"), None)
        )
        return said is not None and not is_constant(module.value(said), 0)
    return bool(names & {"weakref.WeakValueDictionary"})


def _is_evicted(scope: ast.AST, path: str) -> bool:
    """Return whether something bounds a container: it shrinks, and its length is looked at."""
    shrinks = measured = False
    for part in inside(scope):
        if (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr in _SHRINKS
            and path_of(part.func.value) == path
        ) or (
            isinstance(part, ast.Delete)
            and any(isinstance(target, ast.Subscript) and path_of(target.value) == path for target in part.targets)
        ):
            shrinks = True
        elif isinstance(part, ast.Compare) and any(
            isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Name)
            and inner.func.id == "len"
            and inner.args
            and path_of(inner.args[0]) == path
            for inner in inside(part)
        ):
            measured = True
    return measured and (shrinks or _refuses_when_full(scope, path))


def _refuses_when_full(scope: ast.AST, path: str) -> bool:
    for part in inside(scope):
        if isinstance(part, ast.If) and any(
            isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Name)
            and inner.func.id == "len"
            and inner.args
            and path_of(inner.args[0]) == path
            for inner in inside(part.test)
        ):
            return any(isinstance(inner, ast.Raise | ast.Return) for inner in part.body)
    return False


def _growth(module: Module, path: str, scope: ast.AST | None = None) -> Iterator[ast.AST]:
    """Yield where a function adds to a container."""
    for part in inside(scope if scope is not None else module.tree):
        if not _adds(part, path):
            continue
        function = module.function_of(part)
        if function is None or getattr(function, "name", "") in {"__init__", "__post_init__"}:
            continue
        if "." in path or not _is_local(function, path):
            yield part


def _adding(scope: ast.AST, path: str) -> Iterator[ast.AST]:
    return (part for part in inside(scope) if _adds(part, path))


def _adds(part: ast.AST, path: str) -> bool:
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in _GROWS:
        base = part.func.value
        return path_of(base) == path or (isinstance(base, ast.Subscript) and path_of(base.value) == path)
    if isinstance(part, ast.Assign):
        return any(_is_new_key(target, path) for target in part.targets)
    return isinstance(part, ast.AugAssign) and (path_of(part.target) == path or _is_new_key(part.target, path))


def _is_new_key(target: ast.expr, path: str) -> bool:
    constant = True
    while isinstance(target, ast.Subscript):  # `TYPING[room][who] = now` too
        constant = constant and isinstance(target.slice, ast.Constant)
        target = target.value
        if path_of(target) == path:
            return not constant
    return False


def _is_local(function: ast.AST, name: str) -> bool:
    """Return whether a function has a name of its own: a parameter, or something it assigns without ``global``."""
    arguments = getattr(function, "args", None)
    if arguments is not None and any(argument.arg == name for argument in (*arguments.args, *arguments.kwonlyargs)):
        return True
    if any(isinstance(part, ast.Global) and name in part.names for part in inside(function)):
        return False
    return any(
        isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store) for part in inside(function)
    )


def _lives_on(module: Module, info: ClassInfo) -> bool:
    """Return whether an instance of a class outlives a request, or its attributes belong to the class itself."""
    if any(
        value is not None and _is_container(module, value)
        for value in (*info.assigned.values(), *(declared.value for declared in info.fields.values()))
    ) and not module.is_model(info.name):
        return True
    return any(info.name in call.names and _runs_once(module, call.node) for call in module.calls.values())


def _runs_once(module: Module, node: ast.AST) -> bool:
    """Return whether an expression is evaluated when the module is loaded: outside of functions, or in a decorator or default of one."""
    child: ast.AST = node
    for parent in module.ancestors(node):
        if is_function(parent) and (isinstance(parent, ast.Lambda) or child in parent.body):
            return False
        child = parent
    return True


def _attributes(module: Module, info: ClassInfo) -> Iterator[tuple[str, ast.expr]]:
    for name, value in info.assigned.items():
        if _is_container(module, value):
            yield name, value
    for name, declared in info.fields.items():
        if declared.value is not None and (
            (_is_container(module, declared.value) and not module.is_model(info.name))
            or _makes_container(module, declared.value)
        ):
            yield name, declared.value
    for function in info.methods.values():
        if function.name in {"__init__", "__post_init__"}:
            for part in inside(function):
                targets, made = _bound(part)
                for target in targets:
                    if (
                        isinstance(target, ast.Attribute)
                        and isinstance(target.value, ast.Name)
                        and target.value.id == "self"
                        and made is not None
                        and _is_container(module, made)
                    ):
                        yield target.attr, made
