# ruff: noqa: N802, N815 - methods are named after the nodes that they evaluate or execute
"""Walks through statements in order, and keeps apart what is known on each branch."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from admission.source.environment import Environment
from admission.source.expressions import path_of
from admission.source.narrowing import Narrowing
from admission.source.tree import inside
from admission.source.values import ERROR, INPUT, NOTHING, SHAPED, Function, Value, join

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROUNDS: Final = 2
"""Rounds through a loop: what the first leaves behind is seen by the second, and more add nothing to sets of labels."""

_NESTED: Final = 3
"""Loops within one another that are walked twice each; deeper ones once: the rounds multiply."""

_PARSERS: Final = frozenset(
    {"urllib.parse.urlparse", "urllib.parse.urlsplit", "httpx.URL", "pathlib.Path", "builtins.str"}
)


class Statements(Narrowing):
    """The part of the walk that executes statements."""

    def execute(self, body: Sequence[ast.stmt], env: Environment) -> bool:
        """Walk through statements; return whether what follows them is reached."""
        reached = True
        for statement in body:
            method: Callable[[ast.stmt, Environment], bool | None] | None = getattr(
                self, f"_do_{type(statement).__name__}", None
            )
            if method is None:
                self._do_expressions(statement, env)
            elif method(statement, env) is False:
                # What stands behind is dead, but it is judged all the same.
                reached = False
        return reached

    def _do_expressions(self, statement: ast.stmt, env: Environment) -> None:
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.expr):
                self.evaluate(child, env)

    def _do_Expr(self, node: ast.Expr, env: Environment) -> None:
        self.evaluate(node.value, env)

    def _do_Return(self, node: ast.Return, env: Environment) -> bool:
        if node.value is not None:
            self._returning(env).append(self.evaluate(node.value, env))
        if self.exits:
            self.exits[-1].append(dict(env.bindings))
        return False

    def _do_Raise(self, node: ast.Raise, env: Environment) -> bool:
        self._do_expressions(node, env)
        return False

    def _do_Break(self, _node: ast.Break, env: Environment) -> bool:
        if self.escapes:
            self.escapes[-1].append(dict(env.bindings))
        return False

    _do_Continue = _do_Break

    def _do_Assign(self, node: ast.Assign, env: Environment) -> None:
        value = self.evaluate(node.value, env)
        for target in node.targets:
            self.assign(target, value, env)
            self._note_origin(target, node.value, env)

    def _note_origin(self, target: ast.expr, made: ast.expr, env: Environment) -> None:
        if not isinstance(target, ast.Name):
            return
        if isinstance(made, ast.Compare | ast.BoolOp | ast.Call) or (
            isinstance(made, ast.UnaryOp) and isinstance(made.op, ast.Not)
        ):
            scope = self._scope(env)
            self.tests[(id(scope), target.id)] = (scope, made)
        origin: str | None = None
        if isinstance(made, ast.Attribute) and made.attr in {"hostname", "netloc", "host"}:
            base = made.value.args[0] if isinstance(made.value, ast.Call) and made.value.args else made.value
            origin = path_of(base)
            origin = (self._derived(origin, env) or origin) if origin else None
        elif isinstance(made, ast.Call) and made.args and self.module.value(made.func).names & _PARSERS:
            origin = path_of(made.args[0])
        elif (
            isinstance(made, ast.Call)
            and isinstance(made.func, ast.Attribute)
            and made.func.attr in {"resolve", "lower", "strip"}
        ):
            origin = path_of(made.func.value)
        if origin is not None and origin != target.id:
            env.derived[target.id] = origin

    def _do_AnnAssign(self, node: ast.AnnAssign, env: Environment) -> None:
        annotation = self.module.annotation(node.annotation)
        value = self.evaluate(node.value, env) if node.value is not None else NOTHING
        if annotation.types and not value.types and not value.names and not value.functions:
            value = replace(value, types=annotation.types)
        if self.is_inert(annotation.types) and INPUT in value.labels:
            value = replace(value, labels=value.labels - {INPUT} | {SHAPED})
        self.assign(node.target, value, env)

    def _do_AugAssign(self, node: ast.AugAssign, env: Environment) -> None:
        right = self.evaluate(node.value, env)
        path = path_of(node.target)
        loaded = (env.lookup(path) if path else None) or self.module.value(node.target)
        if isinstance(node.target, ast.Attribute | ast.Subscript):
            base = self.evaluate(node.target.value, env)
            if isinstance(node.target, ast.Attribute):
                loaded = join(loaded, self.attribute(base, node.target.attr))
        self.assign(node.target, self.combine(node, node.op, loaded, right), env)

    def assign(self, target: ast.expr, value: Value, env: Environment) -> None:
        """Bind a target of an assignment, a loop or a ``with``."""
        if isinstance(target, ast.Name):
            env.bind(target.id, value)
            self.remember(target, value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target, value, env)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, Value(types=frozenset({"builtins.list"}), items=self.element(value)), env)
        elif isinstance(target, ast.Attribute):
            self.evaluate(target.value, env)
            self.keep_attribute(target, value)
            self.remember(target, value)
            path = path_of(target)
            if path is not None:
                env.know(path, value)
        elif isinstance(target, ast.Subscript):
            self._assign_element(target, value, env)

    def _assign_element(self, target: ast.Subscript, value: Value, env: Environment) -> None:
        base = self.evaluate(target.value, env)
        self.evaluate(target.slice, env)
        self.remember(target, value)
        path = path_of(target.value)
        if path is None:
            return
        key = target.slice.value if isinstance(target.slice, ast.Constant) else None
        fields = dict(base.fields)
        if key is not None:
            fields[str(key)] = value
            env.know(f"{path}[{key!r}]", value)
        grown = replace(base, items=join(base.items, value), fields=tuple(fields.items()), fixed=False)
        if not base.names:
            env.know(path, grown)
            self.keep_attribute(target.value, grown)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, env: Environment) -> None:
        for position, part in enumerate(target.elts):
            exact = (
                value.field(str(position))
                if not any(isinstance(each, ast.Starred) for each in target.elts[: position + 1])
                else None
            )
            self.assign(part, exact if exact is not None else self.element(value), env)

    def _do_If(self, node: ast.If, env: Environment) -> bool:
        self.evaluate(node.test, env)
        before = dict(env.bindings)
        self.narrow(node.test, env, holds=True)
        true = self.execute(node.body, env)
        after_true = env.bindings
        env.bindings = before
        self.narrow(node.test, env, holds=False)
        false = self.execute(node.orelse, env)
        after_false = env.bindings
        env.merge(after_true if true else None, after_false if false else None)
        return true or false

    def _do_Assert(self, node: ast.Assert, env: Environment) -> None:
        self._do_expressions(node, env)
        self.narrow(node.test, env, holds=True)

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, env: Environment) -> bool:
        self.escapes.append([])
        if isinstance(node, ast.For | ast.AsyncFor):
            taken = self.iterated(self.evaluate(node.iter, env))
        self.loops.append(node)
        before = dict(env.bindings)
        for _ in range(_ROUNDS if len(self.loops) <= _NESTED else 1):
            if isinstance(node, ast.While):
                self.evaluate(node.test, env)
                self.narrow(node.test, env, holds=True)
            else:
                self.assign(node.target, taken, env)
            self.execute(node.body, env)
            env.merge(before, env.bindings)
        self.loops.pop()
        env.merge(env.bindings, *self.escapes.pop())
        self.execute(node.orelse, env)
        return True

    _do_For = _loop
    _do_AsyncFor = _loop
    _do_While = _loop

    def _with(self, node: ast.With | ast.AsyncWith, env: Environment) -> bool:
        for item in node.items:
            value = self.evaluate(item.context_expr, env)
            if isinstance(node, ast.AsyncWith) and isinstance(item.context_expr, ast.Call):
                self.awaiting.add(item.context_expr)
            entered = value.items if value.items is not None and not value.types - {"builtins.generator"} else value
            if item.optional_vars is not None:
                self.assign(item.optional_vars, self._entered(entered), env)
        reached = self.execute(node.body, env)
        for item in node.items:
            self._left(self.module.value(item.context_expr))
        return reached

    def _left(self, value: Value) -> None:
        """Walk through what a class of this module does at the end of a ``with``."""
        for kind in value.types:
            for name in ("__exit__", "__aexit__"):
                method = self.module.method_of(kind, name)
                if method is not None:
                    self.invoke(
                        Function(method, self.root, (value, NOTHING, Value(labels=frozenset({ERROR})), NOTHING)), (), {}
                    )

    def _entered(self, value: Value) -> Value:
        """Return what ``with`` gives: mostly the object itself."""
        for kind in value.types:
            for name in ("__enter__", "__aenter__"):
                method = self.module.method_of(kind, name)
                if method is not None:
                    return self.invoke(Function(method, self.root, (value,)), (), {})
        return value

    _do_With = _with
    _do_AsyncWith = _with

    def _try(self, node: ast.Try, env: Environment) -> bool:
        before = dict(env.bindings)
        through = self.execute(node.body, env)
        after = env.bindings
        if through:
            through = self.execute(node.orelse, env)
            after = env.bindings
        ends: list[dict[str, Value] | None] = [after if through else None]
        for handler in node.handlers:
            env.bindings = {**before}
            env.merge(before, after)
            ends.append(self._handle(handler, env))
        reached = [end for end in ends if end is not None]
        env.merge(*(reached or [before]))
        ended = self.execute(node.finalbody, env)
        return bool(reached) and ended

    _do_Try = _try
    _do_TryStar = _try

    def _handle(self, handler: ast.ExceptHandler, env: Environment) -> dict[str, Value] | None:
        if handler.type is not None:
            self.evaluate(handler.type, env)
        if handler.name is not None:
            types = self.module.annotation(_as_union(handler.type)).types
            own = bool(types) and all(kind in self.module.classes for kind in types)
            env.bind(handler.name, Value(types=types, labels=frozenset() if own else frozenset({ERROR})))
        return env.bindings if self.execute(handler.body, env) else None

    def _do_Match(self, node: ast.Match, env: Environment) -> bool:
        subject = self.evaluate(node.subject, env)
        before = dict(env.bindings)
        ends: list[dict[str, Value] | None] = []
        exhaustive = False
        for case in node.cases:
            env.bindings = dict(before)
            self._bind_pattern(case.pattern, subject, env)
            if _is_constant_pattern(case.pattern):
                self._shape(node.subject, env)
            if case.guard is not None:
                self.evaluate(case.guard, env)
                self.narrow(case.guard, env, holds=True)
            ends.append(env.bindings if self.execute(case.body, env) else None)
            exhaustive = exhaustive or (
                isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None
            )
        if not exhaustive:
            ends.append(before)
        env.bindings = before
        env.merge(*ends)
        return any(end is not None for end in ends)

    def _bind_pattern(self, pattern: ast.pattern, subject: Value, env: Environment) -> None:
        for part in inside(pattern):
            if isinstance(part, ast.MatchAs) and part.name and isinstance(part.pattern, ast.MatchClass):
                env.bind(part.name, self.seen_as(subject, self.module.annotation(part.pattern.cls).types))
            elif isinstance(part, ast.MatchAs | ast.MatchStar) and part.name:
                env.bind(part.name, subject)
            elif isinstance(part, ast.MatchMapping) and part.rest:
                env.bind(part.rest, subject)
            elif isinstance(part, ast.MatchValue):
                self.evaluate(part.value, env)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef, env: Environment) -> None:
        value = Value(functions=frozenset({Function(node, env)}))
        for default in [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]:
            self.evaluate(default, env)
        for decorator in reversed(node.decorator_list):
            made = self.evaluate(decorator, env)
            results = [self.invoke(function, (value,), {}) for function in made.functions]
            if results and any(result.functions for result in results):
                value = join(*results)
        env.bind(node.name, value)
        self.remember(node, value)

    _do_FunctionDef = _define
    _do_AsyncFunctionDef = _define

    def _do_ClassDef(self, node: ast.ClassDef, env: Environment) -> None:
        for decorator in node.decorator_list:
            self.evaluate(decorator, env)
        for keyword in node.keywords:
            self.evaluate(keyword.value, env)
        inner = Environment(env)
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in statement.decorator_list:
                    self.evaluate(decorator, inner)
            else:
                self.execute([statement], inner)
        env.bind(node.name, Value(names=frozenset({f".{node.name}"})))

    def _do_Global(self, node: ast.Global, env: Environment) -> None:
        env.globals_.update(node.names)

    def _do_Import(self, node: ast.Import | ast.ImportFrom, env: Environment) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if name != "*":
                env.bind(name, self._global(name))

    _do_ImportFrom = _do_Import


def _as_union(node: ast.expr | None) -> ast.expr | None:
    """Write ``except (A, B)`` as ``A | B``, which the reader of annotations knows."""
    if not isinstance(node, ast.Tuple) or not node.elts:
        return node
    said = node.elts[0]
    for part in node.elts[1:]:
        said = ast.BinOp(said, ast.BitOr(), part)
    return said


def _is_constant_pattern(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchOr):
        return all(_is_constant_pattern(part) for part in pattern.patterns)
    return isinstance(pattern, ast.MatchValue | ast.MatchSingleton)
