# ruff: noqa: N802 - methods are named after the nodes that they evaluate or execute
"""Walks through calls: into this module's functions, and over those of libraries by what is known of them."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from admission.source import effects
from admission.source.canonical import canonical, last, looks_like_class
from admission.source.environment import Environment
from admission.source.expressions import path_of
from admission.source.library import Library
from admission.source.state import MAX_CALLS
from admission.source.tree import inside
from admission.source.values import (
    COLUMN_NAMES,
    COLUMNS,
    ERROR,
    INPUT,
    INTERNAL,
    NOTHING,
    OUTSIDE,
    ROW,
    SHAPED,
    Function,
    FunctionNode,
    Value,
    is_free,
    join,
    labels_of,
    shallow,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


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
_VALIDATING: Final = frozenset(
    {"model_validate", "model_validate_json", "parse_obj", "parse_raw", "model_construct", "from_orm"}
)
_WRAPPER: Final = "functools.wraps()"
_WRAPPING: Final = frozenset(
    {
        "functools.update_wrapper",
        "contextlib.asynccontextmanager",
        "contextlib.contextmanager",
        "functools.lru_cache",
        "functools.cache",
    }
)
_HOLDING: Final = (
    "builtins.dict",
    "builtins.list",
    "builtins.tuple",
    "builtins.set",
    "builtins.frozenset",
    "builtins.str",
    "builtins.bytes",
    "collections.UserDict",
    "collections.UserList",
    "collections.UserString",
)
"""Classes whose instances hold what they are made of."""

_BINARY: Final = 2
_BOUND: Final = "bound to it: "
"""Prefix of the fields of a library's function that hold what ``partial`` has bound to it."""

_DECLARING: Final = (
    "pydantic.",
    "sqlalchemy.",
    "app.",
    "typing.",
    "enum.",
    "abc.",
    "builtins.",
    "collections.",
    "dataclasses.",
)
"""What classes inherit from to be declared so, and not to do what it does."""

_MODULE_EXPORTS: Final = frozenset({"builtins.globals", "builtins.vars", "builtins.locals"})


