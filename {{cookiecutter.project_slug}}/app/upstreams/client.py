"""What handlers hold: a service, bound to the request that calls it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from app.patterns.http_client import HttpClient, UpstreamBadAnswer
from app.settings import BootRefused
from app.upstreams.call import SAFE, Call, KeyNeeded, OutboundNotAllowed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from app.patterns.http_client import Answer
    from app.settings import Settings
    from app.upstreams.call import CallContext
    from app.upstreams.declaration import Upstream
    from app.upstreams.pipeline import Pipeline

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
C = TypeVar("C", bound="Connection")


class Connection(Protocol):
    """What a client speaks through; one for the process."""

    async def aclose(self) -> None:
        """Close it."""


class UpstreamClient(ABC, Generic[C]):
    """Base of the declared services.

    Args:
        pipeline: through which every call goes.
        connection: to the service; from :meth:`connect`.
        context: on whose behalf calls are made.

    Raises:
        OutboundNotAllowed: the policy does not let this route reach the service.

    Attributes:
        upstream: the declaration.
    """

    upstream: ClassVar[Upstream]

    def __init__(self, pipeline: Pipeline, connection: C, context: CallContext) -> None:
        if self.upstream.name not in context.outbound:
            raise OutboundNotAllowed(self.upstream.name, context.route)
        self._pipeline = pipeline
        self._connection = connection
        self._context = context

    @classmethod
    @abstractmethod
    def connect(cls, settings: Settings) -> C:
        """Make what calls go through; nothing is connected to yet.

        Raises:
            BootRefused: the settings do not say where, or with what.
        """


class HttpUpstream(UpstreamClient[HttpClient]):
    """A service that speaks HTTP: a method of one's own for each thing that it can do, and :meth:`send` to do it."""

    @classmethod
    def connect(cls, settings: Settings) -> HttpClient:
        """Make the client for the base URL that the settings name.

        Raises:
            BootRefused: they name none, or one that is not safe.
        """
        declared = cls.upstream
        try:
            return HttpClient(
                declared.base_url(settings), declared.http_config(), headers=declared.credentials(settings)
            )
        except ValueError as error:
            raise BootRefused([f"{declared.setting('url')}: {error}"]) from None

    async def send(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], T],
        *,
        values: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
        once: str | None = None,
        accept: Collection[int] = (),
    ) -> T:
        """Send one request with all that stands round it, and return what is read from the answer.

        Args:
            method: HTTP method.
            path: template below the base URL, such as ``/charges/{id}``; from the code, never from a caller.
            read: makes a value of the answer, such as :func:`a_model` does; nonsense that it finds counts as a failure
                of the service like any other.
            values: for the template.
            params: the query.
            json: the body, unless None.
            once: names an effect that must happen once, however often the request is tried. The service gets an
                Idempotency-Key, the same each time, and other ones for other names.
            accept: statuses of 400 and more that are answers, and not failures.

        Raises:
            UpstreamError: in one of its four kinds.
            ValueError: a value is none that a path can hold.
            KeyNeeded: ``once``, and the request has no key.
        """
        context, key = self._context, None
        if once is not None:
            if context.key_for is None:
                raise KeyNeeded(self.upstream.name, context.route)
            key = context.key_for(f"{self.upstream.name}:{once}")
        found: T

        async def transport(headers: Mapping[str, str]) -> Answer:
            nonlocal found
            answer = await self._connection.send(
                method, path, values=values, params=params, json=json, headers=headers, accept=accept
            )
            found = read(answer)
            return answer

        repeatable = method in SAFE or key is not None
        call = Call(method, path, repeatable=repeatable, key=key, context=context, transport=transport)
        await self._pipeline.send(call)
        return found


def a_model(kind: type[M]) -> Callable[[Answer], M]:
    """Return what reads an answer as a model, and finds nonsense in whatever is another one.

    ``UpstreamBadAnswer`` says whether it is no JSON (``content_type``, ``json``), or not what the model says.
    """

    def read(answer: Answer) -> M:
        document = answer.json()
        try:
            return kind.model_validate(document)
        except ValidationError:
            raise UpstreamBadAnswer("unexpected_content") from None

    return read
