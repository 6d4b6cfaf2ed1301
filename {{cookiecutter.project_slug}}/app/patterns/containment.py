"""Containment: while a handler runs, the process may do what a handler needs, and nothing that an intruder wants.

Threat: no review and no gate sees everything. A handler that a request has talked into it starts a shell, evaluates
text, reads ``/etc/passwd`` or the signing key, calls the cloud's metadata address, unpickles what it was sent, loads a
library, or runs SQL that the client wrote.

What it does: an audit hook (PEP 578) that looks at a context variable. Inside of a contained call these are refused
with :class:`ContainmentError`: processes and signals; code made from text; files outside of the declared roots, reading
and writing apart, after links are resolved; sockets and names outside of the declared hosts; native libraries;
unpickling; and, where the database driver asks :func:`check_sql`, SQL that holds what the client sent. Where CPython
raises no event (uvloop's sockets and processes, ``_posixsubprocess``, further interpreters, signals to itself, FIFOs,
dbm files, what SQLite opens by SQL), the function itself is replaced by one that asks. Threads that a handler starts,
and what it hands to an executor, are inside too; so are its tasks, which copy its context. A request in which something
was refused is answered 500 even if the handler swallowed the refusal.

Whoever composes the service puts its own doors inside of :func:`trusted`: a driver that connects, the client of a
declared service.

What it does not do: **it is a seat belt for handlers that are exploited, not a jail for handlers that are hostile.**
Code that runs in the process can undo it: change this module, call into C (an extension that is loaded already
opens what it likes), use ``trusted`` itself, or wait until its request is over (``atexit``, a callback of somebody
else's). It sees no file that is asked about and not opened (``os.stat``), nothing that is written to a socket or file
which is open already, and of SQL only what the client sent as it was sent, in three characters or more that are not
one plain word. Between resolving a link and opening the file there is a moment. Against hostile code use another
process, a container, a seccomp filter.

Defaults: nothing may be written, and read only what Python itself reads while it runs: the interpreter, its packages,
time zones. Code from text may be made by the few modules of the standard library and of others that do it for a living
(``dataclasses``, ``collections.namedtuple``, ``typing``) and by ``import`` of what is in those folders.

To lift it: needs ``starlette`` for its types only. ``app = Containment(app, name="POST /orders", on_refusal=log_it)``,
with ``read``, ``write`` and ``hosts`` for what it may; ``with contained(...)`` round any other code. The hook is
installed with the first of them and stays as long as the process; outside of contained calls it costs one look into a
table.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import json
import os
import re
import site
import sys
import sysconfig
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

F = TypeVar("F", bound="Callable[..., Any]")

KINDS: Final = ("process", "code", "file_read", "file_write", "socket", "native", "deserialisation", "sql")
"""What may be refused."""

_IMPORT: Final = frozenset({"importlib._bootstrap", "importlib._bootstrap_external", "zipimport"})

EVALUATORS: Final = _IMPORT | {
    "annotationlib",
    "ast",  # parses, and runs nothing: what is made of its tree is asked for again
    "attr._make",
    "collections",
    "dataclasses",
    "enum",
    "inspect",
    "pydantic._internal._typing_extra",
    "sqlalchemy.orm.clsregistry",
    "sqlalchemy.sql.lambdas",
    "sqlalchemy.util.langhelpers",
    "sqlalchemy.util.typing",
    "typing",
    "typing_extensions",
}
"""Modules that make code from text of their own making: class definitions, signatures, annotations."""

MAX_BODY: Final = 256 * 1024
"""Bytes of a body that are kept to compare SQL with: four times what a policy allows by default."""

MAX_FIELDS: Final = 1000
"""Fields of a form; Starlette refuses a form with more."""

MIN_TEXT: Final = 3
"""Characters of a value that is looked for: ``1=1`` is the shortest that changes what a condition means."""

MAX_RESOLVED: Final = 64
"""Addresses that one request may have learnt by resolving the names of its hosts."""


def _installed() -> tuple[str, ...]:
    """Return the folders of the interpreter and its packages."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    with contextlib.suppress(AttributeError):  # a site without these functions is an old virtualenv
        folders |= {*site.getsitepackages(), site.getusersitepackages()}
    return tuple(sorted(os.path.realpath(folder) for folder in folders))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainmentConfig:
    """What any contained call may, because Python itself does it.

    Attributes:
        code: folders that modules come from: read, imported and, for extension modules, loaded.
        system: files and folders that the standard library reads by itself.
        evaluators: names of modules that may make code from text.
    """

    code: tuple[str, ...] = field(default_factory=_installed)
    system: tuple[str, ...] = (
        "/dev/null",
        "/dev/urandom",
        "/etc/localtime",
        "/etc/mime.types",
        "/usr/share/zoneinfo",
    )
    evaluators: frozenset[str] = EVALUATORS


