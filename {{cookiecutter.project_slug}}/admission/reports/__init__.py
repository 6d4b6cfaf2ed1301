"""A report in the forms that its readers want: people, programs, code scanners, GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admission.reports import github, json_report, sarif, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from admission.report import Report

FORMS: Mapping[str, Callable[[Report], str]] = {
    "text": text.render,
    "json": json_report.render,
    "sarif": sarif.render,
    "github": github.render,
}
"""Each takes a report and returns what to print, with a line end."""
