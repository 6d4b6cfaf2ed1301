"""The policy against the routes that the application really has: neither may have what the other lacks."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.policy.model import CLOSED, MountedRoute, Policy, PolicyError, PolicyProblem, without_convertors
from app.policy.route_entry import role_line
from app.policy.route_key import METHODS, likely_permission, path_fault, shape
from app.policy.write import comment, printable, shown, toml_header, toml_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_VACUOUS = "no mounted routes were given: a check of nothing proves nothing"
_HOW_TO_WALK = "routes = fastapi.routing.iter_route_contexts(app.routes)"


@dataclass(frozen=True, slots=True)
class _Gap:
    """A mounted route that no entry governs.

    Attributes:
        route: the route.
        message: why it has none.
        fix: what to write.
        entry_line: where the policy is to be changed, None if the handler is.
        paste: true if ``fix`` is an entry to add to the file.
    """

    route: MountedRoute
    message: str
    fix: str
    entry_line: int | None = None
    paste: bool = False


def check_routes(policy: Policy, routes: Iterable[MountedRoute]) -> None:
    """Check that every mounted route has an entry, and every entry a mounted route.

    Raises:
        PolicyError: with every route and every entry that stands alone; or no routes were given at all.
    """
    mounted = list(routes)
    source = printable(str(policy.source))
    if not mounted:
        raise PolicyError([PolicyProblem(source, 1, _VACUOUS, _HOW_TO_WALK)])
    gaps = list(_gaps(policy, mounted))
    problems = []
    for gap in gaps:
        file, line = handler_file(policy, gap.route), gap.route.line
        if gap.entry_line is not None:
            file, line = source, gap.entry_line
        problems.append(PolicyProblem(file, line, gap.message, gap.fix))
    explained = {gap.entry_line for gap in gaps}
    missing = [_key(gap.route) for gap in gaps if gap.paste]
    answered = set(map(_key, mounted))
    problems += [
        _without_route(source, key, entry.line, missing)
        for key, entry in policy.routes.items()
        if key not in answered and entry.line not in explained
    ]
    if problems:
        raise PolicyError(sorted(problems, key=lambda problem: (problem.file, problem.line)))


def render_missing(policy: Policy, routes: Iterable[MountedRoute]) -> str:
    """Return TOML to append to the policy file for the mounted routes without an entry; empty if there are none.

    The entries are closed: they ask for a permission that no role may hold. Pasted as they are they let the
    service start and the route refuse everyone.
    """
    blocks = [gap.fix if gap.paste else comment(f"{gap.message}\n{gap.fix}") for gap in _gaps(policy, list(routes))]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def handler_file(policy: Policy, route: MountedRoute) -> str:
    """Return a handler's file for people to read: relative to the policy file's folder where it lies inside."""
    file = Path(route.file)
    base = policy.source.absolute().parent
    return printable(str(file.relative_to(base) if file.is_relative_to(base) else file))


def _key(route: MountedRoute) -> tuple[str, str]:
    """Return the name that the route's entry has to have; HEAD goes by GET's."""
    return "GET" if route.method == "HEAD" else route.method, without_convertors(route.path)


def _gaps(policy: Policy, mounted: Sequence[MountedRoute]) -> Iterator[_Gap]:
    """Yield the routes without an entry, each name once."""
    keys = set(map(_key, mounted))
    entries = {shape(*key): entry for key, entry in policy.routes.items()}
    seen: dict[tuple[str, str], MountedRoute] = {}
    done: set[tuple[str, str]] = set()
    wanted = sorted({likely_permission(*key) for key in keys - policy.routes.keys()})
    for route in mounted:
        key = _key(route)
        if key in policy.routes or key in done:
            continue
        done.add(key)
        method, path = key
        name = shown(f"{method} {path}")
        fault = path_fault(path)
        entry = entries.get(shape(*key))
        twin = seen.setdefault(shape(*key), route)
        if method not in METHODS:
            message = f"{printable(route.name)} answers {shown(method)}, for which no policy can be written"
            yield _Gap(route, message, f"# take {shown(method)} out of the route's methods")
        elif fault is not None:
            yield _Gap(route, f"{name} cannot be named in the policy: {fault}", "# give the route another path")
        elif entry is not None and (entry.method, entry.path) not in keys:
            message = f"the entry does not spell the path as its route does, {name} in {_place(policy, route)}"
            yield _Gap(route, message, toml_header("routes", f"{method} {path}"), entry.line)
        elif entry is not None:
            other = f"{method} {entry.path}, line {entry.line} of {policy.source.name}"
            yield _Gap(route, f"{name} answers the same requests as {printable(other)}", "# keep one of the routes")
        elif twin is not route:
            message = f"{name} answers the same requests as {shown(twin.path)} in {_place(policy, twin)}"
            yield _Gap(route, message, "# keep one of the routes")
        else:
            message = f"{name} ({printable(route.name)}) has no entry in {printable(policy.source.name)}"
            yield _Gap(route, message, _closed_entry(policy, route, wanted), paste=True)


def _closed_entry(policy: Policy, route: MountedRoute, wanted: Sequence[str]) -> str:
    method, path = _key(route)
    permission = likely_permission(method, path)
    allow = toml_line("allow", [permission])
    holders = sorted(role for role, permissions in policy.roles.items() if permission in permissions)
    if holders:
        how = [f"# To open it to {', '.join(holders)}: {allow}"]
    else:
        resource = f"{permission.partition(':')[0]}:"
        # Of everything that is asked for at once, so that the line can be pasted once.
        line = role_line(policy.roles, policy.scopes, [item for item in wanted if item.startswith(resource)])
        role = line.partition(" = ")[0]
        place = f"in place of the line of {role}" if role in policy.roles else "for example"
        how = [f"# To open it: {allow}, and in [roles] {place}:", f"#   {line}"]
    lines = [
        f"# {_place(policy, route)} is closed to everyone: no role may hold {shown(CLOSED)}.",
        *how,
        toml_header("routes", f"{method} {path}"),
        toml_line("allow", [CLOSED]),
        f"{toml_line('stage', 'probation')}  # until `app evidence` speaks for it",
    ]
    return "\n".join(lines)


def _place(policy: Policy, route: MountedRoute) -> str:
    return f"{handler_file(policy, route)}:{route.line} ({printable(route.name)})"


def _without_route(
    source: str,
    key: tuple[str, str],
    line: int,
    missing: Sequence[tuple[str, str]],
) -> PolicyProblem:
    """Return the problem of an entry that nothing answers; a route without an entry may be what it was for."""
    name = " ".join(key)
    close = difflib.get_close_matches(name, [" ".join(other) for other in missing], n=1)
    message = f"no mounted route answers {shown(name)}"
    if close:
        return PolicyProblem(
            source, line, f"{message}; did you mean {shown(close[0])}?", toml_header("routes", close[0])
        )
    return PolicyProblem(source, line, message, f"# delete the entry {toml_header('routes', name)}")
