"""What calls of libraries do to the origin of a value: pass it on, shape it, make it safe for one use, or begin it."""

from __future__ import annotations

import ast
import base64
import binascii
from typing import TYPE_CHECKING, Final

from admission.source.values import BODY, ERROR, INPUT, INTERNAL

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPING: Final = {
    "builtins.int": "builtins.int",
    "builtins.float": "builtins.float",
    "builtins.bool": "builtins.bool",
    "builtins.len": "builtins.int",
    "builtins.ord": "builtins.int",
    "builtins.hash": "builtins.int",
    "builtins.id": "builtins.int",
    "builtins.range": "builtins.range",
    "uuid.UUID": "uuid.UUID",
    "decimal.Decimal": "decimal.Decimal",
    "ipaddress.ip_address": "ipaddress.IPv4Address",
    "ipaddress.ip_network": "ipaddress.IPv4Network",
    "zoneinfo.ZoneInfo": "zoneinfo.ZoneInfo",
    "datetime.date.fromisoformat": "datetime.date",
    "datetime.datetime.fromisoformat": "datetime.datetime",
    "datetime.datetime.strptime": "datetime.datetime",
    "datetime.datetime.fromtimestamp": "datetime.datetime",
    "datetime.timedelta": "datetime.timedelta",
    "builtins.hex": "builtins.str",
    "builtins.bin": "builtins.str",
    "slugify.slugify": "builtins.str",
    "binascii.hexlify": "builtins.str",
    "uuid.uuid5": "uuid.UUID",
    "zlib.crc32": "builtins.int",
}
"""A value that went through one of these can only be a number, an identifier, a date; and its type."""

SHAPING_METHODS: Final = frozenset(
    {"hexdigest", "hex", "bit_length", "isoformat", "total_seconds", "timestamp", "count", "index", "find", "rfind"}
)

TRUTH: Final = frozenset(
    {
        "builtins.isinstance",
        "builtins.issubclass",
        "builtins.hasattr",
        "builtins.callable",
        "builtins.any",
        "builtins.all",
        "hmac.compare_digest",
        "secrets.compare_digest",
    }
)
TRUTH_METHODS: Final = frozenset(
    [
        "isdigit",
        "isalnum",
        "isalpha",
        "isidentifier",
        "isdecimal",
        "isnumeric",
        "isascii",
        "islower",
        "isupper",
        "isspace",
        "istitle",
        "isprintable",
        "startswith",
        "endswith",
        "exists",
        "is_file",
        "is_dir",
        "is_relative_to",
        "is_absolute",
        "is_symlink",
    ]
)

SAFE: Final = {
    "html.escape": "html",
    "markupsafe.escape": "html",
    "nh3.clean": "html",
    "bleach.clean": "html",
    "xml.sax.saxutils.escape": "html",
    "urllib.parse.quote": "url",
    "urllib.parse.quote_plus": "url",
    "urllib.parse.urlencode": "url",
    "os.path.basename": "path",
    "werkzeug.utils.secure_filename": "path",
    "re.escape": "regex",
}
"""Makes client text safe for one use, and for no other."""

SAFE_ATTRIBUTES: Final = {"name": "path", "stem": "path", "suffix": "path"}
"""Of a ``Path``: one component, without a separator."""

