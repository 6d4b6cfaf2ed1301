# ruff: noqa: N802, N815 - methods are named after the nodes that they evaluate or execute
"""Walks through expressions: what each may be, given what the names in it stand for."""

from __future__ import annotations

import ast
import string
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from admission.source.annotations import NUMBERS
from admission.source.canonical import BUILTINS, canonical, last
from admission.source.effects import INTERNAL_NAMES, OF_THE_SERVICE, PASSING_METHODS, REQUEST, SAFE_ATTRIBUTES, UPLOAD
from admission.source.environment import Environment
from admission.source.module import is_definition
from admission.source.state import State
from admission.source.tree import inside
from admission.source.values import (
    BODY,
    COLUMN_NAMES,
    COLUMNS,
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
    STORED,
    TABLE,
    WHOLE,
    Function,
    FunctionNode,
    Value,
    constant,
    is_free,
    join,
    labels_of,
    shallow,
)
from admission.source.words import is_markup, is_prose, sensitivity, sensitivity_of_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_OF_MODELS: Final = frozenset({"model_fields_set", "model_extra", "__dict__", "__pydantic_extra__"})
"""Attributes that every pydantic model has, and whose content the client chooses."""

TEXT: Final = frozenset({"builtins.str"})
TRUTH: Final = frozenset({"builtins.bool"})
_SPLITTING: Final = frozenset({"split()", "rsplit()", "splitlines()", "partition()", "rpartition()"})
_OF_THE_WHOLE: Final = frozenset({SECRET, PASSWORD, PERSONAL, BODY, WHOLE})
"""Labels of a whole that its parts do not have: the headers hold a secret, ``user-agent`` is none."""

MAX_CONSTANT: Final = 10_000
"""Characters of a text that is put together from constants."""

_ITERATING: Final = ("__iter__", "__aiter__", "__next__", "__anext__")
_ONE_BY_ONE: Final = frozenset({"__next__", "__anext__"})

_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.BitOr: "or",
    ast.BitAnd: "and",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.MatMult: "matmul",
}
"""Operators by the names of the methods that a class has for them."""

_SHORT: Final = 6
"""Characters of a slice that tells nothing of a secret: the last digits of a card number."""