class ContainmentError(PermissionError):
    """A contained call did what it may not; nothing of it was done.

    An ``OSError``, because that is what libraries clean up after.

    Attributes:
        name: of the contained call, such as a route.
        kind: one of :data:`KINDS`.
        event: the audit event, or the function, that was refused.
        argument: what it was about: a path, a host, a module. May hold what a client sent.
    """

    def __init__(self, name: str, kind: str, event: str, argument: str) -> None:
        super().__init__(f"{kind}: {event}")
        self.name = name
        self.kind = kind
        self.event = event
        self.argument = argument[:500]


class _Rules:
    """What the calls of one name may; resolved once."""

    __slots__ = ("code", "evaluators", "hosts", "name", "on_refusal", "read", "write")

    def __init__(
        self,
        name: str,
        config: ContainmentConfig,
        on_refusal: Callable[[ContainmentError], None] | None,
        *,
        read: Sequence[str],
        write: Sequence[str],
        hosts: Sequence[str],
    ) -> None:
        self.name = name
        self.code = tuple(os.path.realpath(folder) for folder in config.code)
        self.read = (*self.code, *(os.path.realpath(path) for path in (*config.system, *read)))
        self.write = tuple(os.path.realpath(path) for path in write)
        self.hosts = frozenset(hosts)
        self.evaluators = config.evaluators
        self.on_refusal = on_refusal


class _Inside:
    """One contained call."""

    __slots__ = ("body", "refused", "resolved", "rules", "scope", "sent", "size")

    def __init__(self, rules: _Rules, scope: Mapping[str, Any] | None = None) -> None:
        self.rules = rules
        self.scope = scope
        self.body: list[bytes] = []
        self.size = 0
        self.sent: tuple[str, ...] | None = None
        self.resolved: set[str] | None = None
        self.refused: ContainmentError | None = None

    def refuse(self, kind: str, event: str, argument: object) -> None:
        """Note what was refused, tell of it, and raise it."""
        error = ContainmentError(self.rules.name, kind, event, _shown(argument))
        if self.refused is None:
            self.refused = error
        if self.rules.on_refusal is not None:
            with trusted():
                self.rules.on_refusal(error)
        raise error


class _Doors:
    """Both ways of one request: its body is kept on its way in, and its answer can still be stopped.

    Apart from what is inside, which contexts hold on to.
    """

    __slots__ = ("_inside", "_receive", "_send")

    def __init__(self, inside: _Inside, receive: Receive, send: Send) -> None:
        self._inside, self._receive, self._send = inside, receive, send

    async def keep(self) -> Message:
        inside, message = self._inside, await self._receive()
        part = message.get("body", b"")
        if inside.size < MAX_BODY:
            inside.body.append(part[: MAX_BODY - inside.size])
            inside.size += len(part)
            inside.sent = None  # a statement that came before this part was compared without it
        return message

    def answer(self, message: Message) -> Awaitable[None]:  # no coroutine of its own: it would cost as much as the rest
        refused = self._inside.refused
        if refused is not None and message["type"] == "http.response.start":
            raise refused
        return self._send(message)


_INSIDE: ContextVar[_Inside | None] = ContextVar("contained", default=None)
_WATCHING: ContextVar[bool] = ContextVar("opens_a_watched_database", default=False)