PASSING: Final = frozenset(
    f"builtins.{name}"
    for name in [
        "str",
        "repr",
        "format",
        "bytes",
        "bytearray",
        "list",
        "dict",
        "tuple",
        "set",
        "frozenset",
        "sorted",
        "reversed",
        "iter",
        "next",
        "enumerate",
        "zip",
        "max",
        "min",
        "sum",
        "abs",
        "round",
        "ascii",
        "filter",
        "map",
        "memoryview",
        "aiter",
        "anext",
    ]
) | frozenset(
    {
        "json.dumps",
        "json.loads",
        "orjson.dumps",
        "orjson.loads",
        "fastapi.encoders.jsonable_encoder",
        "copy.copy",
        "copy.deepcopy",
        "dataclasses.asdict",
        "dataclasses.replace",
        "builtins.vars",
        "builtins.getattr",
        "os.path.join",
        "os.path.abspath",
        "os.path.normpath",
        "os.path.realpath",
        "os.fspath",
        "os.path.expanduser",
        "pathlib.Path",
        "pathlib.PurePath",
        "anyio.Path",
        "urllib.parse.unquote",
        "urllib.parse.urljoin",
        "urllib.parse.urlparse",
        "urllib.parse.urlsplit",
        "urllib.parse.urlunparse",
        "urllib.parse.parse_qs",
        "base64.b64decode",
        "base64.b64encode",
        "base64.urlsafe_b64decode",
        "base64.urlsafe_b64encode",
        "itertools.chain",
        "itertools.islice",
        "itertools.batched",
        "itertools.chain.from_iterable",
        "itertools.groupby",
        "collections.Counter",
        "collections.OrderedDict",
        "collections.deque",
        "textwrap.dedent",
        "typing.cast",
        "asyncio.wait_for",
        "asyncio.shield",
        "asyncio.gather",
        "asyncio.create_task",
        "asyncio.ensure_future",
        "string.Template",
        "httpx.URL",
        "re.sub",
        "re.split",
        "re.findall",
        "shlex.quote",
        "shlex.split",
        "shlex.join",
        "io.BytesIO",
        "io.StringIO",
        "builtins.type",
        "functools.reduce",
        "types.SimpleNamespace",
        "unicodedata.normalize",
    }
)
"""The result holds what went in, secrets too."""

PASSING_METHODS: Final = frozenset(
    [
        "format",
        "format_map",
        "join",
        "replace",
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "title",
        "capitalize",
        "casefold",
        "encode",
        "decode",
        "split",
        "rsplit",
        "splitlines",
        "partition",
        "rpartition",
        "removeprefix",
        "removesuffix",
        "zfill",
        "ljust",
        "rjust",
        "center",
        "expandtabs",
        "translate",
        "swapcase",
        "get",
        "pop",
        "setdefault",
        "items",
        "values",
        "keys",
        "copy",
        "model_dump",
        "model_dump_json",
        "dict",
        "json",
        "model_copy",
        "getlist",
        "multi_items",
        "popitem",
        "joinpath",
        "with_suffix",
        "with_name",
        "resolve",
        "absolute",
        "expanduser",
        "as_posix",
        "read",
        "readline",
        "readlines",
        "getvalue",
        "substitute",
        "safe_substitute",
        "geturl",
        "_replace",
        "_asdict",
        "group",
        "groups",
        "groupdict",
        "sub",
        "union",
        "difference",
        "intersection",
        "most_common",
        "__getitem__",
        "__str__",
        "__repr__",
        "__format__",
        "body",
        "stream",
        "form",
    ]
)
"""Methods whose result holds what their object held, and what was given to them."""

