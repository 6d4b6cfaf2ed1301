"""BW405 to BW407: results, uploads and archives have a size."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, assigned, calls, free, method, name_of, named, text_of
from admission.source.module import is_definition
from admission.source.rules.rows import is_query
from admission.source.tree import inside, is_inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module
    from admission.source.values import Value

registry = Registry()

MAX_PIECES: Final = 64
"""Expressions that one statement is looked for in; a query that is built over more is not built by hand."""

_ONE: Final = frozenset(
    [
        "first",
        "one",
        "one_or_none",
        "scalar",
        "scalar_one",
        "scalar_one_or_none",
        "rowcount",
        "fetchone",
        "fetchmany",
        "partitions",
        "lastrowid",
        "inserted_primary_key",
        "returns_rows",
        "is_insert",
    ]
)
_ALL: Final = frozenset(["all", "fetchall", "unique"])
_BOUNDED: Final = frozenset(["limit", "fetch", "slice", "in_", "rowcount", "returning", "paginate", "tablesample"])
_BOUNDED_TEXT: Final = re.compile(
    r"\b(limit|fetch\s+(first|next)|(count|sum|max|min|avg)\s*\(|exists|insert|update|delete|set\s|set_config|pragma"
    r"|nextval|where\s+(\w+\.)?id\s*=|select\s+1\b|advisory|now\(\)|for update)",
    re.IGNORECASE,
)


@registry.rule("BW405", "A result without a bound")
def result(module: Module) -> Iterator[Fault]:
    """Point at queries that read every row that matches."""
    for call in calls(module):
        if not is_query(call) or method(call) in {
            "get",
            "get_one",
            "refresh",
            "scalar",
            "merge",
            "fetchrow",
            "fetchval",
            "fetchone",
            "run_sync",
        }:
            continue
        statement = argument_node(call, 0, "statement")
        if method(call) == "query":
            if not _chain(module, call.node) & (_ONE | _BOUNDED | {"count", "get", "update", "delete"}):
                yield _fault(call.node)
            continue
        if statement is None:
            continue
        pieces = pieces_of(module, statement)
        if not _selects(module, pieces) or any(
            not only_sometimes(module, bound, call.node) for bound in _bounds(module, pieces)
        ):
            continue
        used = _chain(module, call.node)
        if used & _ONE and not used & _ALL:
            continue
        yield _fault(call.node)
        own = next((piece for piece in pieces if _is_select(module, piece)), None)
        if own is not None and own.lineno != call.node.lineno and not is_inside(own, call.node):
            yield _fault(own)


def _fault(node: ast.AST) -> Fault:
    return Fault(
        node,
        "This reads every row that matches. Today there are ten; when there are a million, one request takes the memory of the process.",
        "`select(Note).order_by(Note.id).limit(limit)`, with `limit: Annotated[int, Query(ge=1, le=100)]`, and go on by key: `.where(Note.id > after)`.",
    )


def pieces_of(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return the expressions that a statement is made of: its own, what its names were given, what helpers return."""
    found: dict[ast.expr, None] = {}
    waiting = [node]
    while waiting and len(found) < MAX_PIECES:
        piece = waiting.pop()
        if piece not in found:
            found[piece] = None
            for part in inside(piece):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                    waiting += _given(module, part)
                elif isinstance(part, ast.Call):
                    waiting += _returned(module, part)
    return list(found)


def _given(module: Module, name: ast.Name) -> list[ast.expr]:
    """Return what a name is given, in the innermost scope that gives it anything."""
    scopes = [scope for scope in module.ancestors(name) if is_definition(scope)]
    for scope in (*scopes, module.tree):
        found = [
            value
            for value in assigned(module, scope, name.id)
            if scope is not module.tree or not module.function_of(value)
        ]
        if found:
            return found
    return []


def _returned(module: Module, call: ast.Call) -> list[ast.expr]:
    return [
        part.value
        for made in module.value(call.func).functions
        for part in inside(made.node)
        if isinstance(part, ast.Return) and part.value is not None
    ]


def _is_select(module: Module, node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Call) and "sqlalchemy.select" in module.value(part.func).names for part in inside(node)
    )