@contextlib.contextmanager
def trusted() -> Iterator[None]:
    """Lift containment inside of this block: for doors that people own, such as a driver that connects."""
    token = _INSIDE.set(None)
    try:
        yield
    finally:
        _INSIDE.reset(token)


@contextlib.contextmanager
def contained(
    name: str,
    *,
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    hosts: Sequence[str] = (),
    config: ContainmentConfig | None = None,
    on_refusal: Callable[[ContainmentError], None] | None = None,
) -> Iterator[None]:
    """Contain what runs inside of this block: a job, a plug-in. Arguments as for :class:`Containment`.

    Raises:
        ContainmentError: something was refused, also if the code inside has swallowed that.
    """
    install()
    inside = _Inside(_rules(name, config, on_refusal, tuple(read), tuple(write), tuple(hosts)))
    token = _INSIDE.set(inside)
    try:
        yield
    finally:
        _INSIDE.reset(token)
    if inside.refused is not None:
        raise inside.refused


@functools.lru_cache(maxsize=1024)
def _rules(  # noqa: PLR0917 - the arguments of ``contained``, once
    name: str,
    config: ContainmentConfig | None,
    on_refusal: Callable[[ContainmentError], None] | None,
    read: tuple[str, ...],
    write: tuple[str, ...],
    hosts: tuple[str, ...],
) -> _Rules:
    """Return rules that are resolved once, and not each time that a job is done."""
    return _Rules(name, config or ContainmentConfig(), on_refusal, read=read, write=write, hosts=hosts)


