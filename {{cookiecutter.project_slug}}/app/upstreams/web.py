"""Web: pages and files whose URLs come from callers. The one service that is not a service, but all of the internet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from app.patterns.http_client import UpstreamUnavailable, UrlFetcher
from app.patterns.ssrf_guard import NameNotResolved, SsrfGuard
from app.upstreams.call import Call
from app.upstreams.client import UpstreamClient
from app.upstreams.declaration import Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.patterns.http_client import Answer
    from app.settings import Settings


class Internet:
    """What may be fetched, and how."""

    def __init__(self, guard: SsrfGuard, fetcher: UrlFetcher) -> None:
        self.guard = guard
        self.fetcher = fetcher

    async def aclose(self) -> None:
        """Close every connection."""
        await self.fetcher.aclose()


class WebClient(UpstreamClient[Internet]):
    """Fetches what a caller names."""

    # 1. One attempt, no breaker: hosts have nothing to do with each other, and a caller who names a dead one must not
    #    close the web for the others. 2. Nothing of the request travels along: it is nobody's business out there.
    upstream: ClassVar[Upstream] = Upstream(
        name="web", attempts=1, attempt_timeout=4.0, breaker=False, propagate=False, token=False
    )

    @classmethod
    def connect(cls, settings: Settings) -> Internet:  # noqa: ARG003 - nothing about the internet is set
        """Make the guard and the fetcher."""
        return Internet(SsrfGuard(), UrlFetcher(cls.upstream.http_config()))

    async def fetch(self, url: str) -> Answer:
        """Get a URL that leads to the public internet, with at most a megabyte behind it.

        Raises:
            UrlRefused: it leads elsewhere, or nowhere.
            UpstreamError: in one of its four kinds.
        """

        async def transport(_headers: Mapping[str, str]) -> Answer:
            try:
                target = await self._connection.guard.check(url)
            except NameNotResolved:
                raise UpstreamUnavailable("dns", sent=False) from None
            return await self._connection.fetcher.fetch(target)

        call = Call("GET", "", repeatable=True, key=None, context=self._context, transport=transport)
        return await self._pipeline.send(call)
