"""What one run of the gate says: its layers, their findings, and the verdict that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date  # noqa: TC003 - dataclass fields are read at run time
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from admission.finding import Finding


class Verdict(StrEnum):
    """What becomes of the code that was judged."""

    ADMITTED = "admitted"
    REMARKS = "admitted with remarks"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Suppression:
    """A finding that people decided to live with for a while.

    Attributes:
        rule: id of the rule.
        file: the file, as reports name it.
        reason: why, in people's words.
        expires: the last day on which it holds.
        line: the text of the line that it is for, without indentation; None: the whole file.
        at: line of its entry in the file of suppressions.
    """

    rule: str
    file: str
    reason: str
    expires: date
    line: str | None
    at: int


@dataclass(frozen=True, slots=True)
class LayerResult:
    """What one layer found.

    Attributes:
        name: such as ``source``.
        seconds: wall-clock time that it took.
        judged: what it looked at, such as ``3 files``.
        findings: what it found, before suppressions.
        failure: why it could not do its work; then it judged nothing.
        note: what a reader should know, such as that the result is from the cache.
    """

    name: str
    seconds: float
    judged: str
    findings: tuple[Finding, ...] = ()
    failure: str | None = None
    note: str | None = None


@dataclass(slots=True)
class Report:
    """One run.

    Attributes:
        layers: in the order in which they ended.
        findings: what counts, in order of file and line.
        suppressed: what was found and suppressed, with the entry that did it.
        lines: file -> its lines, to show what a finding is about.
        routes: how many routes the composed service has; None if it was not composed.
        files: what was judged.
    """

    layers: list[LayerResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    suppressed: list[tuple[Finding, Suppression]] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)
    routes: int | None = None
    files: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[LayerResult]:
        """Layers that could not do their work."""
        return [layer for layer in self.layers if layer.failure is not None]

    @property
    def verdict(self) -> Verdict:
        """What becomes of the code; a layer that could not run admits nothing, which the caller sees in ``failures``."""
        if any(finding.severity == "refuse" for finding in self.findings):
            return Verdict.REFUSED
        return Verdict.REMARKS if self.findings else Verdict.ADMITTED

    def snippet(self, finding: Finding) -> str:
        """Return the source line of a finding, or nothing."""
        lines = self.lines.get(finding.file, [])
        return lines[finding.line - 1] if 0 < finding.line <= len(lines) else ""
