"""What a type annotation says: the types a value may have, what bounds it, and what its elements are."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_DEPTH: Final = 8

INERT: Final = frozenset(
    {
        "builtins.int",
        "builtins.float",
        "builtins.bool",
        "builtins.complex",
        "builtins.NoneType",
        "builtins.None",
        "uuid.UUID",
        "decimal.Decimal",
        "datetime.date",
        "datetime.datetime",
        "datetime.time",
        "datetime.timedelta",
        "typing.Literal",
        "enum.Enum",
        "ipaddress.IPv4Address",
        "ipaddress.IPv6Address",
        "zoneinfo.ZoneInfo",
        *(f"pydantic.UUID{version}" for version in range(1, 9)),
        *(
            f"pydantic.{sign}{kind}"
            for sign in ("Positive", "Negative", "NonNegative", "NonPositive")
            for kind in ("Int", "Float")
        ),
        *(
            "pydantic." + name
            for name in ("StrictInt", "StrictBool", "StrictFloat", "FiniteFloat", "conint", "confloat", "condecimal")
        ),
        *("pydantic." + name for name in ("IPvAnyAddress", "PastDate", "FutureDate", "AwareDatetime", "NaiveDatetime")),
        *("pydantic." + name for name in ("PastDatetime", "FutureDatetime", "ByteSize", "condate")),
    }
)
"""Types whose values cannot carry text of the client's choice."""

NUMBERS: Final = frozenset(
    {"builtins.int", "builtins.float", "decimal.Decimal", "builtins.complex"}
    | {name for name in INERT if name.endswith(("Int", "Float", "conint", "confloat", "condecimal"))}
)
CONTAINERS: Final = frozenset(
    f"{module}.{name}"
    for module in ("builtins", "typing", "collections.abc", "collections")
    for name in (
        "list",
        "set",
        "frozenset",
        "tuple",
        "dict",
        "List",
        "Set",
        "FrozenSet",
        "Tuple",
        "Dict",
        "Sequence",
        "Iterable",
        "Mapping",
        "MutableMapping",
        "Collection",
        "AbstractSet",
        "defaultdict",
        "deque",
        "OrderedDict",
        "MutableSequence",
    )
) | {"pydantic.conlist", "pydantic.conset", "pydantic.confrozenset"}
MAPPINGS: Final = frozenset(name for name in CONTAINERS if name.lower().endswith(("dict", "mapping")))
_TRANSPARENT: Final = frozenset(
    {"typing.Final", "typing.ClassVar", "typing.Required", "typing.NotRequired", "typing.ReadOnly"}
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What an annotation says.

    Attributes:
        types: dotted names of the types it allows.
        metadata: what ``Annotated`` adds, and calls such as ``constr(max_length=5)``.
        items: the elements of a container; of a mapping its values.
        keys: the keys of a mapping.
        optional: whether None is allowed.
        choices: the constants of a ``Literal``.
    """

    types: frozenset[str] = frozenset()
    metadata: tuple[ast.expr, ...] = ()
    items: Annotation | None = None
    keys: Annotation | None = None
    optional: bool = False
    choices: tuple[object, ...] = field(default=(), compare=False)

    @property
    def container(self) -> bool:
        """Whether it is a list, set, tuple or mapping."""
        return bool(self.types & CONTAINERS)


UNKNOWN: Final = Annotation()

Resolve = "Callable[[ast.expr], str | None]"


class AnnotationReader:
    """Reads annotations of one module.

    Args:
        resolve: gives the dotted name of an expression, or None.
        alias: gives the expression that a module-level name stands for, or None.
    """

    def __init__(self, resolve: Callable[[ast.expr], str | None], alias: Callable[[str], ast.expr | None]) -> None:
        self._resolve = resolve
        self._alias = alias

    def read(self, node: ast.expr | None, depth: int = 0) -> Annotation:  # noqa: PLR0911 - one for each kind
        """Return what an annotation says; what is not understood says nothing."""
        if node is None or depth > MAX_DEPTH:
            return UNKNOWN
        if isinstance(node, ast.Constant):
            return self._read_constant(node, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return _either(self.read(node.left, depth + 1), self.read(node.right, depth + 1))
        if isinstance(node, ast.Subscript):
            return self._read_subscript(node, depth)
        if isinstance(node, ast.Call):
            name = self._resolve(node.func)
            said = Annotation(frozenset({_base_of_call(name)}) if name else frozenset(), (node,))
            if name in {"pydantic.conlist", "pydantic.conset", "pydantic.confrozenset"} and node.args:
                said = replace(said, items=self.read(node.args[0], depth + 1))
            return said
        if isinstance(node, ast.Name):
            alias = self._alias(node.id)
            if alias is not None:
                return self.read(alias, depth + 1)
        name = self._resolve(node)
        return Annotation(frozenset({name})) if name else UNKNOWN

    def _read_constant(self, node: ast.Constant, depth: int) -> Annotation:
        if node.value is None:
            return Annotation(optional=True)
        if isinstance(node.value, str):
            try:
                return self.read(ast.parse(node.value, mode="eval").body, depth + 1)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return UNKNOWN
        return UNKNOWN

    def _read_subscript(self, node: ast.Subscript, depth: int) -> Annotation:  # noqa: PLR0911 - one for each kind
        name = self._resolve(node.value) or ""
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name.endswith(".Annotated") and parts:
            inner = self.read(parts[0], depth + 1)
            return replace(inner, metadata=(*inner.metadata, *parts[1:]))
        if name.endswith(".Optional"):
            return replace(self.read(parts[0], depth + 1), optional=True)
        if name.endswith(".Union"):
            said = self.read(parts[0], depth + 1)
            for part in parts[1:]:
                said = _either(said, self.read(part, depth + 1))
            return said
        if name.endswith(".Literal"):
            values = tuple(part.value for part in parts if isinstance(part, ast.Constant))
            return Annotation(frozenset({"typing.Literal"}), choices=values)
        if name in _TRANSPARENT:
            return self.read(parts[0], depth + 1)
        if name in MAPPINGS and len(parts) == 2:
            return Annotation(
                frozenset({name}), keys=self.read(parts[0], depth + 1), items=self.read(parts[1], depth + 1)
            )
        if name in CONTAINERS:
            items = UNKNOWN
            for part in parts:
                items = (
                    _either(items, self.read(part, depth + 1)) if part is not parts[0] else self.read(part, depth + 1)
                )
            return Annotation(frozenset({name}), items=items)
        return Annotation(frozenset({name}), items=self.read(parts[0], depth + 1)) if name else UNKNOWN


def _either(one: Annotation, other: Annotation) -> Annotation:
    return Annotation(
        types=one.types | other.types,
        metadata=(*one.metadata, *other.metadata),
        items=one.items or other.items,
        keys=one.keys or other.keys,
        optional=one.optional or other.optional,
        choices=(*one.choices, *other.choices),
    )


def _base_of_call(name: str) -> str:
    return {"pydantic.constr": "builtins.str", "pydantic.conbytes": "builtins.bytes"}.get(name, name)


def calls_in(annotation: Annotation) -> Iterator[ast.Call]:
    """Yield the calls among the metadata: ``Field(...)``, ``Query(...)``, ``constr(...)``."""
    for node in annotation.metadata:
        if isinstance(node, ast.Call):
            yield node
