"""BW201, BW202: what holds the event loop, and what waits without a bound."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, calls, is_constant, method, named
from admission.source.outbound import is_upstream, undeclared
from admission.source.tree import inside, is_inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

MAX_TIMEOUT: Final = 60
"""Seconds. The longest deadline that a policy grants by default is a fraction of it."""

_BLOCKING: Final = frozenset(
    {
        "time.sleep",
        "builtins.open",
        "builtins.input",
        "os.listdir",
        "os.walk",
        "os.scandir",
        "os.system",
        "os.popen",
        "os.waitpid",
        "os.fsync",
        "glob.glob",
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
        "hashlib.pbkdf2_hmac",
        "hashlib.scrypt",
        "bcrypt.hashpw",
        "bcrypt.checkpw",
        "bcrypt.gensalt",
        "bcrypt.kdf",
        "crypt.crypt",
        "asyncio.run",
        "psycopg.connect",
        "psycopg2.connect",
        "sqlite3.connect",
        "pymysql.connect",
        "mysql.connector.connect",
        "MySQLdb.connect",
        "sqlalchemy.create_engine",
        "socket.create_connection",
        "socket.gethostbyname",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "zipfile.ZipFile.extractall",
        "tarfile.TarFile.extractall",
        "PIL.Image.open",
        "pandas.read_csv",
        "pandas.read_excel",
        "pandas.read_sql",
        "pandas.read_parquet",
        "pandas.read_json",
        "openpyxl.load_workbook",
        "time.pause",
        "select.select",
        "signal.pause",
        "concurrent.futures.wait",
        "concurrent.futures.as_completed",
        "threading.Thread.join",
        "threading.Event.wait",
        "threading.Lock.acquire",
        "threading.Semaphore.acquire",
        "threading.Condition.wait",
        "threading.Barrier.wait",
        "threading.RLock.acquire",
        "queue.Queue.get",
        "queue.Queue.put",
        "queue.SimpleQueue.get",
        "concurrent.futures.Future.result",
        "asyncio.run_coroutine_threadsafe().result",
        "asyncio.AbstractEventLoop.run_until_complete",
        "?.run_until_complete",
        "concurrent.futures.ThreadPoolExecutor.map",
        "concurrent.futures.ThreadPoolExecutor.submit().result",
        "argon2.PasswordHasher.hash",
        "argon2.PasswordHasher.verify",
        "getpass.getpass",
        "stripe.Charge.create",
        "uvicorn.run",
        "sleep.sleep",
    }
)
_BLOCKING_MODULES: Final = (
    "requests.",
    "shutil.",
    "subprocess.",
    "smtplib.",
    "ftplib.",
    "imaplib.",
    "poplib.",
    "http.client.",
    "urllib3.",
    "sqlite3.Connection.",
    "sqlite3.Cursor.",
    "sqlite3.connect()",
    "psycopg.Connection.",
    "psycopg2.",
    "pymongo.",
    "boto3.",
    "botocore.",
    "paramiko.",
    "pymysql.",
    "sqlalchemy.orm.Session.",
    "sqlalchemy.Engine.",
    "redis.Redis",
    "redis.StrictRedis",
    "redis.from_url",
    "passlib.",
    "ldap3.",
    "builtins.file.",
    "socket.socket.",
    "memcache.",
    "kafka.",
    "pika.",
    "xmlrpc.",
    "httplib2.",
    "gevent.",
    "stripe.",
    "twilio.",
)
_NOT_BLOCKING: Final = frozenset(
    {
        "shutil.which",
        "sqlite3.Row",
        "subprocess.list2cmdline",
        "subprocess.CalledProcessError",
        "requests.Request",
        "requests.Session",
        "requests.exceptions",
        "requests.structures",
    }
)
_SYNC_HTTPX: Final = frozenset(
    f"httpx.{verb}" for verb in ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream")
) | frozenset(
    f"httpx.Client.{verb}"
    for verb in ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "send")
)
_FILE_METHODS: Final = frozenset(
    {"read_text", "read_bytes", "write_text", "write_bytes", "open", "iterdir", "glob", "rglob"}
)


@registry.rule("BW201", "A blocking call in asynchronous code")
def blocking(module: Module) -> Iterator[Fault]:
    """Point at calls and locks that hold the event loop."""
    yield from _held(module)
    yield from _busy(module)
    for call in calls(module):
        if not call.on_loop:
            continue
        name = _blocking_name(call)
        if name is None or isinstance(module.parents.get(call.node), ast.Await):
            continue
        shown = name.removeprefix("builtins.").removeprefix("?.")
        yield Fault(
            call.node,
            f"`{shown}` holds the event loop. While it waits, no other request of this process moves.",
            f"`await asyncio.to_thread({shown}, ...)`, an asynchronous client, or `def` instead of `async def` for the whole handler; for a pause `await asyncio.sleep(...)`.",
        )


def _held(module: Module) -> Iterator[Fault]:
    """Point at locks of threads that a coroutine waits for."""
    for node in module.walk(ast.With):
        for item in (
            node.items if isinstance(node, ast.With) and module.function_of(node) in module.loop_functions else ()
        ):
            kinds = module.value(item.context_expr).types & _THREAD_LOCKS
            if kinds:
                yield Fault(
                    item.context_expr,
                    f"`{min(kinds)}` holds the event loop. While it waits for another thread, no other request of this process moves.",
                    "`async with asyncio.Lock():`, one for each process; across processes the database decides.",
                )


def _busy(module: Module) -> Iterator[Fault]:
    """Point at loops of a coroutine that look at the clock until it is late enough, and let nobody else run."""
    for node in module.walk(ast.While):
        if not isinstance(node, ast.While) or module.function_of(node) not in module.loop_functions:
            continue
        asks = any(
            isinstance(part, ast.Call) and any(name.startswith("time.") for name in module.value(part.func).names)
            for part in inside(node.test)
        )
        if asks and not any(isinstance(part, ast.Await | ast.AsyncFor | ast.AsyncWith) for part in inside(node)):
            yield Fault(
                node,
                "This loop holds the event loop until the time has come. Meanwhile no other request of this process moves.",
                "`await asyncio.sleep(...)`.",
            )


_THREAD_LOCKS: Final = frozenset(
    f"threading.{kind}" for kind in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition")
)


def _blocking_name(call: Call) -> str | None:
    for name in sorted(call.names):
        if name in _NOT_BLOCKING or name.rpartition(".")[2].endswith(("Error", "Exception")):
            continue
        if (
            name in _BLOCKING
            or name in _SYNC_HTTPX
            or (name.startswith(_BLOCKING_MODULES) and not name.startswith(("redis.asyncio", "requests.exceptions")))
        ):
            return name
        if name.startswith("pathlib.Path.") and name.rpartition(".")[2] in _FILE_METHODS:
            return name
    return None


@registry.rule("BW202", "A wait without a bound")
def unbounded_wait(module: Module) -> Iterator[Fault]:
    """Point at timeouts that are switched off, or so long that they bound nothing."""
    for call in calls(module):
        if _is_bounded_elsewhere(call):
            continue
        for keyword in (
            "timeout",
            "total",
            "read",
            "connect",
            "pool",
            "sock_read",
            "sock_connect",
            "read_timeout",
            "connect_timeout",
        ):
            value = call.keywords.get(keyword)
            if value is None or (keyword != "timeout" and not named(call, {"httpx.Timeout", "aiohttp.ClientTimeout"})):
                continue
            if is_constant(value, None) and _waits(call):
                yield Fault(
                    argument_node(call, None, keyword) or call.node,
                    f"`{keyword}=None` waits for ever. A peer that does not answer holds this request, its connection and its memory.",
                    _MEND,
                )
            elif (
                value.constant is not None
                and isinstance(value.constant.value, int | float)
                and value.constant.value > MAX_TIMEOUT
                and _waits(call)
            ):
                yield Fault(
                    argument_node(call, None, keyword) or call.node,
                    f"A wait of {value.constant.value} seconds bounds nothing: the request's own deadline ends long before.",
                    _MEND,
                )
        if named(
            call,
            {
                "asyncio.wait_for",
                "asyncio.timeout",
                "httpx.Timeout",
                "socket.setdefaulttimeout",
                "anyio.fail_after",
                "anyio.move_on_after",
            },
        ):
            node = argument_node(call, 1 if "asyncio.wait_for" in call.names else 0)
            if node is not None and is_constant(module.value(node), None):
                yield Fault(
                    node,
                    "`None` is no bound: this waits for ever. A peer that does not answer holds this request, its connection and its memory.",
                    _MEND,
                )
        elif (
            any(name.startswith(("requests.", "urllib.request.urlopen")) for name in call.names)
            and "timeout" not in call.keywords
            and "**" not in call.keywords
            and _is_request(call)
        ):
            yield Fault(
                call.node,
                "Without `timeout=` this library waits for ever. A peer that does not answer holds this request, its connection and its memory.",
                _MEND,
            )
    yield from _endless_loops(module)
    yield from _bare_waits(module)


_MEND: Final = "Call a declared upstream, whose timeout follows the request's deadline; elsewhere `async with asyncio.timeout(2):`."


def _waits(call: Call) -> bool:
    return (
        undeclared(call) is not None
        or is_upstream(call)
        or (
            any(name.startswith(("asyncio.", "httpx.", "aiohttp.", "?.", "anyio.")) for name in call.names)
            and method(call) != "subscribe"
        )
    )


def _is_bounded_elsewhere(call: Call) -> bool:
    return any(name.startswith(("fastapi.", "pydantic.", "dataclasses.")) for name in call.names)


_WAITING: Final = frozenset(
    {
        "asyncio.Queue.get",
        "asyncio.Queue.join",
        "asyncio.Event.wait",
        "asyncio.Condition.wait",
        "asyncio.Condition.wait_for",
        "asyncio.Barrier.wait",
    }
    | {
        "asyncio.PriorityQueue.get",
        "asyncio.LifoQueue.get",
        "queue.Queue.get",
        "queue.Queue.join",
        "threading.Event.wait",
        "threading.Condition.wait",
    }
)
_BOUNDS: Final = frozenset(
    {
        "asyncio.timeout",
        "asyncio.timeout_at",
        "asyncio.wait_for",
        "asyncio.wait",
        "anyio.fail_after",
        "anyio.move_on_after",
    }
)


def _bare_waits(module: Module) -> Iterator[Fault]:
    """Point at waits for somebody else of this process: whoever should wake it may have ended long ago."""
    for call in calls(module):
        if (
            not named(call, _WAITING)
            or "timeout" in call.keywords
            or (call.names & {"threading.Event.wait"} and call.args)
        ):
            continue
        if _is_under_a_timeout(module, call.node):
            continue
        yield Fault(
            call.node,
            "This waits until somebody else acts, which may be never. Each waiting request holds its place until its deadline ends it.",
            "`async with asyncio.timeout(2):` round it, and an answer for the case that nothing came.",
        )


def _is_under_a_timeout(module: Module, node: ast.AST) -> bool:
    for parent in module.ancestors(node):
        if isinstance(parent, ast.Call) and module.value(parent.func).names & _BOUNDS:
            return True
        if isinstance(parent, ast.AsyncWith | ast.With) and any(
            isinstance(item.context_expr, ast.Call) and module.value(item.context_expr.func).names & _BOUNDS
            for item in parent.items
        ):
            return True
    return False


def _is_request(call: Call) -> bool:
    return method(call) in {"get", "post", "put", "patch", "delete", "head", "options", "request", "urlopen"} or bool(
        named(
            call,
            {f"requests.{verb}" for verb in ("get", "post", "put", "patch", "delete", "head", "request")}
            | {"urllib.request.urlopen"},
        )
    )


def _endless_loops(module: Module) -> Iterator[Fault]:
    """Point at polling: a loop that sleeps until something happens, with nothing that ends it."""
    for node in module.walk(ast.While):
        if not isinstance(node, ast.While) or _has_deadline(module, node) or _counts(node):
            continue
        for call in module.calls.values():
            if (
                is_inside(call.node, node)
                and named(call, {"asyncio.sleep", "time.sleep", "anyio.sleep"})
                and module.function_of(call.node) is module.function_of(node)
            ):
                yield Fault(
                    node,
                    "This loop sleeps until something happens, and nothing ends it if it does not. Each request that waits here holds a connection and memory.",
                    "Answer 202 with a place to ask again; or bound it: `async with asyncio.timeout(2):` around the loop.",
                )
                break


def _has_deadline(module: Module, node: ast.AST) -> bool:
    for parent in module.ancestors(node):
        if isinstance(parent, ast.With | ast.AsyncWith):
            for item in parent.items:
                if isinstance(item.context_expr, ast.Call) and module.value(item.context_expr.func).names & {
                    "asyncio.timeout",
                    "asyncio.timeout_at",
                    "anyio.fail_after",
                    "anyio.move_on_after",
                    "async_timeout.timeout",
                }:
                    return True
    return False


def _counts(node: ast.While) -> bool:
    """Return whether the condition compares something that the loop counts."""
    if not isinstance(node.test, ast.Compare):
        return False
    counted = {
        part.target.id for part in inside(node) if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name)
    }
    return any(isinstance(part, ast.Name) and part.id in counted for part in inside(node.test)) or any(
        isinstance(part, ast.Call) for part in inside(node.test)
    )
