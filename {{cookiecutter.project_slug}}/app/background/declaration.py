"""What a job is: a function with a name, a model for what it is told, and the things that it asks for by type."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from fastapi.params import Depends
from pydantic import BaseModel

from app.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from app.background.outbox import Outbox
    from app.policy import JobPolicy
    from app.upstreams import CallContext, Upstreams

F = TypeVar("F", bound="Callable[..., Awaitable[None]]")

NAME: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")
"""Of a job, such as ``order.placed``."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A function that was marked as a job.

    Attributes:
        name: of the job.
        function: does it.
        file: where it stands, from the project's folder.
        line: likewise.
    """

    name: str
    function: Callable[..., Awaitable[None]]
    file: str
    line: int


class Jobs:
    """The jobs of one module of ``app/jobs``::

        jobs = Jobs()

        @jobs.on("order.placed")
        async def tell_the_customer(event: OrderPlaced, session: Session) -> None: ...

    The function is told what happened as a model, and may ask for ``Session``, ``Outbox`` and the declared services by
    type, as a handler does. It may be called more than once for the same message: what it does has to bear that. It
    reaches the rows that the caller of the request could reach as its own.
    """  # noqa: D415 - ends with a block

    def __init__(self) -> None:
        self.declared: list[Declared] = []

    def on(self, name: str) -> Callable[[F], F]:
        """Have the function do what messages of this name say.

        Args:
            name: words of lower-case letters, with dots between.
        """

        def declare(function: F) -> F:
            code = inspect.unwrap(function).__code__
            file = Path(code.co_filename)
            shown = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else str(file)
            self.declared.append(Declared(name, function, shown, code.co_firstlineno))
            return function

        return declare


@dataclass(frozen=True, slots=True)
class JobSignature:
    """What a job's function takes.

    Attributes:
        payload: the parameter for what happened.
        model: its model.
        asks: every other parameter -> the dependency that it names.
    """

    payload: str
    model: type[BaseModel]
    asks: Mapping[str, Callable[..., object]]


class BadJob(Exception):
    """A function cannot be a job; the text says why."""


def read_signature(declared: Declared) -> JobSignature:
    """Read what a job's function takes.

    Raises:
        BadJob: it takes something else.
    """
    if not NAME.fullmatch(declared.name) or len(declared.name) > 100:  # noqa: PLR2004 - the outbox's column
        raise BadJob(f"{declared.name!r} is no name of a job: write lower-case words with dots, such as order.placed")
    if not inspect.iscoroutinefunction(declared.function):
        raise BadJob("a job is an async function")
    try:
        hints = get_type_hints(declared.function, include_extras=True)
    except NameError as error:
        raise BadJob(f"its annotations cannot be read ({error})") from None
    payload: tuple[str, type[BaseModel]] | None = None
    asks: dict[str, Callable[..., object]] = {}
    for name in inspect.signature(declared.function).parameters:
        hint = hints.get(name)
        if payload is None and isinstance(hint, type) and issubclass(hint, BaseModel):
            payload = (name, hint)
            continue
        dependency = _dependency(hint)
        if dependency is None:
            raise BadJob(f"the parameter {name!r} is neither a model nor one of app.dependencies")
        asks[name] = dependency
    if payload is None:
        raise BadJob("a job takes what happened as a pydantic model")
    return JobSignature(*payload, asks)


def _dependency(hint: object) -> Callable[..., object] | None:
    if get_origin(hint) is Annotated:
        for mark in get_args(hint)[1:]:
            if isinstance(mark, Depends):
                return mark.dependency
    return None


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job's parameters are made from.

    Attributes:
        session: its database session.
        calls: on whose behalf it calls other services.
        upstreams: these services.
        outbox: makes the outbox of a job that has others done.
    """

    session: AsyncSession
    calls: CallContext
    upstreams: Upstreams
    outbox: Callable[[], Outbox]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is ready to be done.

    Attributes:
        declared: the function.
        signature: what it takes.
        policy: what it may reach, for how long, how often it is tried.
        providers: parameter -> what makes its value.
    """

    declared: Declared
    signature: JobSignature
    policy: JobPolicy
    providers: Mapping[str, Callable[[JobContext], Any]] = field(default_factory=dict)
