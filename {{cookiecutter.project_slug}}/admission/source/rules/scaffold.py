"""BW503, BW504, BW506, BW508: the scaffold is not the handler's, nor the process, nor the transaction."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.canonical import last
from admission.source.declare import Fault, Registry
from admission.source.expressions import path_of
from admission.source.match import argument_node, calls, is_constant, method, named, names_in, text_of
from admission.source.module import is_definition
from admission.source.rules.rows import is_session_call
from admission.source.tree import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, ClassInfo, Module

registry = Registry()

_PATCHING: Final = frozenset(
    {
        "unittest.mock.patch",
        "unittest.mock.patch.object",
        "unittest.mock.patch.dict",
        "mock.patch",
        "ctypes.pythonapi",
        "gc.get_referrers",
        "gc.get_objects",
        "sys._getframe",
        "inspect.currentframe",
        "inspect.stack",
        "sys.settrace",
        "sys.setprofile",
        "threading.settrace",
        "sys.setrecursionlimit",
        "forbiddenfruit.curse",
        "builtins.object.__setattr__",
        "sys.addaudithook",
        "gc.freeze",
        "gc.disable",
        "builtins.type.__setattr__",
        "gc.set_threshold",
    }
)
_PROCESS: Final = frozenset(
    {
        "sys.exit",
        "os._exit",
        "os.abort",
        "os.kill",
        "os.killpg",
        "signal.signal",
        "signal.alarm",
        "signal.raise_signal",
        "builtins.exit",
        "builtins.quit",
        "atexit.register",
        "asyncio.set_event_loop_policy",
        "asyncio.set_event_loop",
        "os.chdir",
        "os.umask",
        "os.setuid",
        "os.setgid",
        "os.nice",
        "resource.setrlimit",
        "logging.disable",
        "logging.basicConfig",
        "logging.config.dictConfig",
        "logging.shutdown",
        "logging.captureWarnings",
        "warnings.filterwarnings",
        "warnings.simplefilter",
        "structlog.configure",
        "locale.setlocale",
        "decimal.setcontext",
        "socket.setdefaulttimeout",
        "asyncio.AbstractEventLoop.stop",
        "asyncio.AbstractEventLoop.set_exception_handler",
        "uvicorn.run",
        "random.seed",
        "sys.setswitchinterval",
        "faulthandler.enable",
        "os.chroot",
        "builtins.SystemExit",
        "logging.setLoggerClass",
        "signal.set_wakeup_fd",
        "time.tzset",
    }
)
_OF_REQUEST: Final = frozenset(
    {
        "app",
        "state",
        "scope",
        "dependency_overrides",
        "router",
        "middleware_stack",
        "user_middleware",
        "exception_handlers",
    }
)
_MEND: Final = "Take it out. A handler asks for what it needs in its signature; what the service does is changed in the service, by people."


@registry.rule("BW503", "The scaffold or the process is changed")
def patched(module: Module) -> Iterator[Fault]:
    """Point at assignments into modules and classes of others, and at what changes the process."""
    message = "This changes the running service for every request: a guard may be gone, and nothing in the guard's own file shows it."
    for node in module.walk(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete):
        for target in _targets(node):
            if _is_foreign(module, target):
                yield Fault(node, message, _MEND)
                break
    for call in calls(module):
        if (
            named(call, {"builtins.setattr", "builtins.delattr"})
            and call.args
            and _is_foreign_value(module, call.node.args[0])
        ) or named(call, _PATCHING):
            yield Fault(call.node, message, _MEND)
        elif named(call, _PROCESS):
            yield Fault(
                call.node, "This ends or changes the whole process, with every request that it is serving.", _MEND
            )
        elif (
            method(call) in {"setLevel", "addHandler", "removeHandler", "addFilter", "removeFilter"}
            and any(name.startswith("logging.Logger.") for name in call.names)
            and _is_root(module, call)
        ):
            yield Fault(call.node, "This changes what every part of the service logs.", _MEND)
        elif (
            method(call) in {"update", "setdefault", "pop", "clear", "append", "insert"}
            and isinstance(call.node.func, ast.Attribute)
            and _is_foreign_container(module, call.node.func.value)
        ):
            yield Fault(call.node, message, _MEND)
        elif any(name.startswith(("ctypes.", "cffi.")) for name in call.names):
            yield Fault(call.node, "This reaches past Python into the memory of the process.", _MEND)
    for node in module.walk(ast.Raise):
        if (
            isinstance(node, ast.Raise)
            and node.exc is not None
            and module.value(node.exc).names | module.value(node.exc).types
            and (module.value(node.exc).names | module.value(node.exc).types)
            & {"builtins.SystemExit", "builtins.KeyboardInterrupt"}
        ):
            yield Fault(node, "This ends the whole process, with every request that it is serving.", _MEND)


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    found: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        found = list(node.targets)
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        found = [node.target]
    for target in found:
        yield from target.elts if isinstance(target, ast.Tuple | ast.List) else [target]


def _is_foreign(module: Module, target: ast.expr) -> bool:
    """Return whether an assignment goes into something that another module made."""
    if isinstance(target, ast.Attribute):
        if target.attr in {
            "__class__",
            "__code__",
            "__globals__",
            "__bases__",
            "__closure__",
            "__wrapped__",
        } and not isinstance(target.value, ast.Name):
            return True
        if target.attr in {"__code__", "__globals__", "__class__", "__bases__"}:
            return True
        return _is_foreign_value(module, target.value)
    if isinstance(target, ast.Subscript):
        return _is_foreign_container(module, target.value)
    return False


def _is_foreign_value(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    if (
        isinstance(node, ast.Attribute)
        and node.attr in {"state", "scope"}
        and "fastapi.Request" in module.value(node.value).types
    ):
        return True
    if (
        isinstance(node, ast.Attribute)
        and node.attr in {"app", "router"}
        and "fastapi.Request" in module.value(node.value).types
    ):
        return True
    foreign = {
        name
        for name in value.names
        if not name.startswith((".", "?.")) and not name.endswith("()") and not _is_instance(module, name)
    }
    if foreign and not value.types:
        return True
    # An identity that the guards have verified.
    return "app.dependencies.Caller" in value.types or "app.dependencies.Identity" in value.types


def _is_instance(module: Module, name: str) -> bool:
    """Return whether a dotted name is an attribute of an instance, which is the handler's own to change."""
    head = name.split(".")
    return any(part.endswith("()") for part in head) or (
        any(part[:1].isupper() for part in head[:-1]) and not last(name)[:1].isupper() and module is not None
    )


