"""What a test tells about a value: after ``if sort not in ALLOWED: raise``, ``sort`` is one of the allowed."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from admission.source.calling import Calls
from admission.source.canonical import last
from admission.source.environment import Environment
from admission.source.expressions import path_of
from admission.source.patterns import is_safe_pattern
from admission.source.values import COLUMN_NAMES, INPUT, SAFE_FOR, SHAPED, Function, Value, is_free

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEEPING: Final = frozenset(
    {"lower", "upper", "strip", "casefold", "title", "lstrip", "rstrip", "removeprefix", "removesuffix"}
)
_SHAPES: Final = frozenset({"isalnum", "isdigit", "isidentifier", "isdecimal", "isnumeric", "isalpha"})
_BUILT_IN: Final = frozenset(
    f"builtins.{name}" for name in ("str", "bytes", "list", "dict", "tuple", "set", "Exception", "BaseException")
)
_HOSTS: Final = frozenset({"hostname", "netloc", "host"})


class Narrowing(Calls):
    """The part of the walk that learns from tests."""

    def narrow(self, test: ast.expr, env: Environment, *, holds: bool) -> None:
        """Remember what is known once a test has turned out true or false."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.narrow(test.operand, env, holds=not holds)
        elif isinstance(test, ast.BoolOp):
            self._narrow_several(test, env, holds=holds)
        elif isinstance(test, ast.NamedExpr):
            self.narrow(test.value, env, holds=holds)
        elif isinstance(test, ast.Compare):
            self._narrow_compare(test, env, holds=holds)
        elif isinstance(test, ast.Call):
            self._narrow_call(test, env, holds=holds)
        elif isinstance(test, ast.Name):
            self._narrow_derived(test, env, holds=holds)

    def _narrow_several(self, test: ast.BoolOp, env: Environment, *, holds: bool) -> None:
        if isinstance(test.op, ast.And) is holds:
            for part in test.values:
                self.narrow(part, env, holds=holds)
            self._narrow_local_path(test, env, holds=holds)

    def _narrow_local_path(self, test: ast.BoolOp, env: Environment, *, holds: bool) -> None:
        """A target that begins with one slash and not with two stays on this host."""
        said: dict[str, set[str]] = {}
        for part in test.values:
            negated = isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not)
            call = part.operand if isinstance(part, ast.UnaryOp) else part
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or not call.args:
                continue
            path = path_of(call.func.value) if call.func.attr == "startswith" else None
            if path is None:
                continue
            for prefix in _constants(call.args[0]):
                said.setdefault(path, set()).add(f"{'' if negated is not holds else 'not '}{prefix}")
        for path, known in said.items():
            if "/" in known and "not //" in known:
                self._make_safe(path, env, "url")

    def _narrow_compare(self, test: ast.Compare, env: Environment, *, holds: bool) -> None:
        if len(test.ops) != 1:
            return
        operator, right = test.ops[0], test.comparators[0]
        if isinstance(operator, ast.In | ast.NotIn):
            if isinstance(operator, ast.In) is holds:
                self._narrow_member(test.left, right, env)
        elif isinstance(operator, ast.Eq | ast.NotEq):
            if isinstance(operator, ast.Eq) is holds:
                self._narrow_equal(test.left, right, env)
        elif isinstance(operator, ast.Is | ast.IsNot) and isinstance(right, ast.Constant) and right.value is None:
            self.narrow(test.left, env, holds=isinstance(operator, ast.IsNot) is holds)

    def _narrow_member(self, left: ast.expr, right: ast.expr, env: Environment) -> None:
        if isinstance(right, ast.Attribute) and right.attr == "parents":
            self._inside(right.value, env)
        elif self._is_fixed(right):
            self._shape(left, env)

    def _narrow_equal(self, left: ast.expr, right: ast.expr, env: Environment) -> None:
        for one, other in ((left, right), (right, left)):
            value = self.module.value(other)
            if value.fixed or (value.constant is not None and value.constant.value is not None):
                self._shape(one, env)

    def _is_fixed(self, node: ast.expr) -> bool:
        """Return whether a collection is an allow-list: nothing that the client sent is in it."""
        value = self.module.value(node)
        if isinstance(node, ast.Call):
            node = (
                node.func.value
                if isinstance(node.func, ast.Attribute) and node.func.attr in {"keys", "values"}
                else node
            )
            value = self.module.value(node)
        texty = "builtins.str" in value.types and value.constant is not None
        return (value.fixed or bool(value.names)) and not value.all_labels() - {COLUMN_NAMES} and not texty

    def _shape(self, node: ast.expr, env: Environment) -> None:
        """The value at a place is one of a few known ones."""
        if isinstance(node, ast.NamedExpr):
            node = node.target
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _KEEPING:
            self._shape(node.func.value, env)
            return
        if isinstance(node, ast.Call) and self.module.resolve(node.func) == "builtins.str" and node.args:
            self._shape(node.args[0], env)
            return
        if isinstance(node, ast.Attribute) and node.attr in _HOSTS:
            self._trust_host(node.value, env)
        path = path_of(node)
        if path is None:
            return
        known = env.lookup(path) or self.module.value(node)
        if is_free(known.all_labels()):
            env.know(path, _shaped(known))
        self._follow(path, env, "url")

    def _trust_host(self, parsed: ast.expr, env: Environment) -> None:
        """The host of a parsed URL is one of the known: so is that of the URL."""
        if isinstance(parsed, ast.Call) and parsed.args:
            parsed = parsed.args[0]
        path = path_of(parsed)
        if path is not None:
            self._make_safe(path, env, "url")
            self._follow(path, env, "url")

    def _follow(self, path: str, env: Environment, use: str) -> None:
        """What a name was derived from is safe for the same use."""
        origin = self._derived(path, env)
        if origin is not None:
            self._make_safe(origin, env, use)

    def _derived(self, path: str, env: Environment) -> str | None:
        scope: Environment | None = env
        while scope is not None:
            if path in scope.derived:
                return scope.derived[path]
            scope = scope.parent
        return None

    def _make_safe(self, path: str, env: Environment, use: str) -> None:
        known = env.lookup(path)
        if known is not None and is_free(known.all_labels(), use):
            labels = known.labels - {INPUT} | {SAFE_FOR + use}
            bare = known.bare - {INPUT} | {SAFE_FOR + use} if INPUT in known.bare else known.bare
            env.know(path, replace(known, labels=labels, bare=bare, items=known.items and known.items.without(INPUT)))

    def _narrow_call(self, test: ast.Call, env: Environment, *, holds: bool) -> None:
        function = test.func
        names = self.module.value(function).names
        if holds and isinstance(function, ast.Attribute):
            if function.attr in _SHAPES and not test.args:
                self._shape(function.value, env)
            elif function.attr == "is_relative_to":
                self._inside(function.value, env)
            elif function.attr == "startswith" and test.args:
                self._narrow_prefix(function.value, test.args[0], env)
        if holds and any(last(name) in {"fullmatch", "match"} for name in names):
            self._narrow_match(test, env)
        if holds and "builtins.isinstance" in names and len(test.args) > 1:
            kinds = self.module.annotation(test.args[1]).types
            path = path_of(test.args[0])
            if self.is_inert(kinds):
                self._shape(test.args[0], env)
            elif path is not None:
                env.know(path, self.seen_as(env.lookup(path) or self.module.value(test.args[0]), kinds))
        for helper in self.module.value(function).functions:
            self._narrow_by_helper(helper, test, env, holds=holds)

    def seen_as(self, value: Value, kinds: frozenset[str]) -> Value:
        """Return a value that is known to be of these classes, if nothing better is known of it: an `UploadFile` out of a form."""
        known = any(kind in self.module.classes or kind in kinds for kind in value.types)
        return value if known or not kinds or kinds <= _BUILT_IN else replace(value, types=kinds, names=frozenset())

    def _inside(self, node: ast.expr, env: Environment) -> None:
        """A resolved path lies under a root."""
        path = path_of(node)
        if path is not None:
            self._make_safe(path, env, "path")
            self._follow(path, env, "path")

    def _narrow_prefix(self, node: ast.expr, prefix: ast.expr, env: Environment) -> None:
        told = list(_constants(prefix))
        if told and all(text.startswith(("https://", "http://")) and text.count("/") > 2 for text in told):
            path = path_of(node)
            if path is not None:
                self._make_safe(path, env, "url")
        elif isinstance(node, ast.Call) and node.args and self.module.resolve(node.func) == "builtins.str":
            self._inside(node.args[0], env)
        elif path_of(node) is not None and not told:
            self._inside(node, env)

    def _narrow_match(self, test: ast.Call, env: Environment) -> None:
        function = test.func
        pattern, subject = None, None
        if isinstance(function, ast.Attribute) and "re.Pattern" in self.module.value(function.value).types:
            pattern, subject = self._pattern_of(function.value), test.args[0] if test.args else None
        elif len(test.args) > 1:
            pattern, subject = self._pattern_of(test.args[0]), test.args[1]
        if pattern is not None and subject is not None:
            whole = (isinstance(function, ast.Attribute) and function.attr == "fullmatch") or last(
                self.module.resolve(function) or ""
            ) == "fullmatch"
            if is_safe_pattern(pattern, whole=whole):
                self._shape(subject, env)

    def _pattern_of(self, node: ast.expr) -> str | None:
        """Return the text of a constant pattern, compiled or not."""
        value = self.module.value(node)
        if value.constant is not None and isinstance(value.constant.value, str):
            return value.constant.value
        if isinstance(node, ast.Name):
            node = self.module.aliases.get(node.id, node)
        if isinstance(node, ast.Call) and node.args:
            said = self.module.value(node.args[0]).constant
            return said.value if said is not None and isinstance(said.value, str) else None
        return None

    def _narrow_by_helper(self, helper: Function, test: ast.Call, env: Environment, *, holds: bool) -> None:
        """Learn from a helper that is one test: ``def is_known(sort): return sort in ALLOWED``."""
        node = helper.node
        result = node.body if isinstance(node, ast.Lambda) else _only_return(node)
        if result is None or len(self.stack) > 2 * 5:
            return
        names = [argument.arg for argument in node.args.args][len(helper.bound) :]
        inner = Environment(helper.closure, {})
        pairs = [
            *zip(names, test.args, strict=False),
            *((keyword.arg or "", keyword.value) for keyword in test.keywords),
        ]
        for name, argument in pairs:
            inner.bindings[name] = self.module.value(argument)
        self.stack.append(node)
        self.narrow(result, inner, holds=holds)
        self.stack.pop()
        for name, argument in pairs:
            path, value = path_of(argument), inner.bindings.get(name)
            if path and value is not None and value is not self.module.value(argument):
                env.know(path, value)

    def _narrow_derived(self, test: ast.Name, env: Environment, *, holds: bool) -> None:
        """A name that holds the result of a test: ``ok = sort in ALLOWED``."""
        _, made = self.tests.get((id(self._scope(env)), test.id), (None, None))
        if made is not None and made not in self.deriving:  # `ok = ok and ...` tests itself
            self.deriving.add(made)
            self.narrow(made, env, holds=holds)
            self.deriving.discard(made)

    def _scope(self, env: Environment) -> Environment:
        scope = env
        while scope.parent is not None and not scope.is_function:
            scope = scope.parent
        return scope


def _shaped(value: Value) -> Value:
    gone = {label for label in value.labels if label.startswith(SAFE_FOR)} | {INPUT}
    return replace(
        value,
        labels=value.labels - gone | {SHAPED},
        composed=frozenset(),
        bare=frozenset(),
        items=value.items and value.items.without(INPUT),
    )


def _constants(node: ast.expr) -> Iterator[str]:
    for part in node.elts if isinstance(node, ast.Tuple) else [node]:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _only_return(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.expr | None:
    body = [
        statement
        for statement in node.body
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    ]
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
