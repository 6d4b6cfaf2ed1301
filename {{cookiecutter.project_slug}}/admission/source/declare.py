"""How a rule is declared: an id, a title, a severity, and a function that points at faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from admission.finding import Finding, Severity

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator

    from admission.source.module import Module


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, where it stands in the syntax tree.

    Attributes:
        node: the offending expression or statement.
        message: what is wrong and why it matters, a sentence each.
        mend: the line to write instead.
        severity: overrides the rule's own; None leaves it.
    """

    node: ast.AST
    message: str
    mend: str
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the gate.

    Attributes:
        id: stable, such as ``BW101``.
        title: the fault in a few words.
        severity: what a finding means for the verdict, unless the fault says otherwise.
        faults: points at the faults of a module.
    """

    id: str
    title: str
    severity: Severity
    faults: Callable[[Module], Iterator[Fault]]

    def check(self, module: Module) -> Iterator[Finding]:
        """Judge one module; the same line is named once, even when several paths lead there."""
        seen: set[tuple[int, str]] = set()
        for fault in self.faults(module):
            finding = self._finding(module, fault)
            if (finding.line, finding.severity) not in seen:
                seen.add((finding.line, finding.severity))
                yield finding

    def _finding(self, module: Module, fault: Fault) -> Finding:
        line, column, end_line, end_column = module.span(fault.node)
        severity = fault.severity or self.severity
        return Finding(self.id, module.file, line, column, end_line, end_column, fault.message, fault.mend, severity)


class Registry:
    """The rules of one rule module, in the order in which they are declared."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def rule(
        self, identifier: str, title: str, severity: Severity = "refuse"
    ) -> Callable[[Callable[[Module], Iterator[Fault]]], Callable[[Module], Iterator[Fault]]]:
        """Declare the decorated function as the check of a rule."""

        def declare(faults: Callable[[Module], Iterator[Fault]]) -> Callable[[Module], Iterator[Fault]]:
            self.rules.append(Rule(identifier, title, severity, faults))
            return faults

        return declare
