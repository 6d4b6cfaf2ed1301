"""The report as GitHub's workflow commands, which put each finding at its line in a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from admission.finding import Finding
    from admission.report import Report


def render(report: Report) -> str:
    """Return one command a finding, and the verdict."""
    lines = [_command(finding) for finding in report.findings]
    lines += [
        f"::notice file={_property(finding.file)},line={finding.line},title={finding.rule} suppressed::{_data(f'until {entry.expires}: {entry.reason}')}"
        for finding, entry in report.suppressed
    ]
    lines += [f"::error title=could not run::{_data(f'{layer.name}: {layer.failure}')}" for layer in report.failures]
    return "\n".join([*lines, str(report.verdict)]) + "\n"


def _command(finding: Finding) -> str:
    level = "error" if finding.severity == "refuse" else "warning"
    place = ""
    if finding.file:
        place = f"file={_property(finding.file)},line={finding.line},endLine={finding.end_line},"
        if finding.line == finding.end_line:
            place += f"col={finding.column},endColumn={finding.end_column},"
    said = _data(f"{finding.message}\nmend: {finding.mend}")
    return f"::{level} {place}title={_property(finding.rule)}::{said}"


def _data(text: str) -> str:
    """Escape what workflow commands give a meaning."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