TYPES: Final = {
    "sqlalchemy.orm.sessionmaker().__call__": "sqlalchemy.orm.Session",
    "sqlalchemy.ext.asyncio.async_sessionmaker().__call__": "sqlalchemy.ext.asyncio.AsyncSession",
    "sqlite3.connect": "sqlite3.Connection",
    "aiosqlite.connect": "aiosqlite.Connection",
    "psycopg.connect": "psycopg.Connection",
    "asyncpg.connect": "asyncpg.Connection",
    "builtins.open": "builtins.file",
    "logging.getLogger": "logging.Logger",
    "structlog.get_logger": "logging.Logger",
    "structlog.getLogger": "logging.Logger",
    "structlog.stdlib.get_logger": "logging.Logger",
    "loguru.logger": "logging.Logger",
    "re.compile": "re.Pattern",
    "builtins.str": "builtins.str",
    "builtins.list": "builtins.list",
    "builtins.dict": "builtins.dict",
    "builtins.set": "builtins.set",
    "collections.deque": "collections.deque",
    "collections.defaultdict": "collections.defaultdict",
    "collections.OrderedDict": "collections.OrderedDict",
    "json.dumps": "builtins.str",
    "os.path.join": "builtins.str",
    "urllib.parse.urlparse": "urllib.parse.ParseResult",
    "urllib.parse.urlsplit": "urllib.parse.ParseResult",
    "asyncio.get_event_loop": "asyncio.AbstractEventLoop",
    "asyncio.get_running_loop": "asyncio.AbstractEventLoop",
    "asyncio.new_event_loop": "asyncio.AbstractEventLoop",
    "sqlalchemy.text": "sqlalchemy.TextClause",
    "sqlalchemy.create_engine": "sqlalchemy.Engine",
    "sqlalchemy.ext.asyncio.create_async_engine": "sqlalchemy.ext.asyncio.AsyncEngine",
    "requests.session": "requests.Session",
    "datetime.datetime.now": "datetime.datetime",
    "datetime.datetime.utcnow": "datetime.datetime",
    "time.time": "builtins.float",
    "random.Random": "random.Random",
    "string.Template": "string.Template",
    "logging.LoggerAdapter": "logging.Logger",
    "uuid.uuid4": "uuid.UUID",
    "tempfile.gettempdir": "builtins.str",
}
SAME_TYPE: Final = frozenset(
    [
        "resolve",
        "joinpath",
        "absolute",
        "expanduser",
        "with_suffix",
        "with_name",
        "bind",
        "getChild",
        "new",
        "where",
        "filter",
        "filter_by",
        "order_by",
        "limit",
        "offset",
        "join",
        "outerjoin",
        "options",
        "group_by",
        "having",
        "distinct",
        "with_for_update",
        "values",
        "returning",
        "select_from",
        "on_conflict_do_nothing",
        "on_conflict_do_update",
        "add_columns",
        "with_only_columns",
        "execution_options",
        "unbind",
        "opt",
    ]
)
"""Methods whose result is of the type of their object."""

BEGINNING: Final = {
    "traceback.format_exc": ERROR,
    "traceback.format_exception": ERROR,
    "traceback.format_exception_only": ERROR,
    "traceback.format_tb": ERROR,
    "sys.exc_info": ERROR,
    "traceback.TracebackException.from_exception": ERROR,
    "os.getenv": INTERNAL,
    "os.environ.get": INTERNAL,
    "os.getcwd": INTERNAL,
    "socket.gethostname": INTERNAL,
    "platform.platform": INTERNAL,
    "platform.node": INTERNAL,
    "platform.uname": INTERNAL,
    "platform.python_version": INTERNAL,
    "os.uname": INTERNAL,
    "os.listdir": INTERNAL,
    "sys._current_frames": INTERNAL,
    "gc.get_objects": INTERNAL,
    "builtins.globals": INTERNAL,
    "builtins.locals": INTERNAL,
    "psutil.Process": INTERNAL,
    "inspect.stack": INTERNAL,
    "threading.enumerate": INTERNAL,
    "asyncio.all_tasks": INTERNAL,
    "importlib.metadata.distributions": INTERNAL,
    "pkg_resources.working_set": INTERNAL,
    "tracemalloc.take_snapshot": INTERNAL,
    "sys.exception": ERROR,
}
INTERNAL_NAMES: Final = frozenset(
    {
        "os.environ",
        "sys.path",
        "sys.modules",
        "sys.version",
        "sys.version_info",
        "sys.argv",
        "sys.flags",
        "sys.executable",
        "sys.platform",
        "app.settings",
        "app.settings.settings",
    }
)

REQUEST: Final = {
    "query_params": (INPUT,),
    "headers": (INPUT, BODY),
    "cookies": (INPUT, BODY),
    "path_params": (INPUT,),
    "url": (INPUT,),
    "base_url": (INPUT,),
    "scope": (INPUT,),
    "body": (INPUT, BODY),
    "json": (INPUT, BODY),
    "form": (INPUT, BODY),
    "stream": (INPUT, BODY),
    "app": (INTERNAL,),
}
"""Attributes and methods of a request that hold what the client sent."""

OF_THE_SERVICE: Final = frozenset({"app", "router", "state"})
"""Keys of an ASGI scope under which the service stands, and nothing that the client sent."""

UPLOAD: Final = {
    "filename": (INPUT,),
    "content_type": (INPUT,),
    "file": (INPUT,),
    "read": (INPUT,),
    "headers": (INPUT,),
}

