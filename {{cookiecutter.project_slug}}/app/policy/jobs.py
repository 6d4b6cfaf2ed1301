"""The ``[jobs."NAME"]`` entries: what is done after the answer, for how long, and reaching what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.policy.files import read_files
from app.policy.model import DEFAULT_JOB_TIMEOUT_MS, MAX_JOBS, JobPolicy
from app.policy.report import Section
from app.policy.values import parse_duration
from app.policy.write import comment, shown, toml_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.policy.route_entry import RouteReader

JOB_KEYS = ("timeout", "outbound", "files")


def read_jobs(reader: RouteReader, table: Mapping[str, object]) -> dict[str, JobPolicy]:
    """Return the entries, by name; mistakes are reported."""
    jobs: dict[str, JobPolicy] = {}
    for count, (name, value) in enumerate(table.items()):
        path = ("jobs", name)
        if count == MAX_JOBS:
            reader.report.add(path, f"more than {MAX_JOBS} jobs", comment(toml_header(*path)))
            break
        if not isinstance(value, dict):
            reader.report.add(path, f"{shown(name)} is a table, not {shown(value)}", toml_header(*path))
            continue
        section = Section(reader.report, path, value)
        section.unknown_keys(JOB_KEYS, {})
        jobs[name] = JobPolicy(
            name=name,
            timeout=section.read("timeout", parse_duration, DEFAULT_JOB_TIMEOUT_MS / 1000),
            outbound=reader.outbound(section),
            line=reader.report.positions.line(path),
            files=read_files(section),
        )
    return jobs
