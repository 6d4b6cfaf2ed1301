"""BW503, BW504, BW506, BW508: the scaffold is not the handler's, nor the process, nor the transaction."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.canonical import last
from admission.source.declare import Fault, Registry
from admission.source.expressions import path_of
from admission.source.match import argument_node, calls, method, named, text_of
from admission.source.rules.rows import is_session_call
from admission.source.tree import inside
from admission.source.values import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

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
_MEND: Final = "Take it out. A handler asks for what it needs in its signature; what the service does is changed in the service, by people."


_CHANGED: Final = "This changes the running service for every request: a guard may be gone, and nothing in the guard's own file shows it."
_ENDED: Final = "This ends or changes the whole process, with every request that it is serving."
_CHANGING: Final = frozenset({"update", "setdefault", "pop", "clear", "append", "insert"})
_LOGGING: Final = frozenset({"setLevel", "addHandler", "removeHandler", "addFilter", "removeFilter"})


@registry.rule("BW503", "The scaffold or the process is changed")
def patched(module: Module) -> Iterator[Fault]:
    """Point at assignments into modules and classes of others, and at what changes the process."""
    for node in module.walk(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete):
        if any(_is_foreign(module, target) for target in _targets(node)):
            yield Fault(node, _CHANGED, _MEND)
    for call in calls(module):
        message = _patching(module, call)
        if message is not None:
            yield Fault(call.node, message, _MEND)
    for node in module.walk(ast.Raise):
        value = module.value(node.exc) if isinstance(node, ast.Raise) else NOTHING
        if (value.names | value.types) & {"builtins.SystemExit", "builtins.KeyboardInterrupt"}:
            yield Fault(node, _ENDED, _MEND)


def _patching(module: Module, call: Call) -> str | None:
    """Return what a call changes that is not the handler's, or None."""
    setting = named(call, {"builtins.setattr", "builtins.delattr"}) and call.node.args
    if named(call, _PATCHING) or (setting and _is_foreign_value(module, call.node.args[0])):
        return _CHANGED
    if named(call, _PROCESS):
        return _ENDED
    if any(name.startswith(("ctypes.", "cffi.")) for name in call.names):
        return "This reaches past Python into the memory of the process."
    base = call.node.func.value if isinstance(call.node.func, ast.Attribute) else None
    if base is not None and method(call) in _CHANGING and _is_foreign_container(module, base):
        return _CHANGED
    if method(call) in _LOGGING and any(name.startswith("logging.Logger.") for name in call.names):
        return "This changes what every part of the service logs." if _is_root(module, call) else None
    return None


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
