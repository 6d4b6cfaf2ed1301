"""What calls of libraries give: by the tables of ``effects``, else by what went in."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from admission.source import effects
from admission.source.canonical import last, looks_like_class
from admission.source.expressions import MAX_CONSTANT, Expressions
from admission.source.values import (
    BODY,
    COLUMN_NAMES,
    COLUMNS,
    ERROR,
    INPUT,
    INTERNAL,
    LOCKED,
    NOTHING,
    OUTSIDE,
    PASSWORD,
    PERSONAL,
    ROW,
    SAFE_FOR,
    SECRET,
    SHAPED,
    STORED,
    TABLE,
    WHOLE,
    Value,
    constant,
    is_free,
    join,
    labels_of,
    shallow,
)
from admission.source.words import sensitivity

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLES: Final = "app.models."
_OF_NAMES: Final = (SECRET, PASSWORD, PERSONAL, BODY)
"""What a column holds of these is told by its own name, and the object round it is not written out with it."""

_STATEMENTS: Final = frozenset({"sqlalchemy.select", "sqlalchemy.update", "sqlalchemy.delete", "sqlalchemy.insert"})

_DUMPING: Final = frozenset(
    {"builtins.dict", "builtins.vars", "dataclasses.asdict", "fastapi.encoders.jsonable_encoder"}
)
"""Gives the fields of a model, each under its name."""

_SERVICES: Final = ("app.dependencies.", "app.upstreams.", "httpx.", "requests.", "aiohttp.")


_INSPECTING: Final = frozenset(
    {
        "sqlalchemy.inspect",
        "sqlalchemy.inspection.inspect",
        "sqlalchemy.orm.class_mapper",
        "sqlalchemy.orm.object_mapper",
    }
)
_PATHS: Final = frozenset({"pathlib.Path", "anyio.Path"})


class Library(Expressions):
    """The part of the walk that knows what libraries do with what they are given."""

    def outside(self, name: str, receiver: Value, args: Sequence[Value], keywords: dict[str, Value]) -> Value:  # noqa: PLR0911 - one for each kind
        """Return what a function of a library gives: by the tables, else by what went in."""
        given = [*args, *keywords.values()]
        labels = labels_of(given)
        method = last(name)
        if name in effects.SHAPING or (method in effects.SHAPING_METHODS and not name.startswith("app.")):
            kind = effects.SHAPING.get(name, "builtins.int" if method in {"count", "index"} else "builtins.str")
            touched = is_free(labels | receiver.labels) or SHAPED in labels | receiver.labels
            return Value(types=frozenset({kind}), labels=frozenset({SHAPED}) if touched else frozenset())
        if name in effects.TRUTH or method in effects.TRUTH_METHODS:
            return Value(types=frozenset({"builtins.bool"}))
        if name in effects.SAFE:
            safe = labels - {INPUT, STORED} | ({SAFE_FOR + effects.SAFE[name]} if is_free(labels) else set())
            return Value(types=frozenset({"builtins.str"}), labels=safe)
        if name in effects.BEGINNING:
            return Value(names=frozenset({f"{name}()"}), labels=frozenset({effects.BEGINNING[name]}))
        if name in effects.PASSING or name in effects.DECODERS or name in effects.ENCODERS:
            return _decoded(name, args) or self._passed(name, args, keywords)
        if name in _INSPECTING:
            return Value(types=frozenset({"sqlalchemy.inspect()"}), labels=frozenset({COLUMN_NAMES}))
        if self._is_database(name, receiver):
            if method == "_asdict":
                receiver = receiver.labelled(COLUMNS)
            elif method in {"get", "pop"} and args and args[0].constant is not None:
                receiver = receiver.without(COLUMNS)
            return Value(
                types=frozenset({f"{name}()"}), labels=frozenset({ROW}) | self._asked(receiver, args, keywords)
            )
        if name.startswith(_SERVICES):
            return Value(
                types=frozenset({name if looks_like_class(name) else f"{name}()"}), labels=frozenset({OUTSIDE})
            )
        if method in effects.PASSING_METHODS and (receiver.types or not looks_like_class(name.rpartition(".")[0])):
            return self._passed_method(name, method, receiver, args, keywords)
        if name.startswith(_TABLES) and looks_like_class(name) and not args and "**" not in keywords:
            return self._new_row(name, keywords)
        return self._unknown(name, receiver, args, labels)

    def _passed(self, name: str, args: Sequence[Value], keywords: dict[str, Value]) -> Value:  # noqa: PLR0911 - one for each kind
        if name == "typing.cast":
            return args[1] if len(args) > 1 else NOTHING
        if name in {
            "builtins.str",
            "builtins.repr",
            "builtins.format",
            "json.dumps",
            "orjson.dumps",
            "os.path.join",
            "urllib.parse.urljoin",
        }:
            return self.compose(self.current, [*args, *keywords.values()])
        if name in _PATHS and len(args) > 1:
            return replace(self.compose(self.current, args), types=frozenset({name}))
        if name == "asyncio.gather":
            return Value(
                types=frozenset({"builtins.list"}),
                items=join(*args),
                fields=tuple((str(position), value) for position, value in enumerate(args)),
            )
        if name == "builtins.zip":
            return Value(
                items=Value(
                    items=join(*(self.element(arg) for arg in args)),
                    fields=tuple((str(position), self.element(arg)) for position, arg in enumerate(args)),
                )
            )
        if name == "builtins.enumerate" and args:
            element = self.element(args[0])
            return Value(
                items=Value(items=element, fields=(("0", Value(types=frozenset({"builtins.int"}))), ("1", element)))
            )
        if name in {"builtins.next", "builtins.max", "builtins.min", "builtins.anext"} and args and args[0].items:
            return join(args[0].items, *args[1:])
        if name == "builtins.vars" and args and ROW in args[0].labels:
            return args[0].labelled(COLUMNS)
        if name in _DUMPING:
            args = [
                self._dumped("model_dump", arg) if any(self.module.is_model(kind) for kind in arg.types) else arg
                for arg in args
            ]
        if name == "builtins.dict":
            return Value(
                types=frozenset({"builtins.dict"}),
                labels=labels_of(args)
                & {INPUT, SECRET, PASSWORD, PERSONAL, BODY, WHOLE, INTERNAL, ERROR, ROW, COLUMNS},
                items=join(*(arg.items for arg in args), *keywords.values()),
                fields=tuple({**{key: value for arg in args for key, value in arg.fields}, **keywords}.items()),
                fixed=not labels_of([*args, *keywords.values()]),
            )
        if name == "builtins.sum" and args and args[0].items is not None:
            return replace(join(args[0].items, *args[1:]).labelled(*args[0].labels), constant=None)
        types = frozenset({effects.TYPES.get(name, name)})
        made = join(*args, *keywords.values())
        if name in {
            "builtins.list",
            "builtins.set",
            "builtins.tuple",
            "builtins.frozenset",
            "builtins.sorted",
            "builtins.reversed",
        }:
            kept = made.labels - {WHOLE} if "builtins.dict" in made.types else made.labels  # of a dictionary its keys
            return replace(made, types=types, names=frozenset(), functions=frozenset(), constant=None, labels=kept)
        passing = frozenset() if name in {"builtins.map", "builtins.filter"} else made.functions
        return replace(
            made,
            types=types if looks_like_class(name) or name in effects.TYPES else made.types or types,
            names=frozenset(),
            functions=passing,
            constant=None,
            labels=made.labels,
        )

    def _passed_method(  # noqa: PLR0911 - one for each kind
        self, name: str, method: str, receiver: Value, args: Sequence[Value], keywords: dict[str, Value]
    ) -> Value:
        if method in {"encode", "decode"} and receiver.constant is not None and not args and not keywords:
            return _recoded(receiver.constant.value)
        if method in {"get", "pop", "setdefault"}:
            key = args[0].constant.value if args and args[0].constant else None
            found = self.element(receiver, key) if receiver is not NOTHING else Value(types=frozenset({f"{name}()"}))
            return join(found, *args[1:], *keywords.values())
        if method == "items":
            element = self.element(receiver)
            return Value(items=Value(items=element, fields=(("0", Value(labels=receiver.labels)), ("1", element))))
        if method == "values":
            return Value(items=self.element(receiver))
        if method in {"model_dump", "dict", "model_copy", "model_dump_json", "_asdict"}:
            dumped = self._dumped(method, receiver)
            return dumped.without(WHOLE) if keywords.keys() & {"include", "exclude"} else dumped
        if method == "join":
            return self._joined(receiver, args)
        if receiver.types & {"fastapi.Request", "fastapi.UploadFile"}:
            table = effects.REQUEST if "fastapi.Request" in receiver.types else effects.UPLOAD
            return Value(types=frozenset({f"{name}()"}), labels=frozenset(table.get(method, ())))
        labels = receiver.all_labels() | (
            labels_of([*args, *keywords.values()])
            if method
            in {
                "format",
                "format_map",
                "replace",
                "joinpath",
                "sub",
                "union",
                "substitute",
                "safe_substitute",
                "with_name",
            }
            else frozenset()
        )
        if method == "keys":
            labels -= {WHOLE}
        if method == "joinpath":
            return replace(self.compose(self.current, [receiver, *args]), types=receiver.types)
        if method in {"format", "format_map", "substitute", "safe_substitute"}:
            return self._formatted(receiver, [*args, *keywords.values()])
        kept = (
            receiver.types
            if method in effects.SAME_TYPE or receiver.types & {"builtins.str", "pathlib.Path"}
            else frozenset({f"{name}()"})
        )
        items = (
            Value(types=frozenset({"builtins.str"}), labels=labels)
            if method in {"split", "rsplit", "splitlines", "partition", "rpartition"}
            else receiver.items
        )
        return Value(
            types=kept, labels=labels, items=items, composed=receiver.composed, bare=receiver.bare, fixed=receiver.fixed
        )

    def _joined(self, receiver: Value, args: Sequence[Value]) -> Value:
        parts = [part for arg in args for part in (arg.items, Value(labels=arg.labels)) if part is not None]
        fields = [value for arg in args for _, value in arg.fields]
        shown = isinstance(self.current, ast.Call) and all(
            isinstance(arg, ast.List | ast.Tuple) for arg in self.current.args
        )
        if receiver.constant is not None and (shown or all(arg.fixed for arg in args)):
            said = [value.constant.value for value in fields if value.constant is not None]
            if len(said) == len(fields) > 0:
                return constant(str(receiver.constant.value).join(map(str, said))[:MAX_CONSTANT])
        made = self.compose(self.current, [receiver, *parts, *fields])
        return replace(made, types=frozenset({"builtins.str"}))

    def _formatted(self, receiver: Value, given: Sequence[Value]) -> Value:
        mapped = [value for part in given if "builtins.dict" in part.types for _, value in part.fields]
        return self.compose(self.current, [receiver, *given, *mapped])

    def _dumped(self, method: str, receiver: Value) -> Value:
        """Return a model's fields, each with what its name and annotation say."""
        labels = set(receiver.labels)
        if self.is_whole(receiver):
            labels.add(WHOLE)
        fields: dict[str, Value] = {}
        for kind in receiver.types:
            for base in self.module.bases_of(kind):
                info = self.module.classes.get(base)
                for field in info.fields if info else ():
                    value = self.attribute(replace(receiver, types=frozenset({kind})), field)
                    fields[field] = value
                    labels |= value.all_labels() & {SECRET, PASSWORD, PERSONAL}
        if method == "model_copy":
            return receiver
        if method == "model_dump_json":
            return Value(types=frozenset({"builtins.str"}), labels=frozenset(labels))
        return shallow(
            Value(
                types=frozenset({"builtins.dict"}),
                labels=frozenset(labels),
                fields=tuple(fields.items()),
                items=join(*fields.values()) if fields else None,
            )
        )

    def _is_database(self, name: str, receiver: Value) -> bool:
        base, _, method = name.rpartition(".")
        if ROW in receiver.labels:
            return True
        if base in effects.SESSIONS or base == effects.LOOKING or name.startswith(("sqlalchemy.", "sqlmodel.")):
            return method in effects.QUERIES
        return base == "?" and method in effects.QUERY_ONLY

    def _asked(self, receiver: Value, args: Sequence[Value], keywords: dict[str, Value]) -> frozenset[str]:
        """Return which tables a statement or an answer of the database is about, and whether its rows are locked."""
        told = {
            label for value in (receiver, *args, *keywords.values()) for label in value.labels if _is_about_rows(label)
        }
        told |= {TABLE + table for value in args for name in value.names if (table := self._table_of(name)) is not None}
        locks = keywords.get("with_for_update")
        if locks is not None and not (locks.constant is not None and not locks.constant.value):
            told.add(LOCKED)
        return frozenset(told)

    def _table_of(self, name: str) -> str | None:
        """Return the table that a name stands for, or a column of it."""
        return next((table for table in (name, name.rpartition(".")[0]) if self.module.is_table(table)), None)

    def _new_row(self, name: str, keywords: dict[str, Value]) -> Value:
        """Return a new row of an imported table: under each column what its keyword was given, elsewhere a default."""
        columns = tuple((column, value.without(*_OF_NAMES)) for column, value in keywords.items())
        return shallow(Value(types=frozenset({name}), fields=columns))

    def _unknown(self, name: str, receiver: Value, args: Sequence[Value], labels: frozenset[str]) -> Value:
        produced = name if looks_like_class(name) else effects.TYPES.get(name, f"{name}()")
        if last(name) in effects.SAME_TYPE and receiver.types and not receiver.types & {"builtins.str"}:
            locked = frozenset({LOCKED}) if last(name) == "with_for_update" else frozenset()
            return Value(
                types=receiver.types,
                labels=frozenset(label for label in receiver.labels if label == ROW or _is_about_rows(label)) | locked,
            )
        base = name.rpartition(".")[0]
        if name.startswith(("sqlalchemy.", "sqlmodel.")) or (
            looks_like_class(base.rpartition(".")[0]) and last(base)[:1].islower()
        ):
            about = self._asked(NOTHING, args, {}) if name in _STATEMENTS else frozenset()
            return Value(
                types=frozenset({produced}), labels=about
            )  # an expression with bound parameters: text cannot get out of it
        passed = (
            labels & {INPUT}
            | {label for label in labels if label.startswith(SAFE_FOR)}
            | receiver.labels & {INPUT, ROW, OUTSIDE, SHAPED, COLUMN_NAMES}
        )
        if INPUT in passed and self.awaited:
            passed -= {INPUT}  # what was awaited came from elsewhere; what was sent there does not come back
        if not looks_like_class(name):
            passed |= (
                sensitivity(last(name))
                if last(name).startswith(
                    ("get_", "load_", "read_", "fetch_", "create_", "issue_", "make_", "generate_", "decrypt")
                )
                else frozenset()
            )
        return Value(types=frozenset({produced}), labels=frozenset(passed))


def _decoded(name: str, args: Sequence[Value]) -> Value | None:
    """Return the constant that another writing of it stands for: ``b64decode("...")``; None for all other calls."""
    said = args[0].constant.value if args and args[0].constant is not None else None
    if not isinstance(said, str | bytes) or len(said) > MAX_CONSTANT:
        return None
    if name in effects.ENCODERS and isinstance(said, bytes):
        return constant(effects.ENCODERS[name](said))
    if name not in effects.DECODERS:
        return None
    try:
        return constant(effects.DECODERS[name](said))
    except ValueError:
        return None


def _recoded(said: object) -> Value:
    """Return what ``"text".encode()`` and ``b"text".decode()`` give."""
    try:
        return constant(said.encode() if isinstance(said, str) else said.decode() if isinstance(said, bytes) else None)
    except UnicodeError:
        return NOTHING


def _is_about_rows(label: str) -> bool:
    return label in {LOCKED, COLUMNS} or label.startswith(TABLE)
