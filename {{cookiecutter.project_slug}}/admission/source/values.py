"""What the analysis knows about a value: where it came from, what it may be, and what it is made of.

A value is an over-approximation: everything it may be on some path. Joining two values is joining their parts.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from admission.source.environment import Environment

INPUT: Final = "input"
"""Text, bytes or structure that the client chose freely."""

SHAPED: Final = "shaped"
"""Chosen by the client, but it can only be a number, a UUID, a date, or one of a few known values."""

SECRET: Final = "secret"  # noqa: S105 - a label
PASSWORD: Final = "password"  # noqa: S105 - a label
"""A secret that a person chose, and that no fast hash protects."""

PERSONAL: Final = "personal"
ERROR: Final = "error"
"""The text of an exception, which tells a client about the inside."""

INTERNAL: Final = "internal"
"""Settings, environment, paths, versions, tracebacks."""

BODY: Final = "body"
"""A whole request body or all of its headers, with whatever secrets are in it."""

WHOLE: Final = "whole"
"""All that a client sent in a body, written out: by ``model_dump``, ``repr``, ``vars``."""

ROW: Final = "row"
"""An object or a result of the database."""

OUTSIDE: Final = "outside"
"""What another service answered."""

STORED: Final = "stored"
"""Text out of a row or of another service that became part of a larger text: somebody may have written it."""

COLUMN_NAMES: Final = "column names"
"""What tells which columns a table has: ``Note.__table__``, ``inspect(Note)``."""

COLUMNS: Final = "columns"
"""Every column of a row, whichever there are: ``vars(row)``, or ``getattr`` for each name."""

LOCKED: Final = "locked"
"""A row that was read ``FOR UPDATE``, or the statement that reads it so."""

TABLE: Final = "table:"
"""Prefix: a row of this table, or a statement about it: ``table:.Seat``, ``table:app.models.shop.Seat``."""

SAFE_FOR: Final = "input:"
"""Prefix: still the client's text, but made safe for one use: ``input:html``, ``input:path``, ``input:url``..."""

MAX_DEPTH: Final = 3
"""Nesting that a value remembers; below that only labels are kept. Handlers nest models two deep."""

MAX_FIELDS: Final = 64
MAX_NAMES: Final = 24
MAX_COMPOSED: Final = 8

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the source, wrapped so that None is a value and ``True`` is not ``1``."""

    value: str | bytes | int | float | complex | bool | None
    kind: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function of this module, with what is bound to it already."""

    node: FunctionNode
    closure: Environment
    bound: tuple[Value, ...] = ()
    keywords: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """What one expression may be.

    Attributes:
        names: dotted names of the objects it may be: ``subprocess.run``, ``.OrderIn`` for a class of this module.
        types: dotted names of the classes that it may be an instance of.
        labels: where it came from.
        constant: its constant value, if it has one.
        functions: functions of this module that it may be.
        items: what its elements may be, if it is a container.
        fields: what stands under constant keys, if that is known.
        composed: the expressions that put client text and other text together.
        bare: where text came from that is here on one branch as it was, while another put it together with other text.
        fixed: a constant container of this module: membership in it is an allow-list.
    """

    names: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    constant: Constant | None = None
    functions: frozenset[Function] = frozenset()
    items: Value | None = None
    fields: tuple[tuple[str, Value], ...] = ()
    composed: frozenset[ast.AST] = frozenset()
    bare: frozenset[str] = frozenset()
    fixed: bool = False

    def labelled(self, *labels: str) -> Value:
        """Return this value with more labels."""
        return self if self.labels.issuperset(labels) else replace(self, labels=self.labels | set(labels))

    def without(self, *labels: str) -> Value:
        """Return this value without these labels, in its parts too."""
        gone = frozenset(labels)
        return replace(
            self,
            labels=self.labels - gone,
            bare=self.bare - gone,
            items=self.items.without(*labels) if self.items else None,
            fields=tuple((name, value.without(*labels)) for name, value in self.fields),
        )

    def field(self, name: str) -> Value | None:
        """Return what stands under a constant key."""
        return next((value for key, value in self.fields if key == name), None)

    def all_labels(self) -> frozenset[str]:
        """Return the labels of this value and of everything in it."""
        labels = self.labels
        if self.items is not None:
            labels |= self.items.all_labels()
        for _, value in self.fields:
            labels |= value.all_labels()
        return labels