def _selects(module: Module, pieces: list[ast.expr]) -> bool:
    if any(_is_select(module, piece) for piece in pieces):
        return True
    said = " ".join(text_of(piece) for piece in pieces)
    return bool(re.match(r"\s*(select|with)\b", said, re.IGNORECASE))


def only_sometimes(module: Module, bound: ast.AST, query: ast.AST) -> bool:
    """Return whether a bound stands on a branch that the query need not come through: `if limit: query = query.limit(limit)`."""
    child = bound
    for parent in module.ancestors(bound):
        if is_definition(parent):
            return False
        if isinstance(parent, ast.If) and child in parent.body and not parent.orelse and not is_inside(query, parent):
            return not isinstance(parent.body[-1], ast.Return | ast.Raise)
        child = parent
    return False


def _bounds(module: Module, pieces: list[ast.expr]) -> Iterator[ast.AST]:
    """Yield what bounds a statement that is made of these pieces."""
    groups = any(
        isinstance(part, ast.Attribute) and part.attr == "group_by" for piece in pieces for part in inside(piece)
    )
    for piece in pieces:
        for part in inside(piece):
            if _is_bound(part) or (not groups and _is_aggregate(part)):
                yield part
    yield from _few_groups(module, pieces)
    said = " ".join(text_of(piece) for piece in pieces)
    if (_BOUNDED_TEXT.search(said) or _expands_keys(pieces, said)) and not any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "select"
        for piece in pieces
        for part in inside(piece)
    ):
        yield pieces[0]


def _few_groups(module: Module, pieces: list[ast.expr]) -> Iterator[ast.AST]:
    """Yield the groups of a statement if there are few of them: of a truth or a kind each, or of the days of a range that is measured."""
    made = [
        part
        for piece in pieces
        for part in inside(piece)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)
    ]
    for part in made:
        if (
            isinstance(part.func, ast.Attribute)
            and part.func.attr == "group_by"
            and part.args
            and all(_has_few_values(module, key, made) for key in part.args)
        ):
            yield part


def _has_few_values(module: Module, key: ast.expr, made: list[ast.Call]) -> bool:
    """Return whether a column has few values where this statement looks."""
    declared = module.columns.get(name_of(key), [])
    kinds = [module.annotation(each.annotation) for each in declared]
    types = {kind for said in kinds for part in (said, said.items) if part is not None for kind in part.types} - {
        "sqlalchemy.orm.Mapped"
    }
    if types and all(
        kind == "builtins.bool" or module.is_a(kind, "enum.Enum", "enum.StrEnum", "enum.IntEnum") for kind in types
    ):
        return True
    if not types or types - {"datetime.date", "builtins.int"}:
        return False
    ranges = [
        part.args
        for part in made
        if isinstance(part.func, ast.Attribute)
        and part.func.attr == "between"
        and name_of(part.func.value) == name_of(key)
        and len(part.args) == 2
    ]
    return any(is_measured(module, {name_of(first), name_of(last)}) for first, last in ranges)


def is_measured(module: Module, ends: set[str]) -> bool:
    """Return whether something is refused because of how far two values are apart: `if (last - first).days > 31: raise`."""
    for node in module.walk(ast.If):
        if isinstance(node, ast.If) and any(isinstance(step, ast.Raise | ast.Return) for step in node.body):
            for part in inside(node.test):
                sides = [part.left, *part.comparators] if isinstance(part, ast.Compare) else []
                apart = [
                    side
                    for side in sides
                    if any(_is_distance(piece, ends) for piece in (side, *_held_by(module, side)))
                ]
                if apart and any(not _is_nothing(side) for side in sides if side not in apart):
                    return True
                if len(sides) == 2 and any(_is_later(one, other, ends) for one, other in (sides, sides[::-1])):
                    return True
    return False


