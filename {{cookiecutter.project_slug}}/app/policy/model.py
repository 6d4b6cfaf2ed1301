"""The policy's types, its bounds and its defaults: each number stands here once, with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Idempotency = Literal["required", "optional", "off", "none"]
"""``none`` is what a method has for which HTTP promises it already (RFC 9110, 9.2.2): it is never written."""

Stage = Literal["active", "probation"]

Scope = Literal["own", "tenant", "all"]
"""Whose objects a role reaches: the caller's own, its tenant's, everybody's. From narrow to wide."""

Effects = Literal["local", "external"]
"""``external``: the handler has an effect elsewhere while it runs, such as a charge, which no rollback undoes."""

SCOPES: tuple[Scope, ...] = ("own", "tenant", "all")
_WIDTH: dict[Scope, int] = {scope: width for width, scope in enumerate(SCOPES)}

CLOSED = "breakwater:closed"
"""The reserved permission: no role may hold it, so a route that asks for it is closed to everyone."""

DEFAULT_RATE = "60/minute"  # one call a second: a person at a screen stays under it, a loop does not
DEFAULT_TIMEOUT_MS = 5_000  # a caller rarely waits longer; a slower handler belongs in a job
DEFAULT_BODY_TIMEOUT_MS = 10_000  # 64 KiB at 56 kbit/s; a route's timeout shortens it
DEFAULT_MAX_BODY = 64 * 1024  # bytes: JSON that a person or a service fills in stays far below

DEFAULT_JOB_TIMEOUT_MS = 30_000  # nobody waits for it, and a service that needs longer hangs
MAX_JOBS = 200  # more than people can own in one file

MIN_TIMEOUT_MS = 10  # one turn of a busy event loop takes that long: less would refuse everybody
MAX_TIMEOUT_MS = 5 * 60_000  # proxies and load balancers give up before; longer work is a job
MAX_BODY = 100 * 1024 * 1024  # bytes: what a worker can hold once; larger files go to object storage
MAX_RATE_PER_SECOND = 1_000  # a quarter of what one worker answers: beyond it a limit limits nothing
MAX_RATE_AMOUNT = 1_000_000  # calls a window, likewise

MAX_FILE = 1024 * 1024  # bytes: a thousand routes with comments fit; more is not a policy file
MAX_LINE = 10_000  # characters: bounds the parser's quadratic cases (dotted keys), fits any real list
MAX_ROUTES = 1_000  # more routes than people can own in one file
MAX_ROLES = 100  # more roles than people can tell apart
MAX_ROLE_PERMISSIONS = 200  # a role that may do more is an administrator in disguise
MAX_ALLOW = 16  # all are required: a route that needs more needs a permission of its own
MAX_OUTBOUND = 16  # upstreams of one route
MAX_FILES = 16  # places of one route to read, and as many to write
MAX_NAME = 64  # characters of a role, an upstream or one half of a permission: fits a table's column
MAX_PATH = 200  # characters of a path template: fits a line of the file
MAX_REASON = 300  # characters: a sentence or two
MAX_VALUE = 100  # characters of a rate, a timeout, a size
MAX_PROBLEMS = 200  # more mistakes than that are fixed in rounds

CONVERTOR = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*):[A-Za-z_][A-Za-z0-9_]*\}")
"""A parameter with a convertor, as Starlette's router spells it."""


def without_convertors(path: str) -> str:
    """Return a path as the router's ``path_format`` has it: ``{name:path}`` becomes ``{name}``."""
    return CONVERTOR.sub(r"{\1}", path)