SESSIONS: Final = frozenset(
    {
        "sqlalchemy.ext.asyncio.AsyncSession",
        "sqlalchemy.orm.Session",
        "sqlalchemy.ext.asyncio.AsyncConnection",
        "sqlalchemy.Connection",
        "sqlalchemy.engine.Connection",
        "sqlalchemy.ext.asyncio.async_scoped_session",
    }
)
LOOKING: Final = "app.dependencies.Look()"
"""The session that ``look()`` opens: it reads, and gives its connection back at once."""

SESSION_NAMES: Final = frozenset(
    {"session", "db", "conn", "connection", "database", "db_session", "async_session", "tx", "uow", "cursor", "cur"}
)

QUERIES: Final = frozenset(
    {
        "execute",
        "scalars",
        "scalar",
        "stream",
        "stream_scalars",
        "get",
        "get_one",
        "exec",
        "refresh",
        "fetch",
        "fetchrow",
        "fetchval",
        "fetchall",
        "fetchone",
        "query",
        "merge",
        "run_sync",
    }
)
"""Methods of a session or connection that ask the database."""

QUERY_ONLY: Final = frozenset(
    {"execute", "scalars", "scalar", "stream_scalars", "get_one", "fetchrow", "fetchval", "executemany"}
)
"""Of these, the names that tell a session even where nothing else does."""

OFF_LOOP: Final = {
    "asyncio.to_thread": 0,
    "fastapi.concurrency.run_in_threadpool": 0,
    "anyio.to_thread.run_sync": 0,
    "asyncio.AbstractEventLoop.run_in_executor": 1,
    "?.run_in_executor": 1,
    "asgiref.sync.sync_to_async": 0,
    "?.submit": 0,
    "concurrent.futures.ThreadPoolExecutor.submit": 0,
    "concurrent.futures.ProcessPoolExecutor.submit": 0,
    "fastapi.BackgroundTasks.add_task": 0,
    "?.add_task": 0,
}
"""Calls another function off the event loop (or later), and where that function stands among the arguments."""

EACH: Final = frozenset(
    {
        "builtins.map",
        "builtins.filter",
        "itertools.starmap",
        "itertools.filterfalse",
        "itertools.takewhile",
        "itertools.dropwhile",
        "builtins.sorted",
        "builtins.max",
        "builtins.min",
    }
)
"""Calls what it is given once for each element of something else."""

OPERATORS: Final[dict[str, type[ast.operator]]] = {
    f"operator.{form}{name}": kind
    for names, kind in {
        ("add", "concat"): ast.Add,
        ("sub",): ast.Sub,
        ("mul",): ast.Mult,
        ("truediv",): ast.Div,
        ("floordiv",): ast.FloorDiv,
        ("mod",): ast.Mod,
        ("or_", "or"): ast.BitOr,
        ("and_", "and"): ast.BitAnd,
    }.items()
    for name in names
    for form in ("", "i")
}
"""Functions that do what an operator does, and the operator."""

COMPARISONS: Final = frozenset(
    f"operator.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge", "is_", "is_not", "not_", "truth", "contains")
)
"""Functions that compare as an operator does; what they give is a truth."""

GETTERS: Final = frozenset({"operator.itemgetter", "operator.attrgetter", "operator.methodcaller"})
"""Makes a function that asks an object for what is named here: ``itemgetter("id")(row)`` is ``row["id"]``."""

ENCODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "base64.b64encode": base64.b64encode,
    "base64.urlsafe_b64encode": base64.urlsafe_b64encode,
    "binascii.hexlify": binascii.hexlify,
}
"""What writes a constant in another way, as a header of credentials does."""

DECODERS: Final[dict[str, Callable[[str | bytes], bytes]]] = {
    "base64.b64decode": base64.b64decode,
    "base64.standard_b64decode": base64.b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": base64.a85decode,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.unhexlify,
    "binascii.a2b_base64": binascii.a2b_base64,
    "builtins.bytes.fromhex": lambda said: bytes.fromhex(said.decode() if isinstance(said, bytes) else said),
}
"""What stands in the source in another writing, and what reads it."""