def path_of(node: ast.expr) -> str | None:
    """Return a text that names the same place each time: ``body.sort``, ``row['id']``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = path_of(node.value)
        return f"{base}.{node.attr}" if base else None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        base = path_of(node.value)
        return f"{base}[{node.slice.value!r}]" if base else None
    return None


class Expressions(State):
    """The part of the walk that evaluates expressions."""

    def evaluate(self, node: ast.expr, env: Environment) -> Value:
        """Return what an expression may be, and remember it."""
        self.step()
        method: Callable[[ast.expr, Environment], Value] | None = getattr(self, f"_eval_{type(node).__name__}", None)
        value = method(node, env) if method is not None else self._eval_parts(node, env)
        return self.remember(node, value)

    def _eval_parts(self, node: ast.expr, env: Environment) -> Value:
        """Evaluate the parts of an expression whose result is of no interest."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.evaluate(child, env)
        return NOTHING

    def _eval_Constant(self, node: ast.Constant, _env: Environment) -> Value:
        return constant(node.value)

    def _eval_Name(self, node: ast.Name, env: Environment) -> Value:
        found = env.lookup(node.id)
        if found is None:
            found = self._global(node.id)
        if not found.names and not found.functions and found.constant is None:
            found = found.labelled(*self.told_by(node.id, found))
        return found

    def told_by(self, name: str, value: Value) -> frozenset[str]:
        """Return what the name of a value says of it: of a number less than of a text."""
        if value.types == TRUTH:
            return frozenset()  # whether there is a token is no token
        types = value.types or frozenset(
            kind for column in self.module.columns.get(name, ()) for kind in self._column_types(column)
        )
        return sensitivity_of_number(name) if types and types <= NUMBERS else sensitivity(name)

    def _global(self, name: str) -> Value:
        if name in self.module.imports:
            return _of_library(canonical(self.module.imports[name]))
        if f".{name}" in self.module.classes:
            return Value(names=frozenset({f".{name}"}))
        if name in self.module.functions:
            return Value(functions=frozenset({Function(self.module.functions[name], self.root)}))
        if name in BUILTINS:
            return Value(names=frozenset({f"builtins.{name}"}))
        return Value(names=frozenset({"builtins"})) if name == "__builtins__" else NOTHING

    def _eval_Attribute(self, node: ast.Attribute, env: Environment) -> Value:
        base = self.evaluate(node.value, env)
        path = path_of(node)
        known = env.lookup(path) if path else None
        return known if known is not None else self.attribute(base, node.attr)

    def attribute(self, base: Value, name: str) -> Value:
        """Return what an attribute of a value may be."""
        parts = [self._attribute_of_name(dotted, name) for dotted in base.names]
        parts += [self._attribute_of_instance(kind, name, base) for kind in base.types]
        field = base.field(name)
        if field is not None:
            parts.append(field)
        if not parts:
            parts.append(Value(names=frozenset({f"?.{name}"})))
        value = join(*parts)
        inherited = base.labels - _OF_THE_WHOLE - {COLUMNS}
        if name in {"__table__", "__mapper__"}:
            return value.labelled(*inherited - {ROW}, COLUMN_NAMES)
        if name in {"__dict__", "_mapping"} and ROW in inherited:
            inherited |= {COLUMNS}
        if any(kind in self.module.classes for kind in base.types):
            # What is in a field of ours is known from its annotation or from what was assigned to it.
            inherited -= frozenset() if name in _OF_MODELS else {INPUT, SHAPED}
        if "fastapi.Request" in base.types:
            inherited = frozenset(REQUEST.get(name, ()))
        elif "fastapi.UploadFile" in base.types:
            inherited = frozenset(UPLOAD.get(name, ()))
        elif name in SAFE_ATTRIBUTES and "pathlib.Path" in base.types and is_free(inherited):
            inherited = inherited - {INPUT} | {SAFE_FOR + SAFE_ATTRIBUTES[name]}
        if name == "__dict__" and self.is_whole(base):
            inherited |= {WHOLE}
        return value.labelled(*inherited, *self.told_by(name, value)) if not value.functions else value

    def _attribute_of_name(self, dotted: str, name: str) -> Value:
        info = self.module.classes.get(dotted)
        if info is None:
            return _of_library(canonical(f"{dotted}.{name}"))
        if self.module.is_a(dotted, "enum.Enum", "enum.StrEnum", "enum.IntEnum") and name in info.assigned:
            return Value(types=frozenset({dotted}), fixed=True)
        method = self.module.method_of(dotted, name)
        if method is not None:
            bound = () if _is_static(method) or not _is_class_method(method) else (Value(names=frozenset({dotted})),)
            return Value(functions=frozenset({Function(method, self.root, bound)}))
        declared = info.fields.get(name)
        said = info.assigned.get(name) or (declared.value if declared is not None else None)
        if said is not None:
            return join(self.evaluate(said, self.root), self.attributes.get((dotted, name)))
        return Value(names=frozenset({f"{dotted}.{name}"}))

    def _attribute_of_instance(self, kind: str, name: str, base: Value) -> Value:
        if kind not in self.module.classes:
            return Value(names=frozenset({canonical(f"{kind}.{name}")}))
        method = self.module.method_of(kind, name)
        if method is not None:
            receiver = replace(base, names=frozenset(), types=frozenset({kind}))
            if _is_static(method):
                return Value(functions=frozenset({Function(method, self.root)}))
            function = Function(method, self.root, (receiver,))
            return self.invoke(function, (), {}) if _is_property(method) else Value(functions=frozenset({function}))
        parts = [self.attributes.get((owner, name)) for owner in self.module.bases_of(kind)]
        declared = self.module.field_of(kind, name)
        if declared is not None:
            annotation = self.module.annotation(declared.annotation)
            if base.labels & {INPUT, SHAPED}:
                parts.append(self.from_client(annotation))
            else:
                parts.append(Value(types=annotation.types))
        parts += [self.evaluate(said, self.root) for said in self._of_the_class(kind, name, declared)]
        outside = [owner for owner in self.module.bases_of(kind) if owner not in self.module.classes]
        if not any(part is not None for part in parts):
            parts += [Value(names=frozenset({canonical(f"{owner}.{name}")})) for owner in outside]
            parts.append(Value(names=frozenset({f"{kind}.{name}"})))
        return join(*parts)

    def _of_the_class(self, kind: str, name: str, declared: ast.AnnAssign | None) -> list[ast.expr]:
        """Return what a class, or one of its bases, has under a name for all its instances: `checks: ClassVar[dict[str, bool]] = {...}`."""
        found = [
            info.assigned[name]
            for owner in self.module.bases_of(kind)
            if (info := self.module.classes.get(owner)) is not None and name in info.assigned
        ]
        if (
            declared is not None
            and declared.value is not None
            and (not self.module.is_model(kind) or "ClassVar" in ast.unparse(declared.annotation))
        ):
            found.append(declared.value)
        return found

    def _eval_Subscript(self, node: ast.Subscript, env: Environment) -> Value:
        base = self.evaluate(node.value, env)
        index = self.evaluate(node.slice, env)
        path = path_of(node)
        known = env.lookup(path) if path else None
        if known is not None:
            return known
        if isinstance(node.slice, ast.Slice):
            said = base.constant.value if base.constant is not None else None
            if _is_reversing(node.slice) and isinstance(said, str | bytes):
                return constant(said[::-1])
            return base.without(*_OF_THE_WHOLE) if _is_short(node.slice) else base
        key = index.constant.value if index.constant else None
        if not index.all_labels() & {COLUMNS, COLUMN_NAMES}:
            base = base.without(COLUMNS)  # one of them, whichever it is
        return self.element(base, key)

    def element(self, base: Value, key: object = None) -> Value:
        """Return what one element of a value may be: an index never passes its own origin on."""
        named = sensitivity(key) if isinstance(key, str) else frozenset()
        field = base.field(str(key)) if key is not None else None
        if field is not None:
            return field.labelled(*named)
        for kind in base.types:
            method = self.module.method_of(kind, "__getitem__")
            if method is not None:
                return self.invoke(Function(method, self.root, (base,)), (NOTHING,), {})
        spaces = [owner for dotted in base.names if (owner := _namespace_of(dotted)) is not None]
        if spaces and isinstance(key, str):
            return join(
                *(
                    _of_library(canonical(key))
                    if owner == _MODULES
                    else self.attribute(Value(names=frozenset({owner})), key)
                    for owner in spaces
                )
            )
        if "fastapi.Request.scope" in base.names and key in OF_THE_SERVICE:
            return Value(names=frozenset({f"fastapi.Request.{key}"}), labels=frozenset({INTERNAL}))
        inherited = base.labels - _OF_THE_WHOLE - ({COLUMNS} if isinstance(key, str) else set())
        if base.items is not None:
            return base.items.labelled(*(inherited - {INPUT, SHAPED}), *named)
        names = frozenset(f"{dotted}[]" for dotted in base.names)
        types = base.types & TEXT
        if ROW in base.labels:
            types |= {f"{kind}[]" for kind in base.types if last(kind) in _SPLITTING}
        return Value(names=names, types=types, labels=inherited | named)

    def iterated(self, source: Value) -> Value:
        """Return what a loop takes from a value one after another; of this module's classes what their ``__iter__`` and ``__next__`` give."""
        taken: list[Value] = []
        for kind in source.types & self.module.classes.keys():
            receiver = replace(source, types=frozenset({kind}))
            for name in _ITERATING:
                method = self.module.method_of(kind, name)
                made = self.invoke(Function(method, self.root, (receiver,)), (), {}) if method is not None else NOTHING
                if made.items is not None or name in _ONE_BY_ONE:
                    taken.append(made if name in _ONE_BY_ONE else self.element(made))
        return join(*taken) if any(part is not NOTHING for part in taken) else self.element(source)

    def _eval_Slice(self, node: ast.Slice, env: Environment) -> Value:
        return self._eval_parts(node, env)

    def _eval_JoinedStr(self, node: ast.JoinedStr, env: Environment) -> Value:
        parts = []
        for piece in node.values:
            if isinstance(piece, ast.FormattedValue):
                parts.append(self.evaluate(piece.value, env))
                if piece.format_spec is not None:
                    self.evaluate(piece.format_spec, env)
            else:
                parts.append(self.evaluate(piece, env))
        if parts and all(part.constant is not None for part in parts):
            return constant(
                "".join(str(part.constant.value) for part in parts if part.constant is not None)[:MAX_CONSTANT]
            )
        return self.compose(node, parts)

    def compose(self, node: ast.AST, parts: Iterable[Value]) -> Value:
        """Return the text that is made of these parts."""
        known = [self._written_out(part) for part in parts]
        labels: frozenset[str] = frozenset()
        composed: frozenset[ast.AST] = frozenset()
        bare: frozenset[str] = frozenset()
        for part in known:
            own = part.all_labels()
            if self.is_inert(part.types) and INPUT in own:
                own = own - {INPUT} | {SHAPED}
            labels |= own
            if self.is_whole(part):
                labels |= {WHOLE}
            if len(known) > 1 and own & {ROW, OUTSIDE} and self._is_written(part):
                labels |= {STORED}
            composed |= part.composed
            bare |= part.bare
        if len(known) > 1 and (is_free(labels) or STORED in labels):
            composed |= {node}
            # What such a text begins with is read off its parts, of which the first may be bare.
            bare = frozenset() if isinstance(node, ast.JoinedStr | ast.BinOp) else bare
        return Value(types=TEXT, labels=labels, composed=composed, bare=bare)

    def _written_out(self, part: Value) -> Value:
        """Return what an object of this module is as text: what its ``__str__`` gives, if it has one."""
        texts = [
            self.invoke(Function(method, self.root, (replace(part, types=frozenset({kind})),)), (), {})
            for kind in part.types & self.module.classes.keys()
            for method in self._writers(kind)
        ]
        return join(part, *texts)

    def _writers(self, kind: str) -> list[FunctionNode]:
        return [
            method
            for name in ("__format__", "__str__", "__repr__", "__html__")
            if (method := self.module.method_of(kind, name)) is not None
        ]

    def is_whole(self, value: Value) -> bool:
        """Return whether a value is a model that was read from a request, with free text in one of its fields."""
        models = (
            [
                base
                for kind in value.types & self.module.classes.keys()
                if self.module.is_model(kind)
                for base in self.module.bases_of(kind)
            ]
            if INPUT in value.labels
            else []
        )
        return any(
            INPUT in self.from_client(self.module.annotation(declared.annotation)).all_labels()
            for base in models
            if base in self.module.classes
            for declared in self.module.classes[base].fields.values()
        )

    def _is_written(self, part: Value) -> bool:
        """Return whether an attribute holds text that somebody wrote: by its column, or else by its name."""
        for dotted in part.names | part.types:
            said = _attribute(dotted)
            types = {kind for column in self._columns_called(said, part) for kind in self._column_types(column)}
            if types & TEXT or (not types and is_prose(said)):
                return not is_markup(said)
        return False

    def _columns_called(self, name: str, part: Value) -> list[ast.AnnAssign]:
        """Return the columns that a value of this name may be of: its own table's, if that is known; else any table's."""
        tables = [
            info
            for label in part.labels
            if label.startswith(TABLE)
            for base in self.module.bases_of(label.removeprefix(TABLE))
            if (info := self.module.class_of(base)) is not None
        ]
        own = [info.fields[name] for info in tables if name in info.fields]
        return own or self.module.columns.get(name, [])

    def _column_types(self, column: ast.AnnAssign) -> frozenset[str]:
        annotation = self.module.annotation(column.annotation)
        types = annotation.items.types if annotation.items is not None else annotation.types
        # Another file's annotation is read with this file's names, which may lack its `Mapped`.
        return types or frozenset(
            f"builtins.{part.id}"
            for part in inside(column.annotation)
            if isinstance(part, ast.Name) and part.id in BUILTINS
        )

    def _eval_BinOp(self, node: ast.BinOp, env: Environment) -> Value:
        left, right = self.evaluate(node.left, env), self.evaluate(node.right, env)
        return self.combine(node, node.op, left, right)

    def combine(self, node: ast.AST, operator: ast.operator, left: Value, right: Value) -> Value:
        """Return the result of a binary operator."""
        own = self._own_operator(operator, left, right)
        return own if own is not None else self._combined(node, operator, left, right)

    def _combined(self, node: ast.AST, operator: ast.operator, left: Value, right: Value) -> Value:
        if isinstance(operator, ast.Div) and (left.types | right.types) & {"pathlib.Path", "anyio.Path"}:
            made = self.compose(node, (left, right))
            return replace(made, types=(left.types | right.types) & {"pathlib.Path", "anyio.Path"})
        if isinstance(operator, ast.Add) and left.constant is not None and right.constant is not None:
            return _added(left.constant.value, right.constant.value)
        inert = self.is_inert(left.types) and (self.is_inert(right.types) or not right.types)
        if (inert and not isinstance(operator, ast.Mod)) or (inert and self.is_inert(right.types)):
            return Value(types=left.types | right.types, labels=(left.labels | right.labels) - {INPUT})
        if isinstance(operator, ast.Add | ast.Mod):
            filled = [value for _, value in right.fields] if isinstance(operator, ast.Mod) else []
            if filled:
                right = Value(labels=right.all_labels(), composed=right.composed, bare=right.bare)
            if left.items is not None or (right.items is not None and isinstance(operator, ast.Add)):
                return join(left, right)
            return self.compose(node, (left, right, *filled))
        both = join(left, right)
        return both if isinstance(operator, ast.BitOr | ast.Mult) else Value(types=both.types, labels=both.labels)

    def _own_operator(self, operator: ast.operator, left: Value, right: Value) -> Value | None:
        """Return what a class of this module makes of an operator, by its ``__add__`` or ``__radd__``; None if none does."""
        name = _OPERATORS.get(type(operator))
        if name is None:
            return None
        made = [
            self.invoke(Function(method, self.root, (replace(receiver, types=frozenset({kind})),)), (other,), {})
            for receiver, other, forms in ((left, right, ("__{}__", "__i{}__")), (right, left, ("__r{}__",)))
            for kind in receiver.types & self.module.classes.keys()
            for form in forms
            if (method := self.module.method_of(kind, form.format(name))) is not None
        ]
        return join(*made) if made else None

    def _eval_BoolOp(self, node: ast.BoolOp, env: Environment) -> Value:
        inner = Environment(env, {})
        values = []
        for part in node.values:
            values.append(self.evaluate(part, inner))
            self.narrow(part, inner, holds=isinstance(node.op, ast.And))
        self._keep_walrus(inner, env)
        return join(*values)

    def _keep_walrus(self, inner: Environment, env: Environment) -> None:
        for name, value in inner.bindings.items():
            if name.isidentifier() and env.lookup(name) is None:
                env.bind(name, value)

    def _eval_Compare(self, node: ast.Compare, env: Environment) -> Value:
        for part in (node.left, *node.comparators):
            self.evaluate(part, env)
        return Value(types=frozenset({"builtins.bool"}))

    def _eval_UnaryOp(self, node: ast.UnaryOp, env: Environment) -> Value:
        value = self.evaluate(node.operand, env)
        return (
            Value(types=frozenset({"builtins.bool"})) if isinstance(node.op, ast.Not) else replace(value, constant=None)
        )

    def _eval_IfExp(self, node: ast.IfExp, env: Environment) -> Value:
        self.evaluate(node.test, env)
        true, false = Environment(env, {}), Environment(env, {})
        self.narrow(node.test, true, holds=True)
        self.narrow(node.test, false, holds=False)
        return join(self.evaluate(node.body, true), self.evaluate(node.orelse, false))

    def _eval_Lambda(self, node: ast.Lambda, env: Environment) -> Value:
        return Value(functions=frozenset({Function(node, env)}))

    def _eval_Dict(self, node: ast.Dict, env: Environment) -> Value:
        fields: dict[str, Value] = {}
        items: list[Value] = []
        fixed = True
        for key, element in zip(node.keys, node.values, strict=True):
            value = self.evaluate(element, env)
            if key is None:
                fields.update(value.fields)
                items += [part for part in (value.items, replace(value, items=None, fields=())) if part is not None]
                fixed = False
                continue
            name = self.evaluate(key, env)
            if name.constant is not None:
                value = value.labelled(*(sensitivity(str(name.constant.value)) if value.labels else ()))
                fields[str(name.constant.value)] = value
            else:
                items.append(Value(labels=name.labels & {INPUT}))
                fixed = False
            fixed = fixed and not value.all_labels() & {INPUT, SHAPED}
            items.append(value)
        return shallow(
            Value(types=frozenset({"builtins.dict"}), items=join(*items), fields=tuple(fields.items()), fixed=fixed)
        )

    def _elements(self, node: ast.List | ast.Tuple | ast.Set, env: Environment, kind: str) -> Value:
        values = [self.evaluate(element, env) for element in node.elts]
        starred = any(isinstance(element, ast.Starred) for element in node.elts)
        fields = () if starred else tuple((str(position), value) for position, value in enumerate(values))
        fixed = not labels_of(values) & {INPUT, SHAPED, OUTSIDE} and all(
            value.constant or value.names or value.types or value.fixed for value in values
        )
        return shallow(Value(types=frozenset({kind}), items=join(*values), fields=fields, fixed=fixed))

    def _eval_List(self, node: ast.List, env: Environment) -> Value:
        return self._elements(node, env, "builtins.list")

    def _eval_Tuple(self, node: ast.Tuple, env: Environment) -> Value:
        return self._elements(node, env, "builtins.tuple")

    def _eval_Set(self, node: ast.Set, env: Environment) -> Value:
        return self._elements(node, env, "builtins.set")

    def _eval_Starred(self, node: ast.Starred, env: Environment) -> Value:
        return self.element(self.evaluate(node.value, env))

    def _eval_Await(self, node: ast.Await, env: Environment) -> Value:
        return self.evaluate(node.value, env)

    def _eval_Yield(self, node: ast.Yield, env: Environment) -> Value:
        if node.value is not None:
            self._returning(env).append(Value(items=self.evaluate(node.value, env)))
        return NOTHING

    def _eval_YieldFrom(self, node: ast.YieldFrom, env: Environment) -> Value:
        self._returning(env).append(self.evaluate(node.value, env))
        return NOTHING

    def _returning(self, env: Environment) -> list[Value]:
        scope: Environment = env
        while scope.parent is not None and not scope.is_function:
            scope = scope.parent
        return scope.returned

    def _eval_NamedExpr(self, node: ast.NamedExpr, env: Environment) -> Value:
        value = self.evaluate(node.value, env)
        self.assign(node.target, value, env)
        return value

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, env: Environment
    ) -> Value:
        inner = Environment(env, {})
        entered = 0
        for generator in node.generators:
            source = self.evaluate(generator.iter, inner)
            self.assign(generator.target, self.iterated(source), inner)
            self.loops.append(generator)
            entered += 1
            for condition in generator.ifs:
                self.evaluate(condition, inner)
                self.narrow(condition, inner, holds=True)
        if isinstance(node, ast.DictComp):
            key = self.evaluate(node.key, inner)
            items = join(self.evaluate(node.value, inner), Value(labels=key.labels & {INPUT}))
        else:
            items = self.evaluate(node.elt, inner)
        del self.loops[len(self.loops) - entered :]
        kind = {"ListComp": "list", "SetComp": "set", "DictComp": "dict", "GeneratorExp": "generator"}[
            type(node).__name__
        ]
        return shallow(Value(types=frozenset({f"builtins.{kind}"}), items=items))

    _eval_ListComp = _comprehension
    _eval_SetComp = _comprehension
    _eval_GeneratorExp = _comprehension
    _eval_DictComp = _comprehension

    def _eval_Call(self, node: ast.Call, env: Environment) -> Value:
        return self.call(node, env)


