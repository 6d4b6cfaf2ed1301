"""What handlers fall back on when a service is away: the last good answer, or a default, and a header that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from app.patterns.fallback import Fallback
from app.upstreams.call import is_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.datastructures import MutableHeaders

    from app.patterns.fallback import Result, Source

P = ParamSpec("P")
T = TypeVar("T")

MAX_NAMES: Final = 64
"""Fallbacks of one service. Each is named in the code, once."""


class Fallbacks:
    """The fallbacks of one process, each made when its name is first used.

    Args:
        observe: told the name and the source of each value that was not live.
    """

    def __init__(self, observe: Callable[[str, Source], None]) -> None:
        self._observe = observe
        self._made: dict[str, Fallback] = {}

    def named(self, name: str) -> Fallback:
        """Return a fallback.

        Raises:
            ValueError: the name is no token, or there are too many: it must stand in the code, and hold no id.
        """
        found = self._made.get(name)
        if found is None:
            if len(self._made) >= MAX_NAMES:
                raise ValueError(f"there are {MAX_NAMES} fallbacks already; a name stands in the code and holds no id")
            found = self._made[name] = Fallback(
                name, counts=is_failure, observe=lambda source, _age: self._observe(name, source)
            )
        return found


class RequestFallback:
    """The fallbacks, bound to one request: what one caller was answered stands in for nobody else.

    Args:
        fallbacks: of the process.
        owner: the caller.
        headers: of the response, which says what stood in.
    """

    def __init__(self, fallbacks: Fallbacks, owner: tuple[str, ...], headers: MutableHeaders) -> None:
        self._fallbacks, self._owner, self._headers = fallbacks, owner, headers

    async def stale(self, name: str, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a call returns, or what the same call last returned for this caller, for up to five minutes.

        Args:
            name: of the fallback, for the header and the metrics; from the code.
            function: a method of a service, whose arguments are hashable.
            args: for it.
            kwargs: for it.

        Raises:
            UpstreamError: the call failed, and there is nothing to stand in.
        """
        key = (self._owner, getattr(function, "__qualname__", ""), args, *sorted(kwargs.items()))
        return self._said(await self._fallbacks.named(name).call(key, function, *args, **kwargs))

    async def default(
        self, name: str, value: T, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what a call returns, or what it last returned, or else ``value``. Arguments as in :meth:`stale`."""
        key = (self._owner, getattr(function, "__qualname__", ""), args, *sorted(kwargs.items()))
        return self._said(await self._fallbacks.named(name).call_or(value, key, function, *args, **kwargs))

    def _said(self, result: Result[T]) -> T:
        if result.cache_status is not None:
            self._headers.append("cache-status", result.cache_status)
        return result.value
