"""The report for people: each finding with its line, a caret, why it matters and what to write instead."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from admission.report import Verdict

if TYPE_CHECKING:
    from admission.finding import Finding
    from admission.report import Report

WIDTH: Final = 110
MAX_SHOWN: Final = 160
"""Characters of a source line; a longer one is cut round the finding."""


def render(report: Report) -> str:
    """Return the report as text."""
    blocks = [_block(report, finding) for finding in report.findings]
    if report.suppressed:
        blocks.append("\n".join(["suppressed by admission.toml:", *map(_suppressed, report.suppressed)]))
    blocks.append(_verdict(report))
    return "\n\n".join(blocks) + "\n"


def _block(report: Report, finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}:{finding.column}: " if finding.file else ""
    mark = "" if finding.severity == "refuse" else " (remark)"
    lines = [f"{place}{finding.rule}{mark}"]
    source = report.snippet(finding)
    if source.strip():
        lines += _pointed(source, finding)
    lines += textwrap.wrap(printable(finding.message), WIDTH, initial_indent="  ", subsequent_indent="  ")
    first, *others = finding.mend.splitlines() or [""]
    if others:
        lines += ["  write:", *(f"    {printable(line)}" for line in (first, *others))]
    else:
        lines += textwrap.wrap(printable(f"mend: {first}"), WIDTH, initial_indent="  ", subsequent_indent="        ")
    return "\n".join(lines)


def _pointed(source: str, finding: Finding) -> list[str]:
    start = finding.column - 1
    end = finding.end_column - 1 if finding.end_line == finding.line else len(source.rstrip())
    cut = 0
    if len(source) > MAX_SHOWN:
        cut = max(0, min(start - MAX_SHOWN // 4, len(source) - MAX_SHOWN))
        source = source[cut : cut + MAX_SHOWN]
    start, end = max(start - cut, 0), min(max(end - cut, start - cut + 1), len(source))
    number = str(finding.line)
    gutter = " " * len(number)
    shown = printable(source.replace("\t", " "))
    return [f"  {number} | {shown}", f"  {gutter} | {' ' * start}{'^' * max(end - start, 1)}"]


def _suppressed(pair: tuple[Finding, object]) -> str:
    finding, entry = pair
    return f"  {finding.file}:{finding.line}: {finding.rule} until {entry.expires}: {printable(entry.reason)}"  # type: ignore[attr-defined]


def _verdict(report: Report) -> str:
    refusals = sum(finding.severity == "refuse" for finding in report.findings)
    remarks = len(report.findings) - refusals
    failed = "".join(f"\ncould not run: {layer.name}: {layer.failure}" for layer in report.failures)
    if report.verdict is Verdict.REFUSED:
        return f"refused: {_count(refusals, 'problem')}, {_count(remarks, 'remark')}{failed}"
    if failed:
        return f"not admitted: part of it was not judged{failed}"
    routes = "" if report.routes is None else f"; {report.routes} routes, each with its policy and its guards"
    remarked = f" with {_count(remarks, 'remark')}" if remarks else ""
    return f"admitted{remarked}: {_count(len(report.files), 'file')}{routes}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def printable(text: str) -> str:
    """Return text in which nothing can move the cursor or change what a terminal shows."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