def _namespace_of(dotted: str) -> str | None:
    """Return whose names stand in a dictionary: ``os`` for ``os.__dict__`` and ``vars(os)``; None if it is no namespace."""
    if dotted in {"builtins", _MODULES}:
        return dotted
    return dotted.removesuffix(".__dict__") if dotted.endswith(".__dict__") else None


_MODULES: Final = "sys.modules"


def _of_library(dotted: str) -> Value:
    """Return an object of a library by its name; of the constants of ``string`` their text too."""
    labels = frozenset({INTERNAL}) if dotted in INTERNAL_NAMES else frozenset()
    said = getattr(string, dotted.removeprefix("string."), None) if dotted.startswith("string.") else None
    text = constant(said).constant if isinstance(said, str) else None
    return Value(names=frozenset({dotted}), labels=labels, constant=text)


def _attribute(dotted: str) -> str:
    """Return the attribute that a value was read from, behind methods that pass text on: `row.text.strip()`, a line of it."""
    parts = dotted.split(".")
    while len(parts) > 1 and (said := parts[-1].removesuffix("[]")).endswith("()") and said[:-2] in PASSING_METHODS:
        parts.pop()
    return parts[-1] if len(parts) > 1 and not parts[-1].endswith("()") else ""


def _added(left: object, right: object) -> Value:
    """Return the sum of two constants: `"ev" + "al"` is a name like any other."""
    if isinstance(left, str) and isinstance(right, str) and len(left) + len(right) <= MAX_CONSTANT:
        return constant(left + right)
    return Value(types=constant(left).types | constant(right).types)


