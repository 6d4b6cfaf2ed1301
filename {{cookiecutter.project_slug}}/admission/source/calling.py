"""Walks through calls: into this module's functions, and over those of libraries by what is known of them."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from admission.source import effects
from admission.source.canonical import canonical, last, looks_like_class
from admission.source.environment import Environment
from admission.source.expressions import Expressions, path_of
from admission.source.module import is_function
from admission.source.state import MAX_CALLS
from admission.source.tree import inside
from admission.source.values import (
    BODY,
    ERROR,
    INPUT,
    INTERNAL,
    NOTHING,
    OUTSIDE,
    PASSWORD,
    PERSONAL,
    ROW,
    SAFE_FOR,
    SECRET,
    SHAPED,
    Function,
    FunctionNode,
    Value,
    is_free,
    join,
    labels_of,
    shallow,
)
from admission.source.words import sensitivity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from admission.source.module import Call

_GROWING: Final = frozenset(
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
        "extendleft",
        "push",
        "write",
    }
)
_IMPORTING: Final = frozenset(
    {"importlib.import_module", "builtins.__import__", "importlib.__import__", "pkgutil.resolve_name"}
)
_SERVICES: Final = ("app.dependencies.", "app.upstreams.", "httpx.", "requests.", "aiohttp.")
_VALIDATING: Final = frozenset(
    {"model_validate", "model_validate_json", "parse_obj", "parse_raw", "model_construct", "from_orm"}
)
_MODULE_EXPORTS: Final = frozenset({"builtins.globals", "builtins.vars", "builtins.locals"})


class Calls(Expressions):
    """The part of the walk that follows calls."""

    def call(self, node: ast.Call, env: Environment) -> Value:
        """Return what a call may return, and record what it calls with what."""
        receiver = NOTHING
        callee = self.evaluate(node.func, env)
        if isinstance(node.func, ast.Attribute):
            path = path_of(node.func.value)
            receiver = (env.lookup(path) if path else None) or self.evaluate(node.func.value, env)
        args, spread = self._positional(node, env)
        keywords = self._keywords(node, env)
        record = self.note_call(node)
        record.names |= callee.names
        record.receiver = join(record.receiver, receiver)
        record.args = (
            [join(one, other) for one, other in zip(record.args, args, strict=False)]
            + args[len(record.args) :]
            + record.args[len(args) :]
        )
        for name, value in keywords.items():
            record.keywords[name] = join(record.keywords.get(name), value)
        if spread is not None:
            args = [*args, *([spread] * 4)]
        record.functions |= {function.node for function in callee.functions}
        results = [self.invoke(function, args, keywords) for function in callee.functions]
        self._narrow_arguments(node, callee, env)
        results += [self._named(name, node, record, receiver, args, keywords) for name in callee.names]
        if not results:
            results.append(self._outside("?", receiver, args, keywords))
        self._grow(node, args, env)
        value = join(*results)
        record.result = join(record.result, value)
        return value

    def _positional(self, node: ast.Call, env: Environment) -> tuple[list[Value], Value | None]:
        args: list[Value] = []
        spread: Value | None = None
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                whole = self.evaluate(argument.value, env)
                self.remember(argument, whole)
                numbered = [whole.field(str(position)) for position in range(len(whole.fields))]
                if numbered and all(value is not None for value in numbered):
                    args += [value for value in numbered if value is not None]
                else:
                    spread = join(spread, self.element(whole))
            else:
                args.append(self.evaluate(argument, env))
        return args, spread

    def _keywords(self, node: ast.Call, env: Environment) -> dict[str, Value]:
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, env)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            else:
                keywords.update({name: field for name, field in value.fields if name.isidentifier()})
                if not value.fields:
                    keywords["**"] = value
        return keywords

    def _grow(self, node: ast.Call, args: Sequence[Value], env: Environment) -> None:
        """Let what is put into a container be in it."""
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _GROWING or not args:
            return
        path = path_of(node.func.value)
        if path is None:
            return
        before = env.lookup(path)
        added = [arg.items if node.func.attr in {"extend", "update"} and arg.items else arg for arg in args]
        if before is None or before.names or not labels_of(added):
            return
        grown = replace(shallow(join(before, Value(items=join(*added)))), fixed=False)
        if grown != before:
            env.know(path, grown)

    def _narrow_arguments(self, node: ast.Call, callee: Value, env: Environment) -> None:
        """Keep what a helper made sure of: ``require_known(sort)`` raises unless it is."""
        for function in callee.functions:
            left = self.kept.get(function.node)
            if left is None or not isinstance(function.node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            names = [argument.arg for argument in function.node.args.args][len(function.bound) :]
            pairs = [
                *zip(names, node.args, strict=False),
                *((keyword.arg or "", keyword.value) for keyword in node.keywords),
            ]
            for name, argument in pairs:
                path = path_of(argument)
                value = left.get(name)
                before = self.module.values.get(argument, NOTHING)
                if path and value is not None and is_free(before.labels) and not is_free(value.labels):
                    env.know(path, value)

    def invoke(self, function: Function, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        """Walk through a function of this module and return what it may return."""
        self.step()
        node = function.node
        args = (*function.bound, *args)
        keywords = {**dict(function.keywords), **keywords}
        on_loop = self.on_loop or isinstance(node, ast.AsyncFunctionDef)
        key = (
            function,
            tuple(args),
            tuple(sorted(keywords.items(), key=lambda pair: pair[0])),
            on_loop,
            tuple(map(id, self.loops)),
        )
        known = self.done.get(key)
        if known is not None:
            self.kept[node] = known[1]
            return known[0]
        if len(self.stack) >= MAX_CALLS or self.stack.count(node) > 1:
            return Value(labels=labels_of([*args, *keywords.values()]))
        self.done[key] = (NOTHING, {})
        env = Environment(function.closure)
        env.is_function = True
        self._bind(node, args, keywords, env)
        was_on_loop, self.on_loop = self.on_loop, on_loop
        self.stack.append(node)
        self.walked.add(node)
        if on_loop:
            self.module.loop_functions.add(node)
        escapes, self.escapes = self.escapes, []
        returned, kept = self._body(node, env)
        self.escapes = escapes
        self.stack.pop()
        self.on_loop = was_on_loop
        self.done[key] = (returned, kept)
        self.kept[node] = kept
        return returned

    def _body(self, node: FunctionNode, env: Environment) -> tuple[Value, dict[str, Value]]:
        if isinstance(node, ast.Lambda):
            return self.evaluate(node.body, env), {}
        assigned = {
            name.id
            for part in node.body
            for name in inside(part)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        self.exits.append([])
        if self.execute(node.body, env):
            self.exits[-1].append(dict(env.bindings))
        ends = self.exits.pop()
        kept: dict[str, Value] = {}
        for argument in node.args.args:
            if argument.arg not in assigned and ends:
                kept[argument.arg] = join(*(end.get(argument.arg) for end in ends))
        return shallow(join(*env.returned)), kept

    def _bind(self, node: FunctionNode, args: Sequence[Value], keywords: dict[str, Value], env: Environment) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args]
        left = dict(keywords)
        defaults = dict(
            zip(
                [argument.arg for argument in arguments][len(arguments) - len(node.args.defaults) :],
                node.args.defaults,
                strict=True,
            )
        )
        defaults |= {
            argument.arg: default
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if default is not None
        }
        unknown = left.pop("**", None)
        for position, argument in enumerate([*arguments, *node.args.kwonlyargs]):
            if position < min(len(args), len(arguments)):
                value = args[position]
            elif argument.arg in left:
                value = left.pop(argument.arg)
            elif unknown is not None:
                value = self.element(unknown)
            elif argument.arg in defaults:
                value = self._default(defaults[argument.arg])
            else:
                value = NOTHING
            declared = self.module.annotation(argument.annotation).types
            if declared and not value.types and not value.names and not value.functions:
                value = replace(value, types=declared)
            env.bindings[argument.arg] = value
        if node.args.vararg is not None:
            rest = args[len(arguments) :]
            env.bindings[node.args.vararg.arg] = Value(
                types=frozenset({"builtins.tuple"}),
                items=join(*rest),
                fields=tuple((str(position), value) for position, value in enumerate(rest)),
            )
        if node.args.kwarg is not None:
            env.bindings[node.args.kwarg.arg] = Value(
                types=frozenset({"builtins.dict"}),
                items=join(unknown and self.element(unknown), *left.values()),
                fields=tuple(left.items()),
            )

    def _default(self, node: ast.expr) -> Value:
        return self.evaluate(node, self.root)

    def _named(
        self,
        name: str,
        node: ast.Call,
        record: Call,
        receiver: Value,
        args: Sequence[Value],
        keywords: dict[str, Value],
    ) -> Value:
        """Return what calling the object of a dotted name gives."""
        if name in self.module.classes:
            return self.construct(name, args, keywords)
        if name in effects.OFF_LOOP:
            return self._elsewhere(effects.OFF_LOOP[name], args, keywords)
        if name == "builtins.getattr" and len(args) > 1:
            return self._getattr(args)
        if name in _IMPORTING and args:
            said = args[0].constant
            return Value(names=frozenset({canonical(str(said.value))})) if said else NOTHING
        if name in {"functools.partial", "functools.partialmethod"} and args:
            return self._partial(args, keywords)
        if name in {
            "functools.wraps",
            "functools.update_wrapper",
            "contextlib.asynccontextmanager",
            "contextlib.contextmanager",
            "functools.lru_cache",
            "functools.cache",
        }:
            return (
                args[0]
                if args and args[0].functions and last(name) != "wraps"
                else Value(names=frozenset({"functools.wraps()"}))
            )
        if name == "functools.wraps()" and args:
            return args[0]
        if name == "builtins.super":
            return self._super(node)
        if name in {"operator.methodcaller", "operator.attrgetter"} and args and args[0].constant:
            return Value(names=frozenset({f"?.{args[0].constant.value}"}))
        if name in _MODULE_EXPORTS and not args:
            return Value(fields=tuple(self.root.bindings.items()), labels=frozenset({INTERNAL}))
        owner, _, method = name.rpartition(".")
        if owner in self.module.classes and method in _VALIDATING:
            free = any(
                is_free(arg.all_labels()) and not any(looks_like_class(kind) for kind in arg.types) for arg in args
            )
            return Value(types=frozenset({owner}), labels=frozenset({INPUT}) if free else frozenset())
        self._call_back(name, args, keywords)
        return self._outside(name, receiver, args, keywords)

    def _getattr(self, args: Sequence[Value]) -> Value:
        said = args[1].constant
        if said is None:
            # Which attribute it is cannot be known: it may be any of a known few, or the rules on getattr speak.
            origin = args[0].labels & {INPUT, SHAPED, ROW}
            return join(Value(names=frozenset({"?.<computed>"}), labels=origin), *args[2:])
        return join(self.attribute(args[0], str(said.value)), *args[2:])

    def _partial(self, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        functions = frozenset(
            replace(function, bound=(*function.bound, *args[1:]), keywords=(*function.keywords, *keywords.items()))
            for function in args[0].functions
        )
        return Value(names=args[0].names, functions=functions, fields=args[0].fields)

    def _super(self, node: ast.Call) -> Value:
        for parent in self.module.ancestors(node):
            if isinstance(parent, ast.ClassDef):
                return Value(
                    types=frozenset(self.module.classes[f".{parent.name}"].bases)
                    if f".{parent.name}" in self.module.classes
                    else frozenset()
                )
        return NOTHING

    def _elsewhere(self, position: int, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        """Follow a function that is called in a thread, or later."""
        if len(args) <= position:
            return NOTHING
        was, self.on_loop = self.on_loop, False
        loops, self.loops = self.loops, []
        results = [self.invoke(function, args[position + 1 :], keywords) for function in args[position].functions]
        for name in args[position].names:
            if name not in self.module.classes:
                results.append(self._outside(name, NOTHING, args[position + 1 :], keywords))
        self.on_loop, self.loops = was, loops
        return join(*results)

    def _call_back(self, name: str, args: Sequence[Value], keywords: dict[str, Value]) -> None:
        """Follow functions that are handed to a library, as ``key=`` or ``target=`` or a callback."""
        given = [*args, *keywords.values()]
        if not any(value.functions for value in given):
            return
        rest = [self.element(value) if value.items else value for value in args if not value.functions]
        in_thread = last(name) in {"Thread", "Process", "Timer"}
        if "args" in keywords:
            rest = [value for _, value in keywords["args"].fields] or [self.element(keywords["args"])]
        was = self.on_loop
        self.on_loop = was and not in_thread
        for value in given:
            for function in value.functions:
                if function.node not in self.stack:
                    self.invoke(function, rest, {})
        self.on_loop = was

    def construct(self, name: str, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        """Return a new instance of a class of this module."""
        if self.module.is_a(name, "enum.Enum", "enum.StrEnum", "enum.IntEnum"):
            return Value(types=frozenset({name}), labels=labels_of(args) & {INPUT, SHAPED} and frozenset({SHAPED}))
        instance = Value(types=frozenset({name}))
        method = self.module.method_of(name, "__init__")
        if method is not None:
            self.invoke(Function(method, self.root, (instance,)), args, keywords)
            return instance
        fields = [
            field
            for base in reversed(list(self.module.bases_of(name)))
            if base in self.module.classes
            for field in self.module.classes[base].fields
        ]
        for field, value in [*zip(fields, args, strict=False), *keywords.items()]:
            if field != "**":
                self.store_attribute(name, field, value)
        everything = labels_of([*args, *keywords.values()])
        unknown = keywords.get("**")
        if unknown is not None and is_free(unknown.all_labels()):
            # Validated from the client's own structure: each field is what its annotation lets through.
            return replace(instance, labels=frozenset({INPUT}))
        return replace(instance, labels=everything & {ROW, ERROR, INTERNAL, OUTSIDE})

    def _outside(self, name: str, receiver: Value, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
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
            safe = labels - {INPUT} | ({SAFE_FOR + effects.SAFE[name]} if is_free(labels) else set())
            return Value(types=frozenset({"builtins.str"}), labels=safe)
        if name in effects.BEGINNING:
            return Value(names=frozenset({f"{name}()"}), labels=frozenset({effects.BEGINNING[name]}))
        if name in effects.PASSING:
            return self._passed(name, args, keywords)
        if self._is_database(name, receiver):
            return Value(types=frozenset({f"{name}()"}), labels=frozenset({ROW}))
        if name.startswith(_SERVICES):
            return Value(
                types=frozenset({name if looks_like_class(name) else f"{name}()"}), labels=frozenset({OUTSIDE})
            )
        if method in effects.PASSING_METHODS and (receiver.types or not looks_like_class(name.rpartition(".")[0])):
            return self._passed_method(name, method, receiver, args, keywords)
        return self._unknown(name, receiver, labels)

    def _passed(self, name: str, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
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
        if name == "builtins.dict":
            return Value(
                types=frozenset({"builtins.dict"}),
                labels=labels_of(args) & {INPUT, SECRET, PASSWORD, PERSONAL, BODY, INTERNAL, ERROR},
                items=join(*(arg.items for arg in args), *keywords.values()),
                fields=tuple({**{key: value for arg in args for key, value in arg.fields}, **keywords}.items()),
                fixed=not labels_of([*args, *keywords.values()]),
            )
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
            return replace(made, types=types, names=frozenset(), functions=frozenset(), constant=None)
        passing = frozenset() if name in {"builtins.map", "builtins.filter"} else made.functions
        return replace(
            made,
            types=types if looks_like_class(name) or name in effects.TYPES else made.types or types,
            names=frozenset(),
            functions=passing,
            constant=None,
            labels=made.labels,
        )

    def _passed_method(
        self, name: str, method: str, receiver: Value, args: Sequence[Value], keywords: dict[str, Value]
    ) -> Value:
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
            return self._dumped(method, receiver)
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
        if method in {"format", "format_map"}:
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
        return Value(types=kept, labels=labels, items=items, composed=receiver.composed, fixed=receiver.fixed)

    def _joined(self, receiver: Value, args: Sequence[Value]) -> Value:
        parts = [part for arg in args for part in (arg.items, Value(labels=arg.labels)) if part is not None]
        fields = [value for arg in args for _, value in arg.fields]
        made = self.compose(self.current, [receiver, *parts, *fields])
        return replace(made, types=frozenset({"builtins.str"}))

    def _formatted(self, receiver: Value, given: Sequence[Value]) -> Value:
        return self.compose(self.current, [receiver, *given])

    def _dumped(self, method: str, receiver: Value) -> Value:
        """Return a model's fields, each with what its name and annotation say."""
        labels = set(receiver.labels)
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
        if base in effects.SESSIONS or name.startswith(("sqlalchemy.", "sqlmodel.")):
            return method in effects.QUERIES
        return base == "?" and method in effects.QUERY_ONLY

    def _unknown(self, name: str, receiver: Value, labels: frozenset[str]) -> Value:
        produced = name if looks_like_class(name) else effects.TYPES.get(name, f"{name}()")
        if last(name) in effects.SAME_TYPE and receiver.types and not receiver.types & {"builtins.str"}:
            return Value(types=receiver.types, labels=receiver.labels & {ROW})
        base = name.rpartition(".")[0]
        if name.startswith(("sqlalchemy.", "sqlmodel.")) or (
            looks_like_class(base.rpartition(".")[0]) and last(base)[:1].islower()
        ):
            return Value(types=frozenset({produced}))  # an expression with bound parameters: text cannot get out of it
        passed = (
            labels & {INPUT}
            | {label for label in labels if label.startswith(SAFE_FOR)}
            | receiver.labels & {INPUT, ROW, OUTSIDE, SHAPED}
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

    def _eval_Await(self, node: ast.Await, env: Environment) -> Value:
        if isinstance(node.value, ast.Call):
            self.awaiting.add(node.value)
        return self.evaluate(node.value, env)

    def _eval_Call(self, node: ast.Call, env: Environment) -> Value:
        was_awaited, self.awaited = self.awaited, node in self.awaiting
        was_current, self.current = self.current, node
        value = self.call(node, env)
        self.awaited, self.current = was_awaited, was_current
        return value


__all__ = ["Calls", "is_function"]
