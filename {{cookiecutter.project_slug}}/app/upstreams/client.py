"""What handlers hold: a service, bound to the request that calls it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, ClassVar, Final, Generic, Protocol, TypeVar

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

_ID: Final = re.compile(r"/(?!v[0-9]+(?:/|$))(?=[^/{]*[0-9%])[^/{]+|/[^/{]{33,}")


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
    """A service that speaks HTTP and JSON.

    :meth:`get`, :meth:`post`, :meth:`put`, :meth:`patch` and :meth:`delete` call it as it is. A service that is called
    in many places deserves methods of its own, each with a model for what comes back: they are made of :meth:`send`.
    """

    def __init__(self, pipeline: Pipeline, connection: HttpClient, context: CallContext) -> None:
        super().__init__(pipeline, connection, context)
        self._asked: Counter[str] = Counter()

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

    async def get(
        self, path: str, *, values: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> Answer:
        """Get what is there. Arguments, errors and result as in :meth:`post`."""
        return await self._ask("GET", path, values, params=params)

    async def post(
        self,
        path: str,
        *,
        json: object = None,
        values: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """Have something done, once for each request that asks for it: the service gets an Idempotency-Key.

        The key is derived from the request's own. The second call of a request to the same path has another one, so
        a handler makes its calls in the same order each time. A request without a key sends none, and such a call is
        not tried again once it may have arrived.

        Args:
            path: below the base URL; what comes from a caller goes into ``values``, or is quoted.
            json: the body, unless None.
            values: for the parameters of the path, as in ``/charges/{id}``.
            params: the query.

        Returns:
            The answer, whose body is JSON or empty.

        Raises:
            UpstreamError: in one of its four kinds; a status of 400 or more is one.
            ValueError: the path or a value is none.
        """
        return await self._ask("POST", path, values, params=params, json=json)

    async def put(self, path: str, *, json: object = None, values: Mapping[str, str] | None = None) -> Answer:
        """Put something there. Arguments, errors and result as in :meth:`post`."""
        return await self._ask("PUT", path, values, json=json)

    async def patch(self, path: str, *, json: object = None, values: Mapping[str, str] | None = None) -> Answer:
        """Change something, once. Arguments, errors and result as in :meth:`post`."""
        return await self._ask("PATCH", path, values, json=json)

    async def delete(self, path: str, *, values: Mapping[str, str] | None = None) -> Answer:
        """Delete something. Arguments, errors and result as in :meth:`post`."""
        return await self._ask("DELETE", path, values)

    async def _ask(
        self,
        method: str,
        path: str,
        values: Mapping[str, str] | None,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
    ) -> Answer:
        once = None
        if method not in SAFE and self._context.key_for is not None:
            target = f"{method} {path} {sorted((values or {}).items())}"
            self._asked[target] += 1
            once = f"{target} {self._asked[target]}"
        return await self.send(method, path, _json_or_nothing, values=values, params=params, json=json, once=once)

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
        call = Call(method, _template(path), repeatable=repeatable, key=key, context=context, transport=transport)
        await self._pipeline.send(call)
        return found


def _json_or_nothing(answer: Answer) -> Answer:
    """Return the answer as it is, once it is known that its JSON can be read."""
    if answer.body:
        answer.json()
    return answer


def _template(path: str) -> str:
    """Return the path for telemetry: a segment that looks like somebody's id is left out of names."""
    return _ID.sub("/{}", path)


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
