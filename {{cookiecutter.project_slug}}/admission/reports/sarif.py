"""The report as SARIF 2.1.0, the form that code scanners exchange (OASIS standard, 27 March 2020)."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from admission.pages import page, titles

if TYPE_CHECKING:
    from admission.finding import Finding
    from admission.report import Report, Suppression

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(report: Report) -> str:
    """Return the report as a SARIF log with one run."""
    found = [(finding, None) for finding in report.findings] + list(report.suppressed)
    rules = sorted({finding.rule for finding, _ in found})
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "breakwater", "semanticVersion": "1.0.0", "rules": list(map(_rule, rules))}
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": not report.failures,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": f"{layer.name}: {layer.failure}"}}
                            for layer in report.failures
                        ],
                    }
                ],
                "artifacts": [{"location": {"uri": _uri(file)}} for file in report.files],
                "results": [_result(report, finding, entry, rules) for finding, entry in found],
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def _rule(rule: str) -> dict[str, Any]:
    text = page(rule) or ""
    return {
        "id": rule,
        "shortDescription": {"text": titles().get(rule, rule)},
        "help": {"text": text or rule, "markdown": text or rule},
    }


def _result(report: Report, finding: Finding, entry: Suppression | None, rules: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": "error" if finding.severity == "refuse" else "warning",
        "message": {"text": f"{finding.message}\n{finding.mend}"},
        # The same fault keeps its identity when lines above it move.
        "partialFingerprints": {"breakwater/v1": _fingerprint(report, finding)},
    }
    if finding.file:
        result["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.file)},
                    "region": {
                        "startLine": finding.line,
                        "startColumn": finding.column,
                        "endLine": finding.end_line,
                        "endColumn": finding.end_column,
                        "snippet": {"text": report.snippet(finding)[:500]},
                    },
                }
            }
        ]
    if entry is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": f"{entry.reason} (until {entry.expires})"}
        ]
    return result


def _uri(file: str) -> str:
    return quote(PurePath(file).as_posix())


def _fingerprint(report: Report, finding: Finding) -> str:
    said = "\0".join((finding.rule, finding.file, report.snippet(finding).strip()))
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()