def _is_reversing(node: ast.Slice) -> bool:
    """Return whether a slice is ``[::-1]``."""
    step = node.step
    return (
        node.lower is node.upper is None
        and isinstance(step, ast.UnaryOp)
        and isinstance(step.op, ast.USub)
        and isinstance(step.operand, ast.Constant)
        and step.operand.value == 1
    )


def _is_short(node: ast.Slice) -> bool:
    bounds = [bound for bound in (node.lower, node.upper) if bound is not None]
    if len(bounds) != 1:
        return False
    bound = bounds[0].operand if isinstance(bounds[0], ast.UnaryOp) else bounds[0]
    from_end = isinstance(bounds[0], ast.UnaryOp)
    small = isinstance(bound, ast.Constant) and isinstance(bound.value, int) and bound.value <= _SHORT
    return small and from_end == (bounds[0] is node.lower)


def _decorators(node: ast.AST) -> set[str]:
    if not is_definition(node):
        return set()
    return {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in node.decorator_list
        if isinstance(part, ast.Name | ast.Attribute)
    }


def _is_static(node: ast.AST) -> bool:
    return "staticmethod" in _decorators(node)


def _is_class_method(node: ast.AST) -> bool:
    return bool(
        _decorators(node) & {"classmethod", "field_validator", "model_validator", "validator", "root_validator"}
    )


def _is_property(node: ast.AST) -> bool:
    return bool(_decorators(node) & {"property", "cached_property", "computed_field"})
