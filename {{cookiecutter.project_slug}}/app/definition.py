"""What people and models wrote, read and held to each other: the policy and the handlers. Nothing is composed here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app import health
from app.background import Declared, Job, JobContext, read_signature
from app.background.declaration import BadJob
from app.dependencies import Reach, caller_of, outbox_of, session_of
from app.policy import MountedRoute, Policy, PolicyError, check_routes, load_policy, misplaced
from app.routing import Handler, find_handlers, find_jobs, handlers_of_router, streams
from app.settings import ROOT, BootRefused, Settings
from app.upstreams import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fastapi.dependencies.models import Dependant

READING = frozenset({"GET", "HEAD"})
"""Methods whose answer may stream: there is nothing to commit before it (RFC 9110, 9.2.1)."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What people and models wrote: the policy and the handlers, held to each other."""

    policy: Policy
    handlers: tuple[Handler, ...]
    jobs: Mapping[str, Job] = field(default_factory=dict)

    @property
    def mounted(self) -> list[MountedRoute]:
        """Every route that the policy must know."""
        return [handler.route for handler in self.handlers]


def read_definition(settings: Settings, *, check: bool = True) -> Definition:
    """Read the policy and the handlers.

    Args:
        settings: where the policy is.
        check: hold the two to each other; without it a route may lack its entry.

    Raises:
        BootRefused: with every mistake in both.
    """
    problems: list[str] = []
    policy: Policy | None = None
    handlers: list[Handler] = []
    declared: list[Declared] = []
    try:
        policy = load_policy(settings.policy_path, upstreams=NAMES)
    except PolicyError as error:
        problems += map(str, error.problems)
    try:
        handlers = [*handlers_of_router(health.router), *find_handlers()]
    except BootRefused as refused:
        problems += refused.problems
    try:
        declared = find_jobs()
    except BootRefused as refused:
        problems += refused.problems
    if problems or policy is None:
        raise BootRefused(problems)
    jobs, job_problems = read_jobs(policy, declared)
    definition = Definition(policy, tuple(handlers), jobs)
    if check:
        try:
            check_routes(policy, definition.mounted)
        except PolicyError as error:
            problems += map(str, error.problems)
        problems += _public_routes_with_a_caller(definition)
        problems += _streaming_writes(definition)
        problems += _upstreams_out_of_reach(definition)
        problems += _misplaced_files(policy)
        problems += job_problems
        if problems:
            raise BootRefused(problems)
    return definition


def read_jobs(policy: Policy, declared: list[Declared]) -> tuple[dict[str, Job], list[str]]:
    """Hold the jobs and their entries to each other; return the jobs that are in order, and every mistake."""
    jobs: dict[str, Job] = {}
    problems: list[str] = []
    source = policy.source.name
    for each in declared:
        where = f"{each.file}:{each.line}: job {each.name!r}"
        if each.name in jobs:
            problems.append(f"{where}: there is another one of this name at {jobs[each.name].declared.line}")
            continue
        try:
            signature = read_signature(each)
        except BadJob as error:
            problems.append(f"{where}: {error}")
            continue
        entry = policy.jobs.get(each.name)
        if entry is None:
            problems.append(f'{source}:1: lacks [jobs."{each.name}"], which {each.file}:{each.line} declares')
            continue
        providers: dict[str, Callable[[JobContext], object]] = {}
        for name, asked in signature.asks.items():
            provider = _PROVIDERS.get(asked)
            if isinstance(asked, Reach):
                if asked.upstream not in entry.outbound:
                    names = ", ".join(f'"{name}"' for name in sorted({asked.upstream} | entry.outbound))
                    problems.append(
                        f"{source}:{entry.line}: job {each.name} lacks outbound = [{names}], which it "
                        f"({each.file}:{each.line}) asks for"
                    )
                provider = asked.for_job
            if provider is None:
                problems.append(f"{where}: the parameter {name!r} is for handlers: a job has no request and no caller")
                continue
            providers[name] = provider
        jobs[each.name] = Job(each, signature, entry, providers)
    known = {each.name for each in declared}
    problems += [
        f'{source}:{entry.line}: [jobs."{name}"] has no job: no module of app/jobs says @jobs.on("{name}")'
        for name, entry in policy.jobs.items()
        if name not in known
    ]
    return jobs, problems


_PROVIDERS: Mapping[Callable[..., object], Callable[[JobContext], object]] = {
    session_of: lambda context: context.session,
    outbox_of: lambda context: context.outbox(),
}
"""What a job may ask for, beside the declared services."""


def _public_routes_with_a_caller(definition: Definition) -> list[str]:
    """Name the public routes whose handlers ask who is calling: nobody could ever tell them."""
    problems = []
    for handler in definition.handlers:
        entry = definition.policy.find(handler.route.method, handler.route.path)
        if entry is not None and entry.public and asks_for(handler, caller_of):
            problems.append(
                f"{definition.policy.source.name}:{entry.line}: {entry.method} {entry.path} is public, but its handler "
                f"({handler.route.file}:{handler.route.line}) asks for the Caller; name permissions in `allow`"
            )
    return problems


def _streaming_writes(definition: Definition) -> list[str]:
    """Name the handlers that stream while they write: what has left cannot be taken back when the commit fails."""
    return [
        f"{handler.route.file}:{handler.route.line}: {handler.route.method} {handler.route.path} streams its "
        "answer, which would leave before the commit; return a model, or stream from a GET"
        for handler in definition.handlers
        if handler.route.method not in READING and streams(handler)
    ]


def _upstreams_out_of_reach(definition: Definition) -> list[str]:
    """Name the handlers that ask for a service which their policy does not let them reach."""
    problems = []
    for handler in definition.handlers:
        entry = definition.policy.find(handler.route.method, handler.route.path)
        wanted = {call.upstream for call in _dependencies(handler.context.dependant) if isinstance(call, Reach)}
        if entry is not None and not wanted <= entry.outbound:
            names = ", ".join(f'"{name}"' for name in sorted(wanted | entry.outbound))
            problems.append(
                f"{definition.policy.source.name}:{entry.line}: {entry.method} {entry.path} lacks "
                f"outbound = [{names}], which its handler ({handler.route.file}:{handler.route.line}) asks for"
            )
    return problems


def _misplaced_files(policy: Policy) -> list[str]:
    """Name the places of the disk that an entry opens and that are not there, or not for a handler."""
    entries = [(f"{entry.method} {entry.path}", entry.line, entry.files) for entry in policy.routes.values()]
    entries += [(f"job {entry.name}", entry.line, entry.files) for entry in policy.jobs.values()]
    return [
        f"{policy.source.name}:{line}: {name}: files: {problem}"
        for name, line, files in entries
        for problem in misplaced(files, ROOT)
    ]


def _dependencies(dependant: Dependant) -> Iterator[Callable[..., object] | None]:
    """Yield everything that a handler asks for, and what that asks for in turn."""
    for needed in dependant.dependencies:
        yield needed.call
        yield from _dependencies(needed)


def asks_for(handler: Handler, dependency: Callable[..., object]) -> bool:
    """Tell whether a handler, or anything that it depends on, asks for ``dependency``."""

    def asks(dependant: Dependant) -> bool:
        return dependant.call is dependency or any(map(asks, dependant.dependencies))

    return asks(handler.context.dependant)
