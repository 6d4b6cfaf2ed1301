"""One ``[routes."METHOD /path"]`` entry: who, how much, and what it may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.policy.files import read_files
from app.policy.model import CLOSED, MAX_ALLOW, MAX_OUTBOUND, Effects, Idempotency, PolicyDefaults, RoutePolicy
from app.policy.names import is_permission, nearest, nearest_permission, suggest_permission
from app.policy.report import Report, Section
from app.policy.route_key import likely_permission
from app.policy.values import (
    REASON_TO_FILL_IN,
    UNLIMITED,
    BadValue,
    format_duration,
    parse_duration,
    parse_effects,
    parse_idempotency,
    parse_rate,
    parse_reason,
    parse_size,
    parse_stage,
    parse_texts,
    parse_true,
)
from app.policy.write import comment, shown, toml_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from app.policy.model import Scope

_ACCESS_KEYS = ("public", "authenticated", "allow")
ROUTE_KEYS = (
    *_ACCESS_KEYS,
    "rate",
    "timeout",
    "max_body",
    "body_timeout",
    "idempotency",
    "idempotency_reason",
    "effects",
    "outbound",
    "files",
    "stage",
)
_NOT_IDEMPOTENT = ("POST", "PATCH")
"""Which methods HTTP does not promise to be idempotent (RFC 9110, 9.2.2; PATCH: RFC 5789)."""

_LISTED = 10  # names in one message


class RouteReader:
    """Reads entries against the rest of the file."""

    def __init__(
        self,
        report: Report,
        defaults: PolicyDefaults,
        roles: Mapping[str, frozenset[str]],
        scopes: Mapping[str, Scope],
        *,
        granted: frozenset[str] | None,
        upstreams: frozenset[str],
    ) -> None:
        self.report = report
        self._defaults = defaults
        self._roles = roles
        self._scopes = scopes
        self._granted = granted
        self._permissions = () if granted is None else tuple(sorted(granted))
        self._upstreams = tuple(sorted(upstreams))

    def read(self, key: str, method: str, path: str, table: Mapping[str, object]) -> RoutePolicy:
        """Return the policy of one entry; where it is wrong, what stands in does not matter.

        Args:
            key: the entry's name as the file spells it.
            method: what the name says, or was meant to say.
            path: likewise.
            table: the entry.
        """
        section = Section(self.report, ("routes", key), table)
        meant = section.unknown_keys(ROUTE_KEYS, {})
        likely = likely_permission(method, path)
        public, allow = self._access(section, likely, meant)
        timeout = section.read("timeout", parse_duration, self._defaults.timeout)
        idempotency, reason = _idempotency(section, method, self._defaults.idempotency, meant)
        return RoutePolicy(
            method=method,
            path=path,
            public=public,
            allow=allow,
            rate=self._rate(section, public="public" in section.table or "public" in meant),
            timeout=timeout,
            max_body=section.read("max_body", parse_size, self._defaults.max_body),
            body_timeout=self._body_timeout(section, timeout),
            idempotency=idempotency,
            idempotency_reason=reason,
            effects=_effects(section, idempotency),
            outbound=self.outbound(section),
            stage=section.read("stage", parse_stage, self._defaults.stage),
            line=self.report.positions.line(("routes", key)),
            files=read_files(section),
        )

    def _access(self, section: Section, likely: str, meant: frozenset[str]) -> tuple[bool, frozenset[str]]:
        """Return whether the route is public, and the permissions it asks for: exactly one way has to be given."""
        given = [name for name in _ACCESS_KEYS if name in section.table]
        if not given and not meant.intersection(_ACCESS_KEYS):
            fix = f"{toml_line('allow', [CLOSED])}  # closed, until it is e.g. {shown(likely)}"
            message = "the entry does not say who may call it: allow, authenticated or public"
            self.report.add(section.path, message, fix)
        if len(given) > 1:
            # What is left after the fix is the narrowest.
            looser = given[:-1]
            fix = "\n".join(comment(toml_line(name, section.table[name])) for name in looser)
            section.add(looser[0], f"{' and '.join(given)} exclude each other; keep one", fix)
            return False, frozenset()
        for name in ("public", "authenticated"):
            if section.table.get(name) is False:
                message = f"{name} is true or absent; who else may call is said by allow"
                section.add(name, message, toml_line("allow", [CLOSED]))
                return False, frozenset()
        public = section.read("public", parse_true, default=False)
        section.read("authenticated", parse_true, default=False)
        return public, self._allow(section, likely)

    def _allow(self, section: Section, likely: str) -> frozenset[str]:
        permissions = section.read("allow", _parse_allow, [CLOSED])
        if "allow" not in section.table:
            return frozenset()
        if not permissions and section.table["allow"] == []:
            message = "allow = [] asks for nothing; if every authenticated caller may call, say so"
            section.add("allow", message, toml_line("authenticated", True))
        if len(permissions) > MAX_ALLOW:
            message = f"allow: at most {MAX_ALLOW} permissions; all of them are required"
            section.add("allow", message, toml_line("allow", [CLOSED]))
            return frozenset()
        correct = [self._corrected(item, likely) for item in permissions]
        for index, (item, corrected) in enumerate(zip(permissions, correct, strict=True)):
            path = (*section.path, "allow", index)
            if item != corrected:
                what = "a role, not a permission" if item in self._roles else "no permission"
                message = f"allow: {shown(item)} is {what}: write resource:action, lower-case"
                self.report.add(path, message, toml_line("allow", correct))
            elif self._granted is not None and item != CLOSED and item not in self._granted:
                message, fix = self._ungranted(item, permissions)
                self.report.add(path, message, fix)
        return frozenset(permissions)

    def _corrected(self, item: str, likely: str) -> str:
        if is_permission(item):
            return item
        return likely if item in self._roles else suggest_permission(item)

    def _ungranted(self, permission: str, permissions: Sequence[str]) -> tuple[str, str]:
        message = f"allow: no role has {shown(permission)}, so nobody could call it"
        close = nearest_permission(permission, self._permissions)
        if close is not None:
            replaced = list(dict.fromkeys(close if item == permission else item for item in permissions))
            return f"{message}; did you mean {shown(close)}?", toml_line("allow", replaced)
        line = role_line(self._roles, self._scopes, [permission])
        return f"{message}; give it to a role, for example", f"# in [roles]\n{line}"

    def _rate(self, section: Section, *, public: bool) -> str | None:
        rate: str | None = section.read("rate", parse_rate, self._defaults.rate)
        if rate is None and not public:
            message = f'rate: "{UNLIMITED}" is for public routes only'
            section.add("rate", message, toml_line("rate", self._defaults.rate))
        return rate

    def _body_timeout(self, section: Section, timeout: float) -> float:
        inherited = min(self._defaults.body_timeout, timeout)
        body_timeout = section.read("body_timeout", parse_duration, inherited)
        if body_timeout > timeout:
            message = f"body_timeout is longer than the timeout of {format_duration(timeout)}, which comes first"
            section.add("body_timeout", message, toml_line("body_timeout", format_duration(timeout)))
        return body_timeout

    def outbound(self, section: Section) -> frozenset[str]:
        """Return the upstreams that an entry may reach, all of them declared."""
        names: list[str] = section.read("outbound", parse_texts, [])
        if len(names) > MAX_OUTBOUND:
            section.add("outbound", f"outbound: at most {MAX_OUTBOUND} upstreams", toml_line("outbound", []))
            return frozenset()
        correct = [name if name in self._upstreams else nearest(name, self._upstreams) for name in names]
        fix = toml_line("outbound", list(dict.fromkeys(name for name in correct if name)))
        for index, (name, corrected) in enumerate(zip(names, correct, strict=True)):
            if name == corrected:
                continue
            hint = f"did you mean {shown(corrected)}?" if corrected else f"declared: {self._declared()}"
            self.report.add((*section.path, "outbound", index), f"outbound: no upstream {shown(name)}; {hint}", fix)
        return frozenset(names)

    def _declared(self) -> str:
        more = "" if len(self._upstreams) <= _LISTED else ", ..."
        return (", ".join(self._upstreams[:_LISTED]) or "none") + more


NEW_ROLE = "user"
"""Who is to call what no role has to do with yet; which roles there are, people decide."""


def role_line(roles: Mapping[str, frozenset[str]], scopes: Mapping[str, Scope], permissions: Collection[str]) -> str:
    """Return the line that gives permissions to a role: to the one that has most to do with their resource.

    As a rule that is the role of the fewest people; among equals the last, as roles are listed from many to few. Where
    none has to do with it, a role of its own: the others were given to people for something else.
    """
    resources = tuple(f"{permission.partition(':')[0]}:" for permission in permissions)

    def nearness(name: str) -> tuple[int, int]:
        return sum(item.startswith(resources) for item in roles[name]), len(roles[name])

    name = max(reversed(list(roles)), key=nearness, default=NEW_ROLE)
    if name in roles and not nearness(name)[0]:
        name = NEW_ROLE
    held = sorted(roles.get(name, ()))
    return toml_line(*role_pair(name, [*held, *(item for item in permissions if item not in held)], scopes))


def role_pair(name: str, permissions: list[str], scopes: Mapping[str, Scope]) -> tuple[str, object]:
    """Return key and value of a role's line; a role that says how far it reaches goes on saying so."""
    if name not in scopes:
        return name, permissions
    return name, {"permissions": permissions, "scope": scopes[name]}


