"""What the analysis remembers while it walks through a module, and the bounds on how far it walks."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from admission.source.annotations import INERT, Annotation
from admission.source.environment import Environment
from admission.source.module import Call
from admission.source.read import TooComplex
from admission.source.values import INPUT, MAX_DEPTH, NOTHING, SHAPED, Function, FunctionNode, Value, join, shallow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from admission.source.module import Module

MAX_STEPS: Final = 150_000
"""Expressions evaluated for one module, about a second. A long handler needs 5,000."""

MAX_CALLS: Final = 10
"""Calls of this module's functions within one another. Deeper ones are taken for any function."""


class State(ABC):
    """What is remembered, and what each part of the walk asks of the others."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.root = Environment(None)
        self.steps = 0
        self.attributes: dict[tuple[str, str], Value] = {}
        self.attributes_grew = False
        self.stack: list[FunctionNode] = []
        self.loops: list[ast.AST] = []
        self.on_loop = False
        self.done: dict[object, tuple[Value, dict[str, Value]]] = {}
        self.walked: set[ast.AST] = set()
        self.escapes: list[list[dict[str, Value]]] = []
        self.exits: list[list[dict[str, Value]]] = []
        self.kept: dict[FunctionNode, dict[str, Value]] = {}
        self.awaiting: set[ast.AST] = set()
        self.awaited = False
        self.current: ast.AST = module.tree
        self.tests: dict[
            tuple[int, str], tuple[Environment, ast.expr]
        ] = {}  # holds the scope, so that its id stays its own
        self.deriving: set[ast.expr] = set()

    @abstractmethod
    def evaluate(self, node: ast.expr, env: Environment) -> Value:
        """Return what an expression may be, and remember it."""

    @abstractmethod
    def call(self, node: ast.Call, env: Environment) -> Value:
        """Return what a call may return."""

    @abstractmethod
    def invoke(self, function: Function, args: Sequence[Value], keywords: dict[str, Value]) -> Value:
        """Walk through a function of this module and return what it may return."""

    @abstractmethod
    def narrow(self, test: ast.expr, env: Environment, *, holds: bool) -> None:
        """Remember what is known once a test has turned out true or false."""

    @abstractmethod
    def execute(self, body: Sequence[ast.stmt], env: Environment) -> bool:
        """Walk through statements; return whether what follows them is reached."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value, env: Environment) -> None:
        """Bind a target of an assignment, a loop or a ``with``."""

    def step(self) -> None:
        """Count one expression.

        Raises:
            TooComplex: there were too many.
        """
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooComplex(f"following its values takes more than {MAX_STEPS} steps")

    def remember(self, node: ast.AST, value: Value) -> Value:
        """Add a value to what an expression may be."""
        known = self.module.values.get(node)
        if known is None:
            self.module.values[node] = value
        elif known is not value and known != value:
            self.module.values[node] = join(known, value)
        return value

    def note_call(self, node: ast.Call) -> Call:
        """Return the record of a call, with the place where it now runs added to it."""
        record = self.module.calls.get(node)
        if record is None:
            record = self.module.calls[node] = Call(node)
        record.on_loop = record.on_loop or self.on_loop
        record.loops.update(self.loops)
        return record

    def store_attribute(self, class_name: str, attribute: str, value: Value) -> None:
        """Remember what an attribute of the instances of a class may be."""
        key = (class_name, attribute)
        before = self.attributes.get(key)
        after = shallow(join(before, value))
        if after != before:
            self.attributes[key] = after
            self.attributes_grew = True

    def keep_attribute(self, node: ast.expr, value: Value) -> None:
        """Remember for all instances what an attribute of one of them holds; of other expressions nothing."""
        if isinstance(node, ast.Attribute):
            for kind in self.module.value(node.value).types & self.module.classes.keys():
                self.store_attribute(kind, node.attr, value)

    def from_client(self, annotation: Annotation, depth: int = MAX_DEPTH) -> Value:
        """Return a value that the client sent, as an annotation lets it through."""
        if depth == 0:
            return Value(labels=frozenset({INPUT}))
        types = annotation.types or (frozenset({"builtins.NoneType"}) if annotation.optional else frozenset())
        if self.is_inert(types):
            return Value(types=annotation.types, labels=frozenset({SHAPED}))
        items = self.from_client(annotation.items, depth - 1) if annotation.items else None
        if annotation.container and items is not None:
            free = INPUT in items.all_labels() or (
                annotation.keys is not None and INPUT in self.from_client(annotation.keys).labels
            )
            return Value(types=annotation.types, labels=frozenset({INPUT if free else SHAPED}), items=items)
        return Value(types=annotation.types, labels=frozenset({INPUT}), items=items)

    def is_inert(self, types: frozenset[str]) -> bool:
        """Return whether values of these types cannot carry text of the client's choice."""
        return bool(types) and all(
            kind in INERT or self.module.is_a(kind, "enum.Enum", "enum.StrEnum", "enum.IntEnum", "builtins.int")
            for kind in types
        )

    def instance(self, class_name: str) -> Value:
        """Return an instance of a class."""
        return Value(types=frozenset({class_name})) if class_name else NOTHING