NOTHING: Final = Value()


def constant(value: Any) -> Value:
    """Return the value of a constant in the source."""
    if value is None or isinstance(value, str | bytes | int | float | complex):
        return Value(
            types=frozenset({f"builtins.{type(value).__name__}"}), constant=Constant(value, type(value).__name__)
        )
    return NOTHING


def join(*values: Value | None, depth: int = MAX_DEPTH) -> Value:
    """Return what is any of these values."""
    known = [value for value in values if value is not None and value is not NOTHING]
    if not known:
        return NOTHING
    first = known[0]
    for other in known[1:]:
        if other is not first and other != first:
            first = _join_two(first, other, depth)
    return first


def _join_two(one: Value, other: Value, depth: int) -> Value:
    if depth == 0:
        return Value(labels=one.all_labels() | other.all_labels())
    return Value(
        names=_few(one.names | other.names),
        types=_few(one.types | other.types),
        labels=one.labels | other.labels,
        constant=one.constant if one.constant == other.constant else None,
        functions=one.functions | other.functions if len(one.functions) < MAX_NAMES else one.functions,
        items=join(one.items, other.items, depth=depth - 1) if one.items or other.items else None,
        fields=_join_fields(one.fields, other.fields, depth - 1),
        composed=_some(one.composed | other.composed),
        bare=_bare(one) | _bare(other) if one.composed or other.composed else frozenset(),
        fixed=one.fixed and other.fixed,
    )


def _bare(value: Value) -> frozenset[str]:
    return (
        value.bare
        if value.composed
        else frozenset(label for label in value.labels if label == INPUT or label.startswith(SAFE_FOR))
    )


def _join_fields(
    one: tuple[tuple[str, Value], ...], other: tuple[tuple[str, Value], ...], depth: int
) -> tuple[tuple[str, Value], ...]:
    if one == other or not other:
        return one
    merged = dict(one)
    for name, value in other:
        merged[name] = join(merged.get(name), value, depth=depth)
    return tuple(list(merged.items())[:MAX_FIELDS])


def _few(names: frozenset[str]) -> frozenset[str]:
    return names if len(names) <= MAX_NAMES else frozenset(sorted(names)[:MAX_NAMES])


def shallow(value: Value, depth: int = MAX_DEPTH) -> Value:
    """Return the value with its nesting cut to the depth that is remembered."""
    if value.items is None and not value.fields:
        return value
    if depth == 0:
        return replace(value, items=None, fields=(), labels=value.all_labels())
    return replace(
        value,
        items=shallow(value.items, depth - 1) if value.items else None,
        fields=tuple((name, shallow(field, depth - 1)) for name, field in value.fields[:MAX_FIELDS]),
    )


def labels_of(values: Iterable[Value]) -> frozenset[str]:
    """Return the labels of all these values and their parts."""
    labels: frozenset[str] = frozenset()
    for value in values:
        labels |= value.all_labels()
    return labels


def is_free(labels: frozenset[str], use: str = "") -> bool:
    """Return whether text with these labels is free client text, as far as one use is concerned."""
    return INPUT in labels or any(label.startswith(SAFE_FOR) and label != f"{SAFE_FOR}{use}" for label in labels)


def _some(nodes: frozenset[ast.AST]) -> frozenset[ast.AST]:
    return nodes if len(nodes) <= MAX_COMPOSED else frozenset(list(nodes)[:MAX_COMPOSED])
