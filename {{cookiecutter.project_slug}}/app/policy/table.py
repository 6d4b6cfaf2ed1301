"""The policy in force, route by route: as rows for the boot log and JSON, as a table for people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.policy.check import handler_file
from app.policy.model import CLOSED, MountedRoute, Policy, RoutePolicy, without_convertors
from app.policy.values import UNLIMITED, format_duration, format_size
from app.policy.write import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_WIDTH = 140  # columns of a terminal on half a screen
_GUTTER = "  "

_HEADINGS = {
    "method": "METHOD",
    "path": "PATH",
    "who": "WHO",
    "rate": "RATE",
    "timeout": "TIMEOUT",
    "max_body": "MAX BODY",
    "idempotency": "IDEMPOTENCY",
    "outbound": "OUTBOUND",
    "stage": "STAGE",
    "source": "SOURCE",
}
_BESIDE = ("body_timeout", "idempotency_reason", "effects", "files", "handler", "policy", "stage_source")
"""What a row says beside the columns of the table."""

_WRAPPED_FIRST = ("who", "rate", "outbound", "source", "path")

_NOBODY_YET = "NO ENTRY: does not boot"
_NO_HANDLER = "NO HANDLER: does not boot"


@dataclass(frozen=True, slots=True)
class Said:
    """What a person's word makes of a route, beside its entry.

    Attributes:
        stage: the one in force.
        source: who said so, when and why.
    """

    stage: str
    source: str


def table_rows(
    policy: Policy, mounted: Iterable[MountedRoute], said: Mapping[str, Said] | None = None
) -> list[dict[str, str]]:
    """Return the effective policy of each mounted route, by path and method, every value as text.

    A route without an entry and an entry without a route have a row too, which says so.

    Args:
        policy: the policy.
        mounted: the routes that the application really has.
        said: ``METHOD /path`` of an entry -> what people have said of it since.
    """
    rows = []
    unmounted = dict(policy.routes)
    for route in mounted:
        path = without_convertors(route.path)
        entry = policy.find(route.method, path)
        if entry is not None:
            unmounted.pop((entry.method, entry.path), None)
        rows.append(_row(policy, printable(route.method), printable(path), entry, route))
    rows += [_row(policy, entry.method, entry.path, entry, None) for entry in unmounted.values()]
    for row in rows:
        word = (said or {}).get(f"{'GET' if row['method'] == 'HEAD' else row['method']} {row['path']}")
        if word is not None:
            row |= {"stage": printable(word.stage), "stage_source": printable(word.source)}
    return sorted(rows, key=lambda row: (row["path"], row["method"]))


def render_table(policy: Policy, mounted: Iterable[MountedRoute], said: Mapping[str, Said] | None = None) -> str:
    """Return the effective policy as an aligned table, within 140 columns if its longest words allow it."""
    rows = table_rows(policy, mounted, said)
    widths = _widths([_HEADINGS, *rows])
    lines = [_line(_HEADINGS, widths)]
    lines += [_line(row, widths) for row in rows]
    notes = [
        f"{row['method']} {row['path']}: idempotency is off: {row['idempotency_reason']}"
        for row in rows
        if row["idempotency_reason"]
    ]
    notes += [
        f"{row['method']} {row['path']}: has effects elsewhere; its key is claimed before the handler runs"
        for row in rows
        if row["effects"] == "external"
    ]
    notes += [f"{row['method']} {row['path']}: may {row['files']}" for row in rows if row["files"]]
    notes += [
        f"{row['method']} {row['path']}: {row['stage']}: {row['stage_source']}"
        for row in rows
        if row["stage_source"] != row["policy"]
    ]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _row(
    policy: Policy,
    method: str,
    path: str,
    entry: RoutePolicy | None,
    route: MountedRoute | None,
) -> dict[str, str]:
    source = _NO_HANDLER if route is None else f"{handler_file(policy, route)}:{route.line}"
    row = dict.fromkeys((*_HEADINGS, *_BESIDE), "")
    row |= {"method": method, "path": path, "source": source, "who": _NOBODY_YET}
    row["handler"] = "" if route is None else printable(route.name)
    if entry is not None:
        row |= {
            "who": _who(policy, entry),
            "rate": UNLIMITED if entry.rate is None else entry.rate.replace(";", "; "),
            "timeout": format_duration(entry.timeout),
            "max_body": format_size(entry.max_body),
            "body_timeout": format_duration(entry.body_timeout),
            "idempotency": entry.idempotency,
            "idempotency_reason": entry.idempotency_reason,
            "effects": entry.effects,
            "outbound": ", ".join(sorted(entry.outbound)) or "none",
            "stage": entry.stage,
            "files": _files(entry),
            "policy": f"{printable(policy.source.name)}:{entry.line}",
            "stage_source": f"{printable(policy.source.name)}:{entry.line}",
        }
    return row


def _files(entry: RoutePolicy) -> str:
    said = {"read": entry.files.read, "write": entry.files.write}
    return " and ".join(f"{what} {', '.join(map(printable, paths))}" for what, paths in said.items() if paths)


def _who(policy: Policy, entry: RoutePolicy) -> str:
    """Return who may call; a caller needs all the permissions, from whichever roles."""
    if entry.public:
        return "public"
    if not entry.allow:
        return "any authenticated caller"
    if CLOSED in entry.allow:
        return "nobody (closed)"
    return "; ".join(f"{permission} -> {_holders(policy, permission)}" for permission in sorted(entry.allow))


def _holders(policy: Policy, permission: str) -> str:
    """Return the roles that hold a permission, with how far they reach where that is further than their own."""
    roles = sorted(role for role, held in policy.roles.items() if permission in held)
    reach = {role: policy.scopes.get(role, "own") for role in roles}
    return ", ".join(role if reach[role] == "own" else f"{role} ({reach[role]})" for role in roles) or "nobody"


def _widths(rows: Sequence[dict[str, str]]) -> dict[str, int]:
    """Return the width of each column: as wide as its values, less in those that wrap well if it gets too wide."""
    widths = {name: max(len(row[name]) for row in rows) for name in _HEADINGS}
    excess = sum(widths.values()) + len(_GUTTER) * (len(widths) - 1) - _WIDTH
    for name in _WRAPPED_FIRST:
        narrowest = max(len(piece) for row in rows for piece in _pieces(row[name]))
        spared = max(min(excess, widths[name] - narrowest), 0)
        widths[name] -= spared
        excess -= spared
    return widths


def _line(row: dict[str, str], widths: dict[str, int]) -> str:
    cells = {name: _wrap(row[name], width) for name, width in widths.items()}
    height = max(map(len, cells.values()))
    lines = []
    for index in range(height):
        parts = [
            (cells[name][index] if index < len(cells[name]) else "").ljust(width) for name, width in widths.items()
        ]
        lines.append(_GUTTER.join(parts).rstrip())
    return "\n".join(lines)


def _wrap(text: str, width: int) -> list[str]:
    """Return ``text`` in lines of at most ``width``, broken after spaces and before slashes."""
    lines = [""]
    for piece in _pieces(text):
        if len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _pieces(text: str) -> list[str]:
    return re.split(r"(?<= )|(?=/)", text)
