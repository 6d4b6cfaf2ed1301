"""From TOML to the policy's types, or to every mistake in the file at once."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from app.policy.document import read_document
from app.policy.jobs import read_jobs
from app.policy.locate import locate
from app.policy.model import (
    CLOSED,
    DEFAULT_BODY_TIMEOUT_MS,
    DEFAULT_MAX_BODY,
    DEFAULT_RATE,
    DEFAULT_TIMEOUT_MS,
    MAX_ROLE_PERMISSIONS,
    MAX_ROLES,
    MAX_ROUTES,
    Policy,
    PolicyDefaults,
    RoutePolicy,
    Scope,
)
from app.policy.names import is_name, is_permission, nearest, suggest_name, suggest_permission
from app.policy.report import Report, Section
from app.policy.route_entry import ROUTE_KEYS, RouteReader, role_pair
from app.policy.route_key import parse_route_key, shape
from app.policy.values import (
    BadValue,
    format_duration,
    parse_default_idempotency,
    parse_duration,
    parse_rate,
    parse_scope,
    parse_size,
    parse_stage,
    parse_texts,
)
from app.policy.write import comment, printable, shown, toml_header, toml_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_TABLES = ("roles", "defaults", "routes", "jobs")
_DEFAULT_KEYS = ("rate", "timeout", "max_body", "body_timeout", "stage", "idempotency")
_ROLE_KEYS = ("permissions", "scope")
_NO_DEFAULT = "has no default: each entry says it for itself"


def load_policy(path: str | Path, *, upstreams: frozenset[str] = frozenset()) -> Policy:
    """Read and check a policy file.

    Args:
        path: the TOML file.
        upstreams: the names of the declared upstreams; an entry may name no other.

    Raises:
        PolicyError: with every mistake in the file, by line.
    """
    file = Path(path)
    text, document = read_document(file)
    report = Report(printable(str(file)), locate(text))
    tables = _tables(report, document)
    roles, scopes, granted = _read_roles(Section(report, ("roles",), tables["roles"]))
    defaults = _read_defaults(Section(report, ("defaults",), tables["defaults"]))
    # A [roles] that is misspelt or no table is one mistake, not one more for every permission that it grants.
    unread = not isinstance(document.get("roles"), dict) and any(nearest(key, _TABLES) == "roles" for key in document)
    reader = RouteReader(report, defaults, roles, scopes, granted=None if unread else granted, upstreams=upstreams)
    routes = _read_routes(reader, tables["routes"])
    jobs = read_jobs(reader, tables["jobs"])
    report.close()
    return Policy(
        MappingProxyType(roles), MappingProxyType(scopes), MappingProxyType(routes), defaults, file,
        MappingProxyType(jobs),
    )  # fmt: skip


def _tables(report: Report, document: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """Return the three tables, empty where they are absent, and report what else the file has at its top."""
    tables: dict[str, Mapping[str, object]] = {name: {} for name in _TABLES}
    for key, value in document.items():
        close = nearest(key, _TABLES)
        if key in _TABLES and isinstance(value, dict):
            tables[key] = value
        elif key in _TABLES:
            report.add((key,), f"{key} is a table, not {shown(value)}", _table_example(key))
        elif key in _DEFAULT_KEYS and not isinstance(value, dict):
            fix = f"{toml_header('defaults')}\n{toml_line(key, value)}"
            report.add((key,), f"{key} stands in no table; did you mean [defaults]?", fix)
        elif close is not None and close not in document and isinstance(value, dict):
            inner = next((name for name, item in value.items() if isinstance(item, dict)), None)
            header = toml_header(close) if inner is None else toml_header(close, inner)
            report.add((key,), f"unknown table {shown(key)}; did you mean {shown(close)}?", header)
        else:
            fix = comment(toml_header(key) if isinstance(value, dict) else toml_line(key, value))
            report.add((key,), f"unknown key {shown(key)}; known are the tables {', '.join(_TABLES)}", fix)
    return tables


def _table_example(table: str) -> str:
    return {
        "roles": f"{toml_header('roles')}\n{toml_line('customer', ['things:read'])}",
        "defaults": f"{toml_header('defaults')}\n{toml_line('rate', DEFAULT_RATE)}",
        "routes": f"{toml_header('routes', 'GET /v1/things')}\n{toml_line('allow', [CLOSED])}",
        "jobs": f"{toml_header('jobs', 'thing.made')}\n{toml_line('timeout', '30s')}",
    }[table]


def _read_roles(section: Section) -> tuple[dict[str, frozenset[str]], dict[str, Scope], frozenset[str]]:
    """Return the roles, their scopes, and the permissions that they grant once their mistakes are corrected."""
    roles: dict[str, frozenset[str]] = {}
    scopes: dict[str, Scope] = {}
    granted: set[str] = set()
    for count, (name, value) in enumerate(section.table.items()):
        if count == MAX_ROLES:
            section.add(name, f"more than {MAX_ROLES} roles", comment(toml_line(name, value)))
        elif not is_name(name):
            message = f"{shown(name)} is no role's name: write lower-case letters, digits, - and _, a letter first"
            section.add(name, message, toml_line(suggest_name(name), value))
        if isinstance(value, dict):
            scopes[name] = _read_scope(section, name, value)
            value = value.get("permissions", [])  # noqa: PLW2901 - the list that the short form is
        try:
            permissions = parse_texts(value)
        except BadValue as error:
            section.add(name, f"role {shown(name)}: {error}", toml_line(name, error.suggestion))
            permissions = error.suggestion if isinstance(error.suggestion, list) else []
            granted |= set(filter(is_permission, permissions))
            continue
        correct = [item if is_permission(item) else suggest_permission(item) for item in permissions]
        correct = [item for item in dict.fromkeys(correct) if item != CLOSED]
        _check_role(section, name, permissions, toml_line(*role_pair(name, correct, scopes)))
        granted |= set(correct)
        roles[name] = frozenset(correct)
    return roles, scopes, frozenset(granted)


def _read_scope(section: Section, name: str, table: Mapping[str, object]) -> Scope:
    """Return whose objects a role reaches, and report what else its table has or lacks."""
    role = Section(section.report, (*section.path, name), table)
    role.unknown_keys(_ROLE_KEYS, {})
    if "permissions" not in table:
        fix = toml_line("permissions", ["things:read"])
        section.add(name, f"role {shown(name)} does not say what it may do: permissions", fix)
    return role.read("scope", parse_scope, "own")


def _check_role(section: Section, name: str, permissions: list[str], fix: str) -> None:
    if len(permissions) > MAX_ROLE_PERMISSIONS:
        message = f"role {shown(name)} has more than {MAX_ROLE_PERMISSIONS} permissions"
        section.add(name, message, comment(toml_line(name, [])))
        return
    for index, permission in enumerate(permissions):
        written = (name, index) if isinstance(section.table[name], list) else (name, "permissions", index)
        path = (*section.path, *written)
        if permission == CLOSED:
            message = f"role {shown(name)}: {CLOSED} is reserved: no role may hold it"
            section.report.add(path, message, fix)
        elif not is_permission(permission):
            message = f"role {shown(name)}: {shown(permission)} is no permission: write resource:action, lower-case"
            section.report.add(path, message, fix)


def _read_defaults(section: Section) -> PolicyDefaults:
    section.unknown_keys(_DEFAULT_KEYS, {key: _NO_DEFAULT for key in ROUTE_KEYS if key not in _DEFAULT_KEYS})
    rate: str | None = section.read("rate", parse_rate, DEFAULT_RATE)
    if rate is None:
        message = 'rate: "unlimited" is for single public routes, not a default'
        section.add("rate", message, toml_line("rate", DEFAULT_RATE))
    timeout = section.read("timeout", parse_duration, DEFAULT_TIMEOUT_MS / 1000)
    body_timeout = section.read("body_timeout", parse_duration, min(DEFAULT_BODY_TIMEOUT_MS / 1000, timeout))
    if body_timeout > timeout:
        message = f"body_timeout is longer than the timeout of {format_duration(timeout)}, which comes first"
        section.add("body_timeout", message, toml_line("body_timeout", format_duration(timeout)))
    return PolicyDefaults(
        rate=rate or DEFAULT_RATE,
        timeout=timeout,
        max_body=section.read("max_body", parse_size, DEFAULT_MAX_BODY),
        body_timeout=body_timeout,
        stage=section.read("stage", parse_stage, "active"),
        idempotency=section.read("idempotency", parse_default_idempotency, "required"),
    )


def _read_routes(reader: RouteReader, table: Mapping[str, object]) -> dict[tuple[str, str], RoutePolicy]:
    routes: dict[tuple[str, str], RoutePolicy] = {}
    shapes: dict[tuple[str, str], str] = {}
    report = reader.report
    for count, (key, value) in enumerate(table.items()):
        path = ("routes", key)
        if count == MAX_ROUTES:
            report.add(path, f"more than {MAX_ROUTES} routes", comment(toml_header(*path)))
            break
        name = _route_name(report, key)
        if name is None:
            continue
        if not isinstance(value, dict):
            fix = f"{toml_header(*path)}\n{toml_line('allow', [CLOSED])}"
            report.add(path, f"{shown(key)} is a table, not {shown(value)}", fix)
            continue
        first = shapes.setdefault(shape(*name), key)
        if first != key:
            line = report.positions.line(("routes", first))
            message = f"{shown(key)} and {shown(first)} on line {line} are the same route: keep one entry"
            report.add(path, message, _commented_entry(key, value))
            continue
        routes[name] = reader.read(key, *name, value)
    return routes


def _route_name(report: Report, key: str) -> tuple[str, str] | None:
    """Return the method and the path of an entry: as they were meant, if they are wrong and that is clear."""
    try:
        return parse_route_key(key)
    except BadValue as error:
        header = toml_header("routes", key)
        if not isinstance(error.suggestion, str):
            report.add(("routes", key), str(error), comment(header))
            return None
        report.add(("routes", key), str(error), toml_header("routes", error.suggestion))
        return parse_route_key(error.suggestion)


def _commented_entry(key: str, table: Mapping[str, object]) -> str:
    lines = [toml_header("routes", key), *(toml_line(name, value) for name, value in table.items())]
    return comment("\n".join(lines))