class Containment:
    """Contains the application of one route.

    Args:
        app: the application, of which only HTTP requests are contained.
        name: of the route, for what is told of a refusal.
        read: files and folders that it may read.
        write: files and folders that it may write, make and remove; not to be read for that.
        hosts: names and addresses that it may resolve, connect to, and bind to.
        keeps_body: keep the body (up to ``MAX_BODY``), so that SQL can be compared with it.
        config: what any contained call may.
        on_refusal: told of each refusal, in the thread where it happens; for a log line, a counter, a strike.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        hosts: Sequence[str] = (),
        keeps_body: bool = True,
        config: ContainmentConfig | None = None,
        on_refusal: Callable[[ContainmentError], None] | None = None,
    ) -> None:
        install()
        self.app = app
        self._keeps_body = keeps_body
        self._rules = _Rules(name, config or ContainmentConfig(), on_refusal, read=read, write=write, hosts=hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application inside.

        Raises:
            ContainmentError: something was refused; instead of the answer, if none has begun.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        inside = _Inside(self._rules, scope)
        doors = _Doors(inside, receive, send)
        token = _INSIDE.set(inside)
        try:
            await self.app(scope, doors.keep if self._keeps_body else receive, doors.answer)
        finally:
            _INSIDE.reset(token)


def check_sql(statement: str) -> None:
    """Refuse a statement that holds what the client of this request sent, as it was sent.

    For the place where statements meet the driver, and for those that somebody wrote as text: what a query builder
    made holds names of its own, and values beside it. One plain word or number passes: it cannot change a statement.

    Raises:
        ContainmentError: it does; nothing was run.
    """
    inside = _INSIDE.get()
    if inside is None or inside.scope is None:
        return
    if inside.sent is None:
        inside.sent = tuple(_texts_sent(inside.scope, b"".join(inside.body)))
    folded = statement.casefold()
    for text in inside.sent:
        if text in folded:
            inside.refuse("sql", "sql.execute", text)


_WORD: Final = re.compile(r"\w*")


def _texts_sent(scope: Mapping[str, Any], body: bytes) -> Iterator[str]:
    """Yield what the client sent, once and without regard to case, but for what cannot change a statement.

    All of it, for who fills a request up must not hide something in it: there are no more texts than bytes are kept.
    """
    seen: set[str] = set()
    for text in _values(scope, body):
        text = text.strip().casefold()  # noqa: PLW2901 - as it is compared; lower() looks at what a letter stands before
        if len(text) >= MIN_TEXT and text not in seen and _WORD.fullmatch(text) is None:
            seen.add(text)
            yield text


def _values(scope: Mapping[str, Any], body: bytes) -> Iterator[str]:
    yield from (str(value) for value in (scope.get("path_params") or {}).values())
    for pair in parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True):
        yield from pair
    for name, value in scope.get("headers", ()):
        if name not in _CREDENTIALS:
            yield value.decode("latin-1")
            if name == b"cookie":
                for cookie in value.decode("latin-1").split(";"):
                    first, _, second = map(str.strip, cookie.partition("="))
                    yield from (first, second, _ESCAPED.sub(_unescaped, second.strip('"')))
    if body:
        yield from _body_values(scope, body)


_SEPARATORS: Final = re.compile(r"&&+")
_ESCAPED: Final = re.compile(r"\\([0-3][0-7][0-7]|.)", re.DOTALL)
_PARAMETER: Final = re.compile(rb""";([^=;"]*)=\s*("(?:[^"\\]|\\.)*+"|[^;]*)""", re.DOTALL)


def _unescaped(escape: re.Match[str]) -> str:
    """Return what an escape in a quoted cookie stands for, as Python and so Starlette reads it."""
    return chr(int(escape[1], 8)) if len(escape[1]) > 1 else escape[1]


def _parameters(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the parameters of a header; a quoted value without its quotes, and with its escapes resolved."""
    for name, value in _PARAMETER.findall(header):
        quoted = value.startswith(b'"')
        yield name.strip().lower(), re.sub(rb'\\(["\\])', rb"\1", value[1:-1]) if quoted else value.strip()


def _parts(scope: Mapping[str, Any], body: bytes) -> Iterator[str]:
    """Yield the texts of a multipart form: what its parts hold, and the names that stand in their heads.

    Of several headers, and of several boundaries in one, a parser takes the first or the last: the parts are these. To
    split by each of them would take seconds, and hundreds of megabytes, for who sends a thousand.
    """
    types = [value for name, value in scope.get("headers", ()) if name == b"content-type"]
    found = [
        [value for name, value in _parameters(header) if name == b"boundary" and value]
        for header in (*types[:1], *types[-1:])
    ]
    for boundary in {boundary for said in found for boundary in (*said[:1], *said[-1:])}:
        for part in body.split(b"--" + boundary)[1:]:
            head, _, content = part.partition(b"\r\n\r\n")
            yield from _decoded(content.removesuffix(b"\r\n"))
            for line in head.splitlines():
                yield from _decoded(line.partition(b":")[2])
                for _, value in _parameters(line):
                    yield from _decoded(value)
                    yield from _decoded(value.rpartition(b"\\")[2])  # of a file's path, its name


def _decoded(value: bytes) -> Iterator[str]:
    """Yield a part's text in each encoding that a parser may read it in."""
    yield value.decode("latin-1")
    if not value.isascii():
        yield value.decode("utf-8", "replace")


_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization"})


def _body_values(scope: Mapping[str, Any], body: bytes) -> Iterator[str]:
    """Yield the texts of a JSON document or of a form; the whole of a body that is neither."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        # Decoded as form parsers do it, or a value would not be found where they put it; & that separate nothing are
        # left out, for they would count as fields.
        text = _SEPARATORS.sub("&", body.decode("latin-1")).strip("&")
        with contextlib.suppress(ValueError):
            for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS):
                yield from (name, value)
        yield from _parts(scope, body)
        yield body.decode("utf-8", "replace")
        return
    pending: list[Any] = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value


# What is asked when something happens inside. Each gets the call, the event and its arguments.


def _process(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    inside.refuse("process", event, args[0] if args else "")


def _native(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    inside.refuse("native", event, args[0] if args else "")


def _unpickle(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    inside.refuse("deserialisation", event, ".".join(map(str, args)))


def _unmarshal(inside: _Inside, event: str, _args: tuple[Any, ...]) -> None:
    if _caller() not in _IMPORT:
        inside.refuse("deserialisation", event, "")


def _code(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    if _caller() not in inside.rules.evaluators:
        inside.refuse("code", event, args[0] if args else "")


def _import(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    """Only where the event names a file is native code loaded; Python code is opened as a file, and asked for there."""
    path = args[1]
    if path is not None and not _under(os.path.realpath(path), inside.rules.code):
        inside.refuse("native", event, path)


_NO_FILES: Final = frozenset({"<unknown>", "<string>"})
"""Source that came from no file; the interpreter looks there all the same for the line of a syntax error."""

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _open(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    if isinstance(path, int):
        return  # it is open already
    writes = bool(flags & _WRITES) if isinstance(flags, int) else any(letter in str(mode) for letter in "wax+")
    if isinstance(path, str) and path in _NO_FILES and not writes:
        return
    _file(inside, event, path, writes=writes)


def _listing(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    path = args[0] if args else None
    if not isinstance(path, int):
        _file(inside, event, "." if path is None else path, writes=False)


def _database_file(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    if args[0] not in {":memory:", b":memory:", "", b""}:
        _file(inside, event, args[0], writes=True)


def _database_door(inside: _Inside, event: str, _args: tuple[Any, ...]) -> None:
    """A connection that was not made by the function which has its SQL watched opens what it likes later."""
    if not _WATCHING.get():
        inside.refuse("file_write", event, "a sqlite3.Connection that sqlite3.connect did not make")


def _change(*paths: tuple[int, int | None], follow: bool = True) -> Callable[[_Inside, str, tuple[Any, ...]], None]:
    """Return what asks for a change of files.

    Args:
        paths: of each path where it stands in the arguments, and where the descriptor that it is relative to does.
        follow: it is about what a link leads to, and not about the link.
    """

    def ask(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
        for at, relative_to in paths:
            folder = -1 if relative_to is None else args[relative_to]
            if not isinstance(args[at], int):
                _file(inside, event, args[at], writes=True, folder=folder, follow=follow)

    return ask


def _symlink(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    """A link leads no further than its owner may go; where it stands is a change."""
    target, link, folder = args
    place = _real(link, folder, follow=False)
    _file(inside, event, os.path.join(os.path.dirname(place), os.fspath(target)), writes=False)
    _file(inside, event, link, writes=True, folder=folder, follow=False)


def _file(inside: _Inside, event: str, path: Any, *, writes: bool, folder: int = -1, follow: bool = True) -> None:
    real, rules = _real(path, folder, follow=follow), inside.rules
    if _under(real, rules.write if writes else rules.read):
        return
    caller = _caller()
    if caller == "tempfile" and _under(real, _temporary()):
        return  # a new file under a name that nobody can guess, or under none
    if caller == "tokenize" and not writes and real.endswith(".py"):
        return  # a traceback shows the lines that it passed
    if caller in _IMPORT and event == "os.listdir":
        return  # a search for a module, in every folder of sys.path
    if caller in _IMPORT and (real.endswith(".pyc") or "__pycache__" in real) and _under(real, rules.code):
        return  # an import keeps what it has compiled
    inside.refuse("file_write" if writes else "file_read", event, real)


@functools.cache
def _temporary() -> tuple[str, ...]:
    """Return the folder of temporary files, if there is one that can be written."""
    try:
        return (os.path.realpath(tempfile.gettempdir()),)
    except FileNotFoundError:
        return ()


def _real(path: Any, folder: int = -1, *, follow: bool = True) -> str:
    """Return the path with every link resolved; without ``follow`` all but the last."""
    text = os.fsdecode(path)
    if folder >= 0 and not os.path.isabs(text):
        with contextlib.suppress(OSError):  # without /proc it stays relative, and so is judged as if it were
            text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
    if follow:
        return os.path.realpath(text)
    parent, name = os.path.split(text.rstrip("/"))
    return os.path.realpath(text) if name in {"", ".", ".."} else os.path.join(os.path.realpath(parent), name)


def _under(real: str, roots: Sequence[str]) -> bool:
    return any(real == root or real.startswith(root.rstrip("/") + "/") for root in roots)


def _address(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    """For events whose arguments are a socket and an address."""
    address = args[1]
    if address is not None:  # sendto of a connected socket has none
        _host(inside, event, address[0] if isinstance(address, tuple) and address else address)


def _name(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    """For events whose first argument is a host, or an address with a host in it."""
    host = args[0] if args else None
    _host(inside, event, host[0] if isinstance(host, tuple) and host else host)


def _host(inside: _Inside, event: str, host: Any) -> None:
    text = host.decode("latin-1") if isinstance(host, bytes | bytearray) else str(host)
    if text not in inside.rules.hosts and (inside.resolved is None or text not in inside.resolved):
        inside.refuse("socket", event, text)


_CHECKS: Final[dict[str, Callable[[_Inside, str, tuple[Any, ...]], None]]] = {
    **dict.fromkeys(
        (
            "os.exec",
            "os.fork",
            "os.forkpty",
            "os.kill",
            "os.killpg",
            "os.posix_spawn",
            "os.putenv",
            "os.spawn",
            "os.startfile",
            "os.system",
            "os.unsetenv",
            "pty.spawn",
            "resource.prlimit",
            "resource.setrlimit",
            "signal.pthread_kill",
            "subprocess.Popen",
            "sys.remote_exec",
        ),
        _process,
    ),
    **dict.fromkeys(("compile", "exec", "code.__new__"), _code),
    **dict.fromkeys(
        (
            "ctypes.call_function",
            "ctypes.cdata",
            "ctypes.cdata/buffer",
            "ctypes.dlopen",
            "ctypes.dlsym",
            "ctypes.dlsym/handle",
            "ctypes.memoryview_at",
            "ctypes.string_at",
            "ctypes.wstring_at",
            "sqlite3.enable_load_extension",
            "sqlite3.load_extension",
        ),
        _native,
    ),
    "import": _import,
    "pickle.find_class": _unpickle,
    "marshal.load": _unmarshal,
    "marshal.loads": _unmarshal,
    "open": _open,
    "os.listdir": _listing,
    "os.scandir": _listing,
    "os.chdir": _change((0, None)),
    "os.chmod": _change((0, 2)),
    "os.chown": _change((0, 3)),
    "os.link": _change((0, 2), (1, 3), follow=False),
    "os.mkdir": _change((0, 2), follow=False),
    "os.remove": _change((0, 1), follow=False),
    "os.removexattr": _change((0, None)),
    "os.rename": _change((0, 2), (1, 3), follow=False),
    "os.rmdir": _change((0, 1), follow=False),
    "os.setxattr": _change((0, None)),
    "os.symlink": _symlink,
    "os.truncate": _change((0, None)),
    "os.utime": _change((0, 3)),
    "sqlite3.connect": _database_file,
    "sqlite3.connect/handle": _database_door,
    "socket.bind": _address,
    "socket.connect": _address,
    "socket.sendmsg": _address,
    "socket.sendto": _address,
    "socket.getaddrinfo": _name,
    "socket.gethostbyaddr": _name,
    "socket.gethostbyname": _name,
    "socket.getnameinfo": _name,
}
"""Audit event -> what is asked (the table of events in the library reference, and what CPython was seen to raise)."""


def _caller() -> str:
    """Return the name of the module that did what an event tells of: the first frame that is none of this module's."""
    frame = sys._getframe(1)  # noqa: SLF001 - documented, and the only way to a caller
    mine = globals()
    while frame.f_back is not None and frame.f_globals is mine:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


def _shown(argument: object) -> str:
    if isinstance(argument, bytes | bytearray):
        return bytes(argument[:500]).decode("utf-8", "replace")
    return str(argument)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    check = _CHECKS.get(event)
    if check is not None:
        inside = _INSIDE.get()
        if inside is not None:
            check(inside, event, args)


# Where no audit event is raised, the function is replaced by one that asks before it does the same.


def _asking(original: F, check: Callable[[_Inside, str, tuple[Any, ...]], None], name: str, skip: int = 0) -> F:
    """Return ``original`` behind ``check``, which gets the arguments after the first ``skip``."""

    @functools.wraps(original)
    def ask(*args: Any, **kwargs: Any) -> Any:
        inside = _INSIDE.get()
        if inside is not None:
            check(inside, name, (*args[skip:], *kwargs.values()))
        return original(*args, **kwargs)

    return ask  # type: ignore[return-value]


def _connection(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    """For methods of an event loop that connect or listen: whatever text they are given is a host."""
    hosts = [argument for argument in args if isinstance(argument, str | bytes)]
    hosts += [argument[0] for argument in args if isinstance(argument, tuple) and argument]
    for host in hosts:
        _host(inside, event, host)


def _datagrams(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    """For an endpoint of datagrams: one that is connected to nobody sends to anybody, and nobody is asked then."""
    _connection(inside, event, args)
    if not any(isinstance(argument, tuple) and argument for argument in args):
        inside.refuse("socket", event, "datagrams to anybody")


def _make(inside: _Inside, event: str, args: tuple[Any, ...]) -> None:
    _file(inside, event, args[0], writes=True)


_LOOP: Final = {
    "add_signal_handler": lambda inside, event, args: _process(inside, event, args[:1]),
    "create_connection": _connection,
    "create_datagram_endpoint": _datagrams,
    "create_server": _connection,
    "create_unix_connection": _connection,
    "create_unix_server": _connection,
    "getaddrinfo": _connection,
    "getnameinfo": _connection,
    "subprocess_exec": lambda inside, event, args: _process(inside, event, args[1:]),
    "subprocess_shell": lambda inside, event, args: _process(inside, event, args[1:]),
}
"""Methods of an event loop that is not made of Python, such as uvloop's, whose sockets raise no event."""

_installing = threading.Lock()
_installed_hooks: list[str] = []


def install() -> None:
    """Install the hook in this process; a second time does nothing. It cannot be taken out again."""
    with _installing:
        if not _installed_hooks:
            _installed_hooks.append("hook")
            _temporary()  # found with a file, under a lock: a hook that asked only then would wait for itself
            _replace_processes()
            _replace_files_and_names()
            _replace_threads()
            sys.addaudithook(_hook)
            with contextlib.suppress(ImportError):
                import uvloop  # noqa: PLC0415 - where there is none there is nothing to replace

                _replace_methods(uvloop.Loop, _LOOP)


def _replace_methods(kind: Any, checks: Mapping[str, Callable[[_Inside, str, tuple[Any, ...]], None]]) -> None:
    for name, check in checks.items():
        original = getattr(kind, name, None)
        if original is not None:
            setattr(kind, name, _asking(original, check, f"loop.{name}", skip=1))


def _replace_processes() -> None:
    import _posixsubprocess  # noqa: PLC0415 - not on every platform, and private to CPython
    import signal  # noqa: PLC0415
    import subprocess  # noqa: PLC0415 - to be refused

    forking = _asking(_posixsubprocess.fork_exec, _process, "fork_exec")
    for module, attribute in ((_posixsubprocess, "fork_exec"), (subprocess, "_fork_exec")):
        if hasattr(module, attribute):
            setattr(module, attribute, forking)
    for module, names in (
        (os, ("_exit", "abort")),
        (signal, ("alarm", "pidfd_send_signal", "raise_signal", "setitimer", "signal")),
    ):
        for attribute in names:
            if hasattr(module, attribute):
                function = getattr(module, attribute)
                setattr(module, attribute, _asking(function, _process, f"{module.__name__}.{attribute}"))
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on, and before; an audit hook is one's own
        with contextlib.suppress(ImportError):
            interpreters: Any = __import__(name)
            interpreters.create = _asking(interpreters.create, _process, f"{name}.create")


def _replace_files_and_names() -> None:
    import socket  # noqa: PLC0415

    for attribute in ("mkfifo", "mknod"):
        setattr(os, attribute, _asking(getattr(os, attribute), _make, f"os.{attribute}"))
    for name in ("_dbm", "_gdbm"):
        with contextlib.suppress(ImportError):
            database: Any = __import__(name)
            database.open = _asking(database.open, _make, f"{name}.open")
    with contextlib.suppress(ImportError):
        import sqlite3  # noqa: PLC0415 - not in every build of Python

        sqlite3.connect = sqlite3.dbapi2.connect = _authorizing(sqlite3.connect)
    socket.getaddrinfo = _remembering(socket.getaddrinfo)


def _replace_threads() -> None:
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):  # the last from Python 3.13 on
        if hasattr(_thread, name):
            setattr(_thread, name, _thread_inside(getattr(_thread, name)))
    threading.Thread.start = _start_inside(threading.Thread.start)  # type: ignore[method-assign,assignment]
    ThreadPoolExecutor.submit = _submit_inside(ThreadPoolExecutor.submit)  # type: ignore[method-assign]


def _remembering(resolve: F) -> F:
    """Have a call that may use a name connect to the addresses that the name has."""

    @functools.wraps(resolve)
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        found = resolve(host, *args, **kwargs)
        inside = _INSIDE.get()
        if inside is not None:  # it was allowed, or the event had raised
            known = inside.resolved = inside.resolved or set()
            known.update([str(entry[4][0]) for entry in found][: max(0, MAX_RESOLVED - len(known))])
        return found

    return getaddrinfo  # type: ignore[return-value]


_SQLITE_OK, _SQLITE_DENY, _SQLITE_ATTACH = 0, 1, 24  # sqlite3.h


def _authorizing(connect: F) -> F:
    """Have a SQLite database that is opened inside ask for each file that its SQL opens: ATTACH and VACUUM INTO do."""

    @functools.wraps(connect)
    def connect_asking(*args: Any, **kwargs: Any) -> Any:
        inside = _INSIDE.get()
        if inside is None:
            return connect(*args, **kwargs)
        token = _WATCHING.set(True)
        try:
            connection = connect(*args, **kwargs)
        finally:
            _WATCHING.reset(token)
        connection.set_authorizer(functools.partial(_authorize, inside))
        return connection

    return connect_asking  # type: ignore[return-value]


def _authorize(inside: _Inside, action: int, path: str | None, *_: object) -> int:
    if action != _SQLITE_ATTACH:
        return _SQLITE_OK
    try:
        if path is None:  # a value that is bound later
            inside.refuse("file_write", "sqlite3.attach", "")
        _database_file(inside, "sqlite3.attach", (path,))
    except ContainmentError:  # is noted; SQLite has no use for it
        return _SQLITE_DENY
    return _SQLITE_OK


_POOLED: Final = frozenset({"anyio._backends._asyncio", "concurrent.futures.thread"})
"""Modules whose threads serve whoever comes, and run each piece of work in the context it was handed over in."""


def _start_inside(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Have a thread that is started inside run inside."""

    @functools.wraps(start)
    def start_inside(thread: threading.Thread) -> None:
        inside = _INSIDE.get()
        if inside is not None and type(thread).__module__ not in _POOLED:
            thread.run = _within(inside, thread.run)  # type: ignore[method-assign]
        start(thread)

    return start_inside


def _thread_inside(start: Callable[..., Any]) -> Callable[..., Any]:
    """Have a thread that is started below :mod:`threading` run inside."""

    @functools.wraps(start)
    def start_new_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        inside = _INSIDE.get()
        return start(function if inside is None else _within(inside, function), *args, **options)

    return start_new_thread


def _submit_inside(submit: Callable[..., Any]) -> Callable[..., Any]:
    """Have what is handed to an executor from inside run inside, on a thread that itself is not."""

    @functools.wraps(submit)
    def submit_inside(executor: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        inside = _INSIDE.get()
        if inside is None:
            return submit(executor, function, *args, **kwargs)
        with trusted():
            return submit(executor, _within(inside, function), *args, **kwargs)

    return submit_inside


def _within(inside: _Inside, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        token = _INSIDE.set(inside)
        try:
            return function(*args, **kwargs)
        finally:
            _INSIDE.reset(token)

    return run