class Calls(Library):
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
        if "operator.methodcaller" in callee.types and args:
            receiver, callee, args, keywords = self._method_called(callee, args[0])
        if callee.names:
            args, keywords = _with_bound(callee, args, keywords)
        record = self.note_call(node)
        record.names |= callee.names | self._bases_elsewhere(callee)
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
        results += [self._named(name, node, receiver, args, keywords) for name in callee.names]
        if not callee.names and not callee.functions:
            results += [self._called_instance(kind, callee, args, keywords) for kind in callee.types]
        if not results:
            results.append(self.outside("?", receiver, args, keywords))
        self._grow(node, args, env)
        value = join(*results)
        record.result = join(record.result, value)
        return value

    def _method_called(self, caller: Value, target: Value) -> tuple[Value, Value, list[Value], dict[str, Value]]:
        """Return receiver, method and arguments of ``methodcaller(name, ...)(target)``, as if it stood there itself."""
        given = dict(caller.fields)
        said = given.pop("0", NOTHING).constant
        method = self.attribute(target, str(said.value)) if said is not None else NOTHING
        args = [value for name, value in given.items() if name.isdecimal()]
        return target, method, args, {name: value for name, value in given.items() if not name.isdecimal()}

    def _bases_elsewhere(self, callee: Value) -> frozenset[str]:
        """Return what classes of this module inherit from libraries: who makes a ``class Job(Thread)`` makes a thread."""
        bases = {base for name in callee.names if name in self.module.classes for base in self.module.bases_of(name)}
        return frozenset(base for base in bases if base not in self.module.classes and not base.startswith(_DECLARING))

    def _called_instance(self, kind: str, callee: Value, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        """Return what calling an object gives: of this module's classes what their ``__call__`` does."""
        if kind == effects.LOOKING.removesuffix("()"):
            return Value(types=frozenset({effects.LOOKING}))
        if kind in effects.GETTERS and args:
            return self._got(kind, callee, args[0])
        method = self.module.method_of(kind, "__call__")
        if method is not None:
            receiver = replace(callee, types=frozenset({kind}))
            return self.invoke(Function(method, self.root, (receiver,)), args, keywords)
        return self.outside(f"{kind}.__call__", callee, args, keywords)

    def _got(self, kind: str, getter: Value, target: Value) -> Value:
        """Return what ``itemgetter(...)`` or ``attrgetter(...)`` takes from an object."""
        found = []
        for _, named in getter.fields:
            said, value = named.constant, target
            for part in str(said.value).split(".") if said is not None and kind == "operator.attrgetter" else ():
                value = self.attribute(value, part)
            if kind == "operator.itemgetter":
                value = self.element(target, said.value if said is not None else None)
            found.append(value)
        if len(found) == 1:
            return found[0]
        return Value(
            types=frozenset({"builtins.tuple"}),
            items=join(*found),
            fields=tuple((str(at), value) for at, value in enumerate(found)),
        )

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
        before = env.lookup(path) or (
            self.module.value(node.func.value) if isinstance(node.func.value, ast.Attribute) else None
        )
        added = [arg.items if node.func.attr in {"extend", "update"} and arg.items else arg for arg in args]
        if before is None or before.names or not labels_of(added):
            return
        grown = replace(shallow(join(before, Value(items=join(*added)))), fixed=False)
        if grown != before:
            env.know(path, grown)
            self.keep_attribute(node.func.value, grown)

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
        self, name: str, node: ast.Call, receiver: Value, args: Sequence[Value], keywords: dict[str, Value]
    ) -> Value:
        """Return what calling the object of a dotted name gives."""
        if name in self.module.classes:
            return self.construct(name, args, keywords)
        if name in effects.OFF_LOOP:
            result = self._elsewhere(effects.OFF_LOOP[name], args, keywords)
            return (
                Value(types=frozenset({"concurrent.futures.Future"}), labels=result.all_labels())
                if last(name) == "submit"
                else result
            )
        if name == "builtins.super":
            return self._super(node)
        made = self._of_names(name, args, keywords) or self._validated(name, args)
        if made is not None:
            return made
        self._call_back(name, args, keywords)
        return self.outside(name, receiver, args, keywords)

    def _of_names(self, name: str, args: Sequence[Value], keywords: dict[str, Value]) -> Value | None:  # noqa: PLR0911 - one for each kind
        """Return what a call gives that only hands objects on under another name; None for all others."""
        if name == "functools.wraps":
            return Value(names=frozenset({_WRAPPER}))
        if name in _MODULE_EXPORTS and not args:
            return Value(fields=tuple(self.root.bindings.items()), labels=frozenset({INTERNAL}))
        if not args:
            return None
        said = args[0].constant
        if name == "builtins.getattr" and len(args) > 1:
            return self._getattr(args)
        if name in _IMPORTING:
            return Value(names=frozenset({canonical(str(said.value))})) if said else NOTHING
        if name in {"functools.partial", "functools.partialmethod"}:
            return self._partial(args, keywords)
        if name == _WRAPPER or (name in _WRAPPING and args[0].functions):
            return args[0]
        if name in effects.GETTERS and said is not None:
            given = {str(position): value for position, value in enumerate(args)} | keywords
            return Value(types=frozenset({name}), fields=tuple(given.items()))
        if name == "builtins.vars" and args[0].names:
            return Value(names=frozenset(f"{owner}.__dict__" for owner in args[0].names), labels=args[0].labels)
        return self._operated(name, args)

    def _operated(self, name: str, args: Sequence[Value]) -> Value | None:
        """Return what ``operator.add(a, b)`` gives, as ``a + b`` would; None for all other calls."""
        if name in effects.COMPARISONS:
            return Value(types=frozenset({"builtins.bool"}))
        if len(args) != _BINARY:
            return None
        if name == "operator.getitem":
            return self.element(args[0], args[1].constant.value if args[1].constant is not None else None)
        kind = effects.OPERATORS.get(name)
        return self.combine(self.current, kind(), args[0], args[1]) if kind is not None else None

    def _validated(self, name: str, args: Sequence[Value]) -> Value | None:
        """Return the model that `Model.model_validate(data)` gives; None for all other calls."""
        owner, _, method = name.rpartition(".")
        if owner not in self.module.classes or method not in _VALIDATING:
            return None
        free = any(is_free(arg.all_labels()) and not any(looks_like_class(kind) for kind in arg.types) for arg in args)
        return Value(types=frozenset({owner}), labels=frozenset({INPUT}) if free else frozenset())

    def _getattr(self, args: Sequence[Value]) -> Value:
        said = args[1].constant
        if said is None:
            # Which attribute it is cannot be known: it may be any of a known few, or the rules on getattr speak.
            origin = args[0].labels & {INPUT, SHAPED, ROW}
            if COLUMN_NAMES in args[1].all_labels() and ROW in origin and not self._is_one_of(self.current):
                origin |= {COLUMNS}
            return join(Value(names=frozenset({"?.<computed>"}), labels=origin), *args[2:])
        return join(self.attribute(args[0], str(said.value)), *args[2:])

    def _is_one_of(self, node: ast.AST) -> bool:
        """Return whether an expression stands behind a test of membership: `if name in SHOWN`."""
        for parent in self.module.ancestors(node):
            tests = (
                [condition for each in getattr(parent, "generators", ()) for condition in each.ifs]
                if not isinstance(parent, ast.If | ast.IfExp)
                else [parent.test]
            )
            if any(
                isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.In)
                for test in tests
                for part in inside(test)
            ):
                return True
        return False

    def _partial(self, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        functions = frozenset(
            replace(function, bound=(*function.bound, *args[1:]), keywords=(*function.keywords, *keywords.items()))
            for function in args[0].functions
        )
        kept = (
            {
                _BOUND + name: value
                for name, value in (*((str(at), value) for at, value in enumerate(args[1:])), *keywords.items())
            }
            if args[0].names
            else {}
        )
        return Value(names=args[0].names, functions=functions, fields=(*args[0].fields, *kept.items()))

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
        outside = [name for name in args[position].names if name not in self.module.classes]
        results += [self.outside(name, NOTHING, args[position + 1 :], keywords) for name in outside]
        self.on_loop, self.loops = was, loops
        return join(*results)

    def _call_back(self, name: str, args: Sequence[Value], keywords: dict[str, Value]) -> None:
        """Follow functions that are handed to a library, as ``key=`` or ``target=`` or a callback."""
        given = [*args, *keywords.values()]
        if not any(value.functions for value in given):
            return
        rest = [self.element(value) if value.items else value for value in args if not value.functions]
        if name == "functools.reduce":  # what came out so far, and the next
            rest = [join(*rest[1:], rest[0]) if rest else NOTHING, *rest[:1]]
        in_thread = last(name) in {"Thread", "Process", "Timer"}
        if "args" in keywords:
            rest = [value for _, value in keywords["args"].fields] or [self.element(keywords["args"])]
        was = self.on_loop
        self.on_loop = was and not in_thread
        each = [self.current] if name in effects.EACH else []
        self.loops += each
        for value in given:
            for function in value.functions:
                if function.node not in self.stack:
                    self.invoke(function, rest, {})
        del self.loops[len(self.loops) - len(each) :]
        self.on_loop = was

    def construct(self, name: str, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        """Return a new instance of a class of this module."""
        if self.module.is_a(name, "enum.Enum", "enum.StrEnum", "enum.IntEnum"):
            return Value(types=frozenset({name}), labels=labels_of(args) & {INPUT, SHAPED} and frozenset({SHAPED}))
        instance = Value(types=frozenset({name}))
        if self.module.is_a(name, *_HOLDING):
            # What a dictionary, list or text of our own is made of is in it.
            held = {said: value for arg in args for said, value in arg.fields} | keywords
            instance = replace(
                instance,
                labels=labels_of(args),
                items=join(*(arg.items for arg in args), *keywords.values()),
                fields=tuple(held.items()),
            )
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


def _with_bound(callee: Value, args: list[Value], keywords: dict[str, Value]) -> tuple[list[Value], dict[str, Value]]:
    """Return the arguments of a library's function, those that ``partial`` has bound to it first."""
    bound = {name.removeprefix(_BOUND): value for name, value in callee.fields if name.startswith(_BOUND)}
    if not bound:
        return args, keywords
    named = {name: value for name, value in bound.items() if not name.isdecimal()}
    return [*(value for name, value in bound.items() if name.isdecimal()), *args], {**named, **keywords}
