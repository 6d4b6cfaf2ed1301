"""One handler module as the rules see it: its syntax, its names, its classes, its routes, and what flows where."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeGuard

from admission.source.annotations import Annotation, AnnotationReader
from admission.source.canonical import BUILTINS, canonical
from admission.source.tree import inside
from admission.source.values import NOTHING, FunctionNode, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from admission.source.routes import Route

PACKAGE: Final = "app.handlers"
"""Where a handler module lives; relative imports start here."""

MAX_ALIASES: Final = 16
MAX_BASES: Final = 32
"""Classes between one of the module and `object`; a real one has five."""

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(slots=True)
class ClassInfo:
    """A class of this module.

    Attributes:
        name: ``.OrderIn``: a dot, then the name.
        node: its definition.
        bases: dotted names of its bases, this module's among them.
        fields: annotated names of its body, with annotation and default.
        methods: its functions by name.
    """

    name: str
    node: ast.ClassDef
    bases: tuple[str, ...]
    fields: dict[str, ast.AnnAssign] = field(default_factory=dict)
    assigned: dict[str, ast.expr] = field(default_factory=dict)
    methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """Everything seen at one call, over all the ways that lead to it.

    Attributes:
        node: the call.
        names: what may be called.
        receiver: the object before the last dot.
        args: values of its positional arguments.
        keywords: values of its keyword arguments; of ``**options`` what is known of them.
        on_loop: whether it ever runs on the event loop.
        loops: the loops round it, those of its callers too.
        result: what it returns.
        functions: functions of this module that it may call.
    """

    node: ast.Call
    names: frozenset[str] = frozenset()
    receiver: Value = NOTHING
    args: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    on_loop: bool = False
    loops: set[ast.AST] = field(default_factory=set)
    result: Value = NOTHING
    functions: set[FunctionNode] = field(default_factory=set)

    def argument(self, position: int | None, *keywords: str) -> Value | None:
        """Return an argument by position or keyword."""
        for keyword in keywords:
            if keyword in self.keywords:
                return self.keywords[keyword]
        if position is not None and position < len(self.args):
            return self.args[position]
        return None


@dataclass
class Module:
    """One parsed handler module and everything that was learnt of it.

    Attributes:
        text: the source.
        file: its name, as the gate was given it.
        tree: its syntax tree.
        imports: what each imported name stands for, as a dotted name.
        classes: its classes by ``.Name``.
        tables: the classes of ``app.models`` by dotted name, as far as their files were read.
        functions: its functions by qualified name.
        values: what each expression may be.
        calls: what was seen at each call.
        routes: its route handlers.
        loop_functions: functions that run on the event loop.
        too_complex: why the analysis gave up, if it did; then nothing else is known.
    """

    text: str
    file: str
    tree: ast.Module
    imports: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, ast.expr] = field(default_factory=dict)
    classes: dict[str, ClassInfo] = field(default_factory=dict)
    tables: Mapping[str, ClassInfo] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    values: dict[ast.AST, Value] = field(default_factory=dict)
    calls: dict[ast.Call, Call] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    loop_functions: set[ast.AST] = field(default_factory=set)
    too_complex: str | None = None
    _bases: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the source, as Python's parser counts them: `str.splitlines` knows more line ends."""
        return self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    @cached_property
    def annotations(self) -> AnnotationReader:
        """Reads annotations with this module's names."""
        return AnnotationReader(self.resolve, self.aliases.get)

    def annotation(self, node: ast.expr | None) -> Annotation:
        """Return what an annotation of this module says."""
        return self.annotations.read(node)

    def value(self, node: ast.AST | None) -> Value:
        """Return what an expression may be."""
        return self.values.get(node, NOTHING) if node is not None else NOTHING

    def resolve(self, node: ast.expr, depth: int = 0) -> str | None:
        """Return the dotted name of an expression from imports and definitions alone, without data flow."""
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value, depth)
            return canonical(f"{base}.{node.attr}") if base else None
        if not isinstance(node, ast.Name) or depth > MAX_ALIASES:
            return None
        if node.id in self.imports:
            return canonical(self.imports[node.id])
        if f".{node.id}" in self.classes:
            return f".{node.id}"
        alias = self.aliases.get(node.id)
        if alias is not None:
            return self.resolve(alias, depth + 1)
        return f"builtins.{node.id}" if node.id in BUILTINS else None

    def class_of(self, name: str) -> ClassInfo | None:
        """Return a class of this module, or of the models, by its name."""
        return self.classes.get(name) or self.tables.get(name)

    def bases_of(self, name: str) -> tuple[str, ...]:
        """Return a class and its bases as far as this module and the models show them, at most ``MAX_BASES``."""
        known = self._bases.get(name)
        if known is None:
            seen: dict[str, None] = {}
            waiting = [name]
            while waiting and len(seen) < MAX_BASES:
                current = waiting.pop()
                if current not in seen:
                    seen[current] = None
                    info = self.class_of(current)
                    waiting += info.bases if info is not None else ()
            known = self._bases[name] = tuple(seen)
        return known

    def is_a(self, name: str, *bases: str) -> bool:
        """Return whether a class is one of these or inherits from one."""
        return any(base in bases for base in self.bases_of(name))

    def is_model(self, name: str) -> bool:
        """Return whether a class of this module is a pydantic model, dataclass or typed dictionary of fields."""
        return self.is_a(
            name, "pydantic.BaseModel", "pydantic.RootModel", "pydantic_settings.BaseSettings", "typing.TypedDict"
        ) or (name in self.classes and self._is_dataclass(self.classes[name]))

    def is_table(self, name: str) -> bool:
        """Return whether a class of this module, or of the models, is mapped to a table."""
        info = self.class_of(name)
        if info is None:
            return False
        if "__tablename__" in info.assigned:
            return True
        return any(
            base.rpartition(".")[2] in {"Base", "DeclarativeBase", "Owned", "MappedAsDataclass"}
            for base in self.bases_of(name)
            if base != name
        )

    def is_owned(self, name: str) -> bool:
        """Return whether the service scopes the rows of a table to the caller."""
        return any(base.rpartition(".")[2] == "Owned" for base in self.bases_of(name))

    def _is_dataclass(self, info: ClassInfo) -> bool:
        for decorator in info.node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if (self.resolve(target) or "").rpartition(".")[2] in {"dataclass", "define", "frozen"}:
                return True
        return False

    def field_of(self, class_name: str, name: str) -> ast.AnnAssign | None:
        """Return the declaration of a field of a class or of its bases in this module."""
        for base in self.bases_of(class_name):
            if base in self.classes and name in self.classes[base].fields:
                return self.classes[base].fields[name]
        return None

    def method_of(self, class_name: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return a method of a class or of its bases in this module."""
        for base in self.bases_of(class_name):
            if base in self.classes and name in self.classes[base].methods:
                return self.classes[base].methods[name]
        return None

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what stands round a node, innermost first."""
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """Return the innermost function round a node."""
        return next((parent for parent in self.ancestors(node) if is_function(parent)), None)

    def statement_of(self, node: ast.AST) -> ast.stmt | None:
        """Return the innermost statement that a node is part of."""
        if isinstance(node, ast.stmt):
            return node
        return next((parent for parent in self.ancestors(node) if isinstance(parent, ast.stmt)), None)

    def walk(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """Yield every node of these kinds, in the order of the source."""
        if len(kinds) == 1:
            yield from self._by_kind.get(kinds[0], ())
            return
        found = [node for kind in kinds for node in self._by_kind.get(kind, ())]
        yield from sorted(found, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))

    @cached_property
    def _by_kind(self) -> dict[type[ast.AST], list[ast.AST]]:
        kinds: dict[type[ast.AST], list[ast.AST]] = {}
        for node in inside(self.tree):
            kinds.setdefault(type(node), []).append(node)
        return kinds

    @cached_property
    def ordered_calls(self) -> list[Call]:
        """What was seen at each call, in the order of the source; to be asked for when the walk is over."""
        return sorted(self.calls.values(), key=lambda call: (call.node.lineno, call.node.col_offset))

    @cached_property
    def calls_by_function(self) -> dict[ast.AST | None, list[Call]]:
        """The same, by the innermost function round each call."""
        found: dict[ast.AST | None, list[Call]] = {}
        for call in self.ordered_calls:
            found.setdefault(self.function_of(call.node), []).append(call)
        return found

    @cached_property
    def callers(self) -> dict[ast.AST, list[Call]]:
        """The calls of each function of this module."""
        found: dict[ast.AST, list[Call]] = {}
        for call in self.ordered_calls:
            for function in call.functions:
                found.setdefault(function, []).append(call)
        return found

    @cached_property
    def given_anywhere(self) -> dict[str, list[ast.expr]]:
        """What each name is assigned in the whole module, in the order of the source."""
        found: dict[str, list[ast.expr]] = {}
        for node in self.walk(ast.Assign, ast.AnnAssign, ast.AugAssign):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, []).append(node.value)
        return found

    @cached_property
    def given(self) -> dict[tuple[ast.AST | None, str], list[ast.expr]]:
        """The same, by the innermost function round the assignment."""
        found: dict[tuple[ast.AST | None, str], list[ast.expr]] = {}
        for name, values in self.given_anywhere.items():
            for value in values:
                found.setdefault((self.function_of(value), name), []).append(value)
        return found

    @cached_property
    def taken_from(self) -> dict[tuple[ast.AST | None, str], list[ast.expr]]:
        """What a name is given by loops, comprehensions and ``:=``, by the innermost function round it."""
        found: dict[tuple[ast.AST | None, str], list[ast.expr]] = {}
        for node in self.walk(ast.For, ast.AsyncFor, ast.comprehension, ast.NamedExpr):
            if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension | ast.NamedExpr):
                value = node.value if isinstance(node, ast.NamedExpr) else node.iter
                for part in inside(node.target):
                    if isinstance(part, ast.Name):
                        found.setdefault((self.function_of(node.target), part.id), []).append(value)
        return found

    @cached_property
    def columns(self) -> dict[str, list[ast.AnnAssign]]:
        """The declarations of each column in the tables that are known."""
        found: dict[str, list[ast.AnnAssign]] = {}
        for kind, info in (*self.classes.items(), *self.tables.items()):
            for name, declared in info.fields.items() if self.is_table(kind) else ():
                found.setdefault(name, []).append(declared)
        return found

    @cached_property
    def keys(self) -> dict[ast.AST, ast.expr]:
        """The key of each value of a dictionary display."""
        return {
            value: key
            for node in self.walk(ast.Dict)
            if isinstance(node, ast.Dict)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }

    def span(self, node: ast.AST) -> tuple[int, int, int, int]:
        """Return line, column, end line and end column of a node, from 1, in characters.

        A function or class is shown by its ``def`` or ``class`` line: its body is not the fault.
        """
        line = getattr(node, "lineno", 1)
        column = getattr(node, "col_offset", 0)
        end_line = getattr(node, "end_lineno", None) or line
        end_column = getattr(node, "end_col_offset", None)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            end_line, end_column = line, None
        start = self._characters(line, column) + 1
        if end_column is None:
            text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
            return line, start, line, max(start + 1, len(text.rstrip()) + 1)
        return (
            line,
            start,
            end_line,
            max(self._characters(end_line, end_column) + 1, start + 1 if end_line == line else 1),
        )

    def _characters(self, line: int, column: int) -> int:
        """Turn an offset in UTF-8 bytes, which is what the parser counts, into one in characters."""
        if not 0 < line <= len(self.lines):
            return column
        return len(self.lines[line - 1].encode("utf-8", "surrogatepass")[:column].decode("utf-8", "ignore"))


def is_function(node: ast.AST) -> TypeGuard[FunctionNode]:
    """Return whether a node is a function, a coroutine or a lambda."""
    return isinstance(node, (*FUNCTIONS, ast.Lambda))


def is_definition(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return whether a node is a named function or coroutine."""
    return isinstance(node, FUNCTIONS)