def _held_by(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return what the names in an expression were given: `span` of `span > 60`."""
    names = [part for part in inside(node) if isinstance(part, ast.Name)]
    return [given for name in names for given in module.given.get((module.function_of(node), name.id), [])]


def _is_distance(node: ast.expr, ends: set[str]) -> bool:
    return any(
        isinstance(inner, ast.BinOp)
        and isinstance(inner.op, ast.Sub)
        and {name_of(inner.left), name_of(inner.right)} == ends
        for inner in inside(node)
    )


def _is_later(one: ast.expr, other: ast.expr, ends: set[str]) -> bool:
    """`last > first + LONGEST`."""
    moved = name_of(other.left) if isinstance(other, ast.BinOp) and isinstance(other.op, ast.Add | ast.Sub) else ""
    return moved != "" and {name_of(one), moved} == ends


def _is_nothing(node: ast.expr) -> bool:
    """Return whether an end of a comparison is 0 or `timedelta(0)`, which only says which comes first."""
    if isinstance(node, ast.Call):
        return all(_is_nothing(argument) for argument in (*node.args, *(keyword.value for keyword in node.keywords)))
    return isinstance(node, ast.UnaryOp) or (isinstance(node, ast.Constant) and node.value == 0)


def _expands_keys(pieces: list[ast.expr], said: str) -> bool:
    """Return whether a text asks for the keys of a list that is bound: `WHERE id IN :ids` with `bindparam("ids", expanding=True)`."""
    expanding = {
        str(part.args[0].value)
        for piece in pieces
        for part in inside(piece)
        if isinstance(part, ast.Call)
        and part.args
        and isinstance(part.args[0], ast.Constant)
        and any(
            keyword.arg == "expanding" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            for keyword in part.keywords
        )
    }
    return any(match[1] in expanding for match in _KEYS_IN.finditer(said))


_KEYS_IN: Final = re.compile(
    r"\bwhere\s+(?:\w+\.)?(?:id|uuid|key|sku|slug|isbn|code|\w+_id)\s+in\s*:(\w+)(?![^)]*\bor\b)", re.IGNORECASE
)


def _is_bound(part: ast.AST) -> bool:
    """Return whether a part of a statement bounds its rows: `limit`, `in_`, a single id, a statement that only writes."""
    if (
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Name)
        and part.func.id in {"exists", "insert", "update", "delete"}
    ):
        return True
    if (
        isinstance(part, ast.Compare)
        and isinstance(part.ops[0], ast.Eq)
        and isinstance(part.left, ast.Attribute)
        and part.left.attr in {"id", "uuid"}
    ):
        return isinstance(part.left.value, ast.Name) and part.left.value.id[:1].isupper()
    return isinstance(part, ast.Attribute) and part.attr in _BOUNDED


def _is_aggregate(part: ast.AST) -> bool:
    """Return whether a part of a statement makes one row of all: `func.count()`."""
    return (
        isinstance(part, ast.Attribute)
        and part.attr in {"count", "sum", "max", "min", "avg", "exists"}
        and isinstance(part.value, ast.Name)
        and part.value.id in {"func", "sa", "sqlalchemy"}
    )


def _chain(module: Module, node: ast.AST) -> set[str]:
    """Return what is done with a result: the attributes behind the call, and those behind the names it is given to."""
    used: set[str] = set()
    names: set[str] = set()
    waiting = [node]
    while waiting:
        attributes, given = _behind(module, waiting.pop())
        used |= attributes
        new = given - names
        names |= new
        scope = module.function_of(node) or module.tree
        waiting += [
            part
            for part in (inside(scope) if new else ())
            if isinstance(part, ast.Name) and part.id in new and isinstance(part.ctx, ast.Load)
        ]
    return used


def _behind(module: Module, node: ast.AST) -> tuple[set[str], set[str]]:
    """Return the attributes that are asked of an expression one after another, and the names that hold the last."""
    used: set[str] = set()
    child: ast.AST = node
    for parent in module.ancestors(node):
        if isinstance(parent, ast.Attribute):
            used.add(parent.attr)
        elif isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            return used, {target.id for target in targets if isinstance(target, ast.Name)}
        elif not isinstance(parent, ast.Await | ast.Call) or (
            isinstance(parent, ast.Call) and child is not parent.func
        ):
            break
        child = parent
    return used, set()


@registry.rule("BW406", "An upload without a bound")
def upload(module: Module) -> Iterator[Fault]:
    """Point at uploads and streams that are read whole."""
    mend = "Read one byte more than you take: `data = await file.read(MAX_BYTES + 1)`, then `if len(data) > MAX_BYTES: raise HTTPException(413)`."
    message = "This reads whatever the client sends, into memory or onto the disk. One upload takes all there is."
    for call in calls(module):
        whole = _reads_whole(call)
        if whole and not _size_is_checked(module, call.node):
            yield Fault(call.node, message, mend)
    for loop in module.walk(ast.AsyncFor, ast.While, ast.For):
        if _reads_on(module, loop) and not _counts(module, loop):
            yield Fault(
                loop,
                "Piece by piece, this takes whatever the client sends. Nothing ends it.",
                "Count in the loop: `size += len(chunk)`, `if size > MAX_BYTES: raise HTTPException(413)`.",
            )
    for each in module.walk(ast.comprehension):
        taken = each.iter if isinstance(each, ast.comprehension) else None
        streams = isinstance(taken, ast.Call) and "fastapi.Request.stream" in module.value(taken.func).names
        if taken is not None and (streams or "fastapi.UploadFile.file" in module.value(taken).names):
            yield Fault(taken, message, mend)
    for route in module.routes:
        for parameter in route.parameters:
            if (
                parameter.source == "file"
                and parameter.annotation.types & {"builtins.bytes"}
                and not any(
                    keyword.arg == "max_length" for marker in parameter.markers() for keyword in marker.keywords
                )
            ):
                yield Fault(parameter.node, message, "Take an `UploadFile` and read `MAX_BYTES + 1` of it.")


def _reads_whole(call: Call) -> bool:
    handed = call.args[0].names if call.args else frozenset[str]()
    if named(call, {"shutil.copyfileobj"}) or "shutil.copyfileobj" in handed:
        return any("fastapi.UploadFile.file" in value.names for value in call.args)
    if handed & {"fastapi.UploadFile.file.read", "fastapi.UploadFile.file.readlines"} and len(call.args) == 1:
        return True
    if method(call) not in {"read", "readlines", "getvalue"} or call.node.args or call.node.keywords:
        return False
    return any(
        name.startswith(
            ("fastapi.UploadFile.read", "fastapi.UploadFile.file.read", "fastapi.UploadFile.file.readlines")
        )
        for name in call.names
    )


def _size_is_checked(module: Module, node: ast.AST) -> bool:
    function = module.function_of(node)
    for part in inside(function) if function is not None else ():
        if (
            isinstance(part, ast.Compare)
            and any(
                isinstance(inner, ast.Attribute) and inner.attr in {"size", "content_length"} for inner in inside(part)
            )
            and getattr(part, "lineno", 0) < getattr(node, "lineno", 0)
        ):
            return True
    return False


def _reads_on(module: Module, loop: ast.AST) -> bool:
    parts = (
        [loop.iter]
        if isinstance(loop, ast.AsyncFor | ast.For)
        else [loop.test, *loop.body]
        if isinstance(loop, ast.While)
        else []
    )
    for part in parts:
        for inner in inside(part):
            if isinstance(inner, ast.Call) and inner in module.calls:
                names = module.calls[inner].names
                if names & {"fastapi.Request.stream", "fastapi.UploadFile.read", "fastapi.UploadFile.file.read"}:
                    return True
            if (
                isinstance(loop, ast.For)
                and isinstance(inner, ast.Attribute)
                and "fastapi.UploadFile.file" in module.value(inner).names
            ):
                return True
    return False


def _counts(module: Module, loop: ast.AST) -> bool:
    """Return whether a loop looks at how much it has read."""
    for part in inside(loop):
        if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE):
            return True
        if (
            isinstance(part, ast.Call)
            and any(function for function in module.value(part.func).functions)
            and module.calls.get(part) is not None
            and any(
                isinstance(inner, ast.Compare)
                for function in module.value(part.func).functions
                for inner in inside(function.node)
            )
        ):
            return True
    return False


_DECOMPRESSING: Final = frozenset(
    {
        "gzip.decompress",
        "zlib.decompress",
        "bz2.decompress",
        "lzma.decompress",
        "brotli.decompress",
        "zstandard.decompress",
        "zstd.decompress",
        "lz4.frame.decompress",
        "snappy.decompress",
        "shutil.unpack_archive",
        "zipfile.ZipFile.extractall",
        "zipfile.ZipFile.extract",
        "tarfile.open().extractall",
        "tarfile.TarFile.extractall",
        "tarfile.open().extract",
        "tarfile.TarFile.extract",
        "zipfile.ZipFile.read",
        "zstandard.ZstdDecompressor.decompress",
        "py7zr.SevenZipFile.extractall",
        "blosc.decompress",
        "?.extractall",
        "rarfile.RarFile.extractall",
    }
)
_STREAMS: Final = (
    "gzip.GzipFile.read",
    "gzip.open().read",
    "bz2.BZ2File.read",
    "lzma.LZMAFile.read",
    "bz2.open().read",
    "lzma.open().read",
    "zipfile.ZipFile.open().read",
    "tarfile.open().extractfile().read",
    "zlib.decompressobj().decompress",
    "bz2.BZ2Decompressor.decompress",
    "lzma.LZMADecompressor.decompress",
    "tarfile.TarFile.extractfile().read",
)


@registry.rule("BW407", "Decompression without a bound")
def decompression(module: Module) -> Iterator[Fault]:
    """Point at archives and streams that unpack to any size."""
    for call in calls(module):
        handed = {name for value in call.args for name in value.names} & _DECOMPRESSING
        name = named(call, _DECOMPRESSING) or next(iter(sorted(handed)), None)
        if name is None:
            name = (
                named(call, _STREAMS)
                if len(call.node.args) + len(call.node.keywords) < (2 if "decompress" in method(call) else 1)
                else None
            )
        if name is None or _file_size_is_checked(module, call.node):
            continue
        yield _unpacks(call.node, name)
    for loop in module.walk(ast.For, ast.comprehension):
        if (
            isinstance(loop, ast.For | ast.comprehension)
            and (name := _opened(module.value(loop.iter)))
            and not (isinstance(loop, ast.For) and _counts(module, loop))
        ):
            yield _unpacks(loop.iter, name)
    for call in calls(module):
        taken = next((name for value in call.args if (name := _opened(value))), None) if named(call, _READING) else None
        if taken is not None:
            yield _unpacks(call.node, taken)


_OPENED: Final = frozenset(
    f"{module}.{opened}"
    for module, opens in {
        "gzip": ("open()", "GzipFile"),
        "bz2": ("open()", "BZ2File"),
        "lzma": ("open()", "LZMAFile"),
    }.items()
    for opened in opens
)
"""Open files that unpack what is read from them."""

_READING: Final = frozenset(
    {
        "json.load",
        "shutil.copyfileobj",
        "csv.reader",
        "csv.DictReader",
        "builtins.list",
        "builtins.sum",
        "io.TextIOWrapper",
    }
)
"""Reads a file that it is given to its end."""


def _opened(value: Value) -> str | None:
    """Return what unpacks a file that the client sent, if a value is one."""
    return min(value.types & _OPENED, default=None) if free(value) else None


def _unpacks(node: ast.AST, name: str) -> Fault:
    return Fault(
        node,
        f"`{name}` unpacks whatever comes. Ten kilobytes become ten gigabytes, and names in an archive may lead out of its folder.",
        "Unpack with a bound: `zlib.decompressobj(wbits=31).decompress(data, MAX_BYTES)`; of an archive check `sum(info.file_size for info in archive.infolist())` first.",
    )


def _file_size_is_checked(module: Module, node: ast.AST) -> bool:
    function = module.function_of(node)
    for part in inside(function) if function is not None else ():
        if isinstance(part, ast.Compare) and any(
            isinstance(inner, ast.Attribute) and inner.attr in {"file_size", "size"} for inner in inside(part)
        ):
            return True
        if isinstance(part, ast.Assign) and any(
            isinstance(inner, ast.Attribute) and inner.attr == "file_size" for inner in inside(part.value)
        ):
            return True
    return False