@dataclass(frozen=True, slots=True)
class Files:
    """Places of the disk that may be touched: files, or folders with all that is in them.

    Attributes:
        read: to be read; relative to the project's folder, or absolute.
        write: to be written, made and removed in; not to be read for that.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What holds for one route: the entry, with the defaults filled in.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE; HEAD goes by GET's entry.
        path: the path template, e.g. ``/v1/orders/{order_id}``.
        public: true if no credentials are asked for.
        allow: the permissions of which the caller must hold all; empty on a route that is public, or open to
            every authenticated caller.
        rate: e.g. ``10/minute`` or ``10/minute;100/hour``, in the spelling of ``limits``; None: no limit.
        timeout: seconds for the whole request.
        max_body: bytes of the request's body.
        body_timeout: seconds for the body to arrive, at most ``timeout``.
        idempotency: whether an Idempotency-Key is asked for.
        idempotency_reason: why it is off; empty otherwise.
        effects: whether the handler has effects that a rollback does not undo.
        outbound: the upstreams that the handler may reach.
        stage: ``probation`` for a handler that has yet to earn trust.
        line: of the entry in the policy file.
        files: what the handler may read and write; nothing unless listed.
    """

    method: str
    path: str
    public: bool
    allow: frozenset[str]
    rate: str | None
    timeout: float
    max_body: int
    body_timeout: float
    idempotency: Idempotency
    idempotency_reason: str
    effects: Effects
    outbound: frozenset[str]
    stage: Stage
    line: int
    files: Files = Files()


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """What holds for one job.

    Attributes:
        name: of the job.
        timeout: seconds for one attempt.
        outbound: the upstreams that it may reach.
        line: of the entry in the policy file.
        files: what it may read and write; nothing unless listed.
    """

    name: str
    timeout: float
    outbound: frozenset[str]
    line: int
    files: Files = Files()


@dataclass(frozen=True, slots=True)
class PolicyDefaults:
    """The ``[defaults]`` table: what an entry that says nothing else gets. Units as in ``RoutePolicy``.

    Attributes:
        idempotency: of POST and PATCH; other methods have ``none``.
    """

    rate: str
    timeout: float
    max_body: int
    body_timeout: float
    stage: Stage
    idempotency: Idempotency


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file that has been checked.

    Attributes:
        roles: the permissions of each role; read-only.
        scopes: whose objects a role reaches, for roles that reach further than the caller's own; read-only.
        routes: the entry of each (method, path template), in the file's order; read-only.
        defaults: the file's defaults.
        source: the file.
        jobs: the entry of each job, by name; read-only.
    """

    roles: Mapping[str, frozenset[str]]
    scopes: Mapping[str, Scope]
    routes: Mapping[tuple[str, str], RoutePolicy]
    defaults: PolicyDefaults
    source: Path
    jobs: Mapping[str, JobPolicy] = field(default_factory=lambda: MappingProxyType({}))

    def find(self, method: str, path: str) -> RoutePolicy | None:
        """Return the entry that governs a mounted route, or None: then the route is closed.

        HEAD goes by GET's entry: it is GET without the content (RFC 9110, 9.3.2), so a rule of its own could
        only contradict. OPTIONS never has an entry: a preflight carries no credentials to judge. The path may
        have the router's convertors.
        """
        return self.routes.get(("GET" if method == "HEAD" else method, without_convertors(path)))

    def scope(self, required: frozenset[str], roles: Iterable[str]) -> Scope:
        """Return whose objects a caller with ``roles`` reaches on a route that demands ``required``.

        A role widens only what it grants itself: of each permission the widest scope of the caller's roles that grant
        it counts, and of all permissions the narrowest. Somebody who reads everybody's orders as support, and places
        her own as a customer, does not cancel everybody's.
        """
        held = [role for role in roles if role in self.roles]
        narrowest = min(
            (
                max(
                    (_WIDTH[self.scopes.get(role, "own")] for role in held if permission in self.roles[role]), default=0
                )
                for permission in required
            ),
            default=0,
        )
        return SCOPES[narrowest]


@dataclass(frozen=True, slots=True)
class MountedRoute:
    """A route as the application has it.

    Attributes:
        method: one HTTP method; a route of several is given several times.
        path: the path template as the router spells it, with or without convertors.
        file: the handler's source file.
        line: of the handler.
        name: the handler's.
    """

    method: str
    path: str
    file: str
    line: int
    name: str


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """One mistake, with its place and what to write instead.

    Attributes:
        file: where to look.
        line: from 1; 1 if it is about the file as a whole.
        message: what is wrong.
        fix: the literal lines to write there. What should go is shown commented out.
        column: from 1, if known.
    """

    file: str
    line: int
    message: str
    fix: str
    column: int | None = None

    def __str__(self) -> str:
        column = "" if self.column is None else f":{self.column}"
        fix = self.fix.replace("\n", "\n           ")
        return f"{self.file}:{self.line}{column}: {self.message}\n    write: {fix}"


class PolicyError(Exception):
    """The policy is not accepted; the service must not start.

    Attributes:
        problems: every mistake, by file and line.
    """

    def __init__(self, problems: Sequence[PolicyProblem]) -> None:
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        count = len(self.problems)
        heading = "1 problem" if count == 1 else f"{count} problems"
        return "\n".join((f"The policy is not accepted: {heading}.", *map(str, self.problems)))
