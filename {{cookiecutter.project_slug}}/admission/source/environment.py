"""Names and what they stand for, while a function is walked through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admission.source.values import join

if TYPE_CHECKING:
    from admission.source.values import Value

Bindings = dict[str, "Value"]
"""By name, and by path where something is known beyond the name: ``body``, ``body.sort``, ``row['id']``."""


class Environment:
    """The names of one scope. Compared by identity: a closure is bound to this one scope.

    Attributes:
        bindings: what the names and paths of this scope stand for.
        parent: the scope around it.
        derived: names made from a path, for guards on the derived name: ``parsed`` from ``url``.
        returned: what the function returned so far.
    """

    __slots__ = ("bindings", "derived", "globals_", "is_function", "parent", "paths", "returned")

    def __init__(self, parent: Environment | None, bindings: Bindings | None = None) -> None:
        self.bindings: Bindings = bindings if bindings is not None else {}
        self.parent = parent
        self.derived: dict[str, str] = {}
        self.returned: list[Value] = []
        self.globals_: set[str] = set()
        self.is_function = False
        self.paths = False

    def lookup(self, path: str) -> Value | None:
        """Return what a name or path stands for, here or in a scope around."""
        scope: Environment | None = self
        while scope is not None:
            found = scope.bindings.get(path)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def bind(self, name: str, value: Value) -> None:
        """Bind a name; what was known of its parts is forgotten."""
        scope = self
        if name in self.globals_:
            while scope.parent is not None:
                scope = scope.parent
            before = scope.bindings.get(name)
            value = join(before, value)
        if scope.paths:
            for path in [path for path in scope.bindings if path.startswith((f"{name}.", f"{name}["))]:
                del scope.bindings[path]
        scope.bindings[name] = value
        self.derived.pop(name, None)

    def know(self, path: str, value: Value) -> None:
        """Remember what stands at a name or path from here on."""
        self.bindings[path] = value
        self.paths = True

    def merge(self, *branches: Bindings | None) -> None:
        """Go on with what any of these branches left behind; None is a branch that does not come here."""
        reached = [branch for branch in branches if branch is not None]
        if not reached:
            return
        merged = reached[0]
        for branch in reached[1:]:
            merged = _merge_two(merged, branch)
        self.bindings = dict(merged)


def _merge_two(one: Bindings, other: Bindings) -> Bindings:
    merged: Bindings = {}
    for name in one.keys() | other.keys():
        left, right = one.get(name), other.get(name)
        if left is not None and right is not None:
            merged[name] = left if left is right else join(left, right)
        elif "." not in name and "[" not in name:  # a path is known only where every branch knows it
            merged[name] = join(left, right)
    return merged
