"""The report for programs and models. Its shape is ``admission/report.schema.json``; ``version`` changes with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from admission.finding import Finding
    from admission.report import Report

VERSION: Final = 2
"""2: findings have a rule, a mend and a span. 1 had ``problems`` with file, line and message, before there were rules."""


def render(report: Report) -> str:
    """Return the report as JSON."""
    return json.dumps(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """Return the report as plain values."""
    return {
        "version": VERSION,
        "verdict": str(report.verdict),
        "complete": not report.failures,
        "files": report.files,
        "routes": report.routes,
        "layers": [
            {
                "name": layer.name,
                "seconds": round(layer.seconds, 3),
                "judged": layer.judged,
                "findings": len(layer.findings),
                "failure": layer.failure,
                "note": layer.note,
            }
            for layer in report.layers
        ],
        "findings": [entry(report, finding) for finding in report.findings],
        "suppressed": [
            {
                **entry(report, finding),
                "suppression": {
                    "reason": suppression.reason,
                    "expires": suppression.expires.isoformat(),
                    "line": suppression.at,
                },
            }
            for finding, suppression in report.suppressed
        ],
    }


def entry(report: Report, finding: Finding) -> dict[str, Any]:
    """Return one finding as plain values."""
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": finding.file or None,
        "line": finding.line if finding.file else None,
        "column": finding.column if finding.file else None,
        "endLine": finding.end_line if finding.file else None,
        "endColumn": finding.end_column if finding.file else None,
        "snippet": report.snippet(finding).strip()[:500] or None,
        "message": finding.message,
        "mend": finding.mend,
        "explain": f"uv run app explain {finding.rule}",
    }