def _parse_allow(value: object) -> list[str]:
    try:
        return parse_texts(value)
    except BadValue as error:
        raise BadValue(str(error), error.suggestion or [CLOSED]) from None


def _effects(section: Section, idempotency: Idempotency) -> Effects:
    """Return a route's effects; what no rollback undoes has to be keyed, or a retry does it twice."""
    effects: Effects = section.read("effects", parse_effects, "local")
    if effects == "external" and idempotency != "required":
        message = "effects: external needs an Idempotency-Key on every request, or a retry does it twice"
        section.add("effects", message, toml_line("idempotency", "required"))
    return effects


def _idempotency(
    section: Section,
    method: str,
    default: Idempotency,
    meant: frozenset[str],
) -> tuple[Idempotency, str]:
    """Return an entry's idempotency, and why it is off if it is."""
    given = section.table.get("idempotency")
    key = "idempotency_reason"
    asks = method in _NOT_IDEMPOTENT
    if given is not None and (method == "GET" or (given == "off" and not asks)):
        message = f"idempotency: {method} promises it already, so there is nothing to ask for or to turn off"
        section.add("idempotency", message, comment(toml_line("idempotency", given)))
        return "none", ""
    idempotency: Idempotency = section.read("idempotency", parse_idempotency, default if asks else "none")
    if idempotency != "off" and key in section.table and "idempotency" not in meant:
        message = f'{key} is for idempotency = "off" only'
        section.add(key, message, comment(toml_line(key, section.table[key])))
        return idempotency, ""
    if given == "off" and key not in section.table and key not in meant:
        fix = f"{toml_line('idempotency', 'off')}\n{toml_line(key, REASON_TO_FILL_IN)}"
        section.add("idempotency", "idempotency: off needs a reason", fix)
    return idempotency, section.read(key, parse_reason, "")