def _is_foreign_container(module: Module, node: ast.expr) -> bool:
    names = module.value(node).names
    if any(
        name
        in {
            "sys.modules",
            "os.environ",
            "sys.path",
            "sys.meta_path",
            "builtins.__dict__",
            "warnings.filters",
            "sys.path_hooks",
        }
        for name in names
    ):
        return True
    if (
        isinstance(node, ast.Attribute)
        and node.attr in {"__dict__", "dependency_overrides", "exception_handlers", "user_middleware", "__globals__"}
        and not _is_own(module, node.value)
    ):
        return True
    if isinstance(node, ast.Call) and "builtins.vars" in module.value(node.func).names and node.args:
        return _is_foreign_value(module, node.args[0])
    said = path_of(node) or ""
    return ".scope" in said and "fastapi.Request" in {
        kind for part in inside(node) if isinstance(part, ast.Name) for kind in module.value(part).types
    }


def _is_own(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    return (bool(value.types) and not value.types & {"fastapi.Request", "fastapi.FastAPI"}) or (
        isinstance(node, ast.Name) and node.id == "self"
    )


def _is_root(module: Module, call: Call) -> bool:
    for part in inside(call.node.func):
        if isinstance(part, ast.Call) and "logging.getLogger" in module.value(part.func).names:
            return not part.args or isinstance(part.args[0], ast.Constant)
    if isinstance(call.node.func, ast.Attribute) and isinstance(call.node.func.value, ast.Name):
        made = module.aliases.get(call.node.func.value.id)
        if isinstance(made, ast.Call):
            return not made.args or isinstance(made.args[0], ast.Constant)
    return False


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


@registry.rule("BW504", "Module state that grows")
def growing(module: Module) -> Iterator[Fault]:
    """Point at containers of the module that requests add to and that nothing bounds."""
    message = "This grows with every request, is never emptied, is lost at a restart, and is another one in each worker process."
    mend = "Keep it in the database: `session.add(...)`; a cache needs a bound: `functools.lru_cache(maxsize=256)`."
    for name, node in _module_containers(module):
        if _is_bounded(module, node) or _is_evicted(module, module.tree, name):
            continue
        for place in _growth(module, name):
            yield Fault(place, message, mend)
    for info in module.classes.values():
        if _lives_on(module, info):
            for name, node in _attributes(module, info):
                if (
                    not _is_bounded(module, node)
                    and not _is_evicted(module, info.node, f"self.{name}")
                    and not _is_evicted(module, info.node, f"cls.{name}")
                ):
                    for place in (
                        *_growth(module, f"self.{name}", info.node),
                        *_growth(module, f"cls.{name}", info.node),
                        *_growth(module, f"{info.node.name}.{name}"),
                    ):
                        yield Fault(place, message, mend)
    for place in (*_growing_closures(module), *_growing_defaults(module)):
        yield Fault(place, message, mend)
    for call in calls(module):
        if (
            named(call, {"functools.lru_cache"})
            and (is_constant(call.argument(0, "maxsize"), None) and call.argument(0, "maxsize") is not None)
        ) or (named(call, {"functools.cache"}) and call.node.args):
            yield Fault(call.node, message, mend)
    for function in module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        for decorator in getattr(function, "decorator_list", []):
            if module.resolve(decorator) == "functools.cache" and _takes_arguments(function):
                yield Fault(decorator, message, mend)


def _growing_closures(module: Module) -> Iterator[ast.AST]:
    """Yield growth of a container that a decorator keeps for the function that it wraps."""
    decorators = {
        module.functions[name].name
        for function in module.walk(ast.FunctionDef, ast.AsyncFunctionDef)
        for decorator in getattr(function, "decorator_list", [])
        for name in names_in(decorator)
        if name in module.functions
    }
    for name in sorted(decorators):
        outer = module.functions[name]
        for part in inside(outer):
            if (
                isinstance(part, ast.Assign | ast.AnnAssign)
                and part.value is not None
                and _is_container(module, part.value)
            ):
                if module.function_of(part) is outer or is_definition(module.function_of(part) or outer):
                    for target in part.targets if isinstance(part, ast.Assign) else [part.target]:
                        if isinstance(target, ast.Name) and not _is_evicted(module, outer, target.id):
                            yield from (
                                place
                                for place in _growth(module, target.id, outer)
                                if module.function_of(place) is not module.function_of(part)
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


def _module_containers(module: Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in module.tree.body:
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        for target in targets:
            if isinstance(target, ast.Name) and value is not None and _is_container(module, value):
                yield target.id, value


def _is_container(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Dict | ast.List | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and bool(
        (module.value(node.func).names | {module.resolve(node.func) or ""}) & _CONTAINERS
    )


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


def _is_evicted(module: Module, scope: ast.AST, path: str) -> bool:
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
    del module
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


def _adds(part: ast.AST, path: str) -> bool:
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in _GROWS:
        base = part.func.value
        return path_of(base) == path or (isinstance(base, ast.Subscript) and path_of(base.value) == path)
    if isinstance(part, ast.Assign):
        return any(_is_new_key(target, path) for target in part.targets)
    return isinstance(part, ast.AugAssign) and (path_of(part.target) == path or _is_new_key(part.target, path))


def _is_new_key(target: ast.expr, path: str) -> bool:
    return (
        isinstance(target, ast.Subscript)
        and path_of(target.value) == path
        and not isinstance(target.slice, ast.Constant)
    )


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
    for statement in module.tree.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if value is not None and any(
            isinstance(part, ast.Call) and info.name in module.value(part.func).names for part in inside(value)
        ):
            return True
    return False


def _attributes(module: Module, info: ClassInfo) -> Iterator[tuple[str, ast.expr]]:
    for name, value in info.assigned.items():
        if _is_container(module, value):
            yield name, value
    for name, declared in info.fields.items():
        if declared.value is not None and _is_container(module, declared.value) and not module.is_model(info.name):
            yield name, declared.value
    for function in info.methods.values():
        if function.name in {"__init__", "__post_init__"}:
            for part in inside(function):
                targets = (
                    part.targets
                    if isinstance(part, ast.Assign)
                    else [part.target]
                    if isinstance(part, ast.AnnAssign)
                    else []
                )
                made = part.value if isinstance(part, ast.Assign | ast.AnnAssign) else None
                for target in targets:
                    if (
                        isinstance(target, ast.Attribute)
                        and isinstance(target.value, ast.Name)
                        and target.value.id == "self"
                        and made is not None
                        and _is_container(module, made)
                    ):
                        yield target.attr, made


_ENDING: Final = frozenset(
    {
        "commit",
        "rollback",
        "close",
        "begin",
        "invalidate",
        "close_all",
        "expunge_all",
        "get_bind",
        "connection",
        "reset",
        "prepare",
    }
)
_ENGINES: Final = frozenset(
    {
        "sqlalchemy.create_engine",
        "sqlalchemy.ext.asyncio.create_async_engine",
        "sqlalchemy.orm.sessionmaker",
        "sqlalchemy.ext.asyncio.async_sessionmaker",
        "sqlite3.connect",
        "aiosqlite.connect",
        "psycopg.connect",
        "psycopg.AsyncConnection.connect",
        "psycopg2.connect",
        "asyncpg.connect",
        "asyncpg.create_pool",
        "psycopg_pool.AsyncConnectionPool",
        "psycopg_pool.ConnectionPool",
        "pymysql.connect",
        "aiomysql.connect",
        "databases.Database",
        "sqlalchemy.ext.asyncio.AsyncSession",
        "sqlalchemy.orm.Session",
        "sqlalchemy.orm.scoped_session",
        "sqlalchemy.ext.asyncio.async_scoped_session",
        "motor.motor_asyncio.AsyncIOMotorClient",
        "pymongo.MongoClient",
        "sqlmodel.create_engine",
        "tortoise.Tortoise.init",
    }
)


@registry.rule("BW506", "The transaction or the database is the handler's own")
def transaction(module: Module) -> Iterator[Fault]:
    """Point at commits, rollbacks, and connections past the service's."""
    for call in calls(module):
        if is_session_call(call) and method(call) in _ENDING and not call.functions:
            yield Fault(
                call.node,
                f"`{method(call)}()` takes the transaction out of the service's hands: half of the work stays when the other half fails, and the answer's idempotency record is lost.",
                "Take it out: the service commits when the answer is complete and below 400, and rolls back otherwise; for ids `await session.flush()`, for a part `async with session.begin_nested():`.",
            )
        elif named(call, _ENGINES):
            yield Fault(
                call.node,
                "A connection of its own sees every caller's rows, takes part in no transaction of the service, and is bounded by nothing.",
                "Ask for the service's: `session: Session` from `app.dependencies`.",
            )
        elif method(call) in {"create_all", "drop_all"} and "metadata" in ast.unparse(call.node.func):
            yield Fault(
                call.node,
                "Tables are made by migrations; made here, no migration knows of them.",
                "`make migration NAME=...`.",
            )
        elif (
            named(call, {"sqlalchemy.text"})
            and call.node.args
            and text_of(call.node.args[0])
            .strip()
            .lower()
            .startswith(
                (
                    "commit",
                    "rollback",
                    "set role",
                    "set session",
                    "reset ",
                    "alter ",
                    "drop ",
                    "create ",
                    "grant ",
                    "truncate",
                    "select set_config",
                    "vacuum",
                    "copy ",
                    "lock table",
                    "attach ",
                    "pragma",
                )
            )
        ):
            yield Fault(
                call.node,
                "This statement changes the transaction, the role or the tables, which are the service's.",
                "Take it out; tables change by migration.",
            )


_ROUTING: Final = {
    "websocket": "a websocket",
    "websocket_route": "a websocket",
    "add_websocket_route": "a websocket",
    "add_api_websocket_route": "a websocket",
    "mount": "a mounted application",
    "add_middleware": "middleware",
    "middleware": "middleware",
    "exception_handler": "an exception handler",
    "add_exception_handler": "an exception handler",
    "on_event": "a startup hook",
    "add_event_handler": "a startup hook",
    "host": "a host route",
}


@registry.rule("BW508", "A way round the guards")
def way_round(module: Module) -> Iterator[Fault]:
    """Point at what would answer requests past the guard chain."""
    for call in calls(module):
        verb = method(call)
        if verb in _ROUTING and _is_router(module, call):
            yield Fault(
                call.node,
                f"This adds {_ROUTING[verb]}: it would answer or change requests past the guards of the service, which does not start with it.",
                "Declare plain routes: `@router.get(...)`; what holds for all requests is the service's.",
            )
        elif named(
            call,
            {
                "fastapi.staticfiles.StaticFiles",
                "starlette.routing.Mount",
                "starlette.routing.WebSocketRoute",
                "fastapi.middleware.wsgi.WSGIMiddleware",
            },
        ):
            yield Fault(
                call.node,
                "This answers requests past the guards of the service, which does not start with it.",
                "Declare plain routes: `@router.get(...)`.",
            )
        elif named(call, {"fastapi.APIRouter", "fastapi.FastAPI"}):
            for keyword in (
                "route_class",
                "middleware",
                "lifespan",
                "on_startup",
                "on_shutdown",
                "exception_handlers",
                "default",
            ):
                node = argument_node(call, None, keyword)
                if node is not None:
                    yield Fault(
                        node,
                        f"`{keyword}` changes what stands round the handlers, which is the service's.",
                        "Take it out.",
                    )


def _is_router(module: Module, call: Call) -> bool:
    if call.receiver.types & {"fastapi.APIRouter", "fastapi.FastAPI"} or "fastapi.Request.app" in call.receiver.names:
        return True
    node = call.node.func
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"app", "router", "api"}
        and not call.functions
        and module is not None
    )
