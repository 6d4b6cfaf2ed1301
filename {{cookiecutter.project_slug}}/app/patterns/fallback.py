"""Fallback: when a call fails, the last good answer, or a default, and the word that it is one.

Threat: a page fails as a whole because a detail of it comes from a service that is away. And the cure's own: old data
that passes for new, data of one caller that is shown to another, a cache that grows until the process dies, a failure
that nobody sees because everything looks fine.

What it does: :meth:`Fallback.call` runs a function. If that fails with an error that counts, its last good value for
the same key is returned, as long as it is not too old (``stale-if-error`` of RFC 5861); else the default, which
:meth:`Fallback.call_or` takes; else the error itself. A :class:`Result` says which of these it is and how old, and
``cache_status`` says it to a client: ``Cache-Status`` (RFC 9211) is what HTTP has for this since ``Warning`` was
withdrawn (RFC 9111, 5.5). A ``ttl`` below zero is the standard's way to say stale.

Defaults: 256 values, because each may be a document of a megabyte; five minutes, after which a number is more likely
wrong than useful.

What it does not do: save calls. It is no cache for answers that are fresh: each call is made.

The key has to hold whatever the value depends on, the caller too. Who leaves that out shows one caller's data to
another.

To lift it: needs nothing. ``rates = Fallback("rates", counts=lambda error: isinstance(error, OSError))``, and
``result = await rates.call("EUR", fetch_rate, "EUR")``.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

P = ParamSpec("P")
T = TypeVar("T")

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

Source = Literal["live", "stale", "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfig:
    """How much is kept, and for how long.

    Attributes:
        max_entries: values; the least recently stored goes first.
        max_age: seconds after which a value is no longer used.
    """

    max_entries: int = 256
    max_age: float = 300.0


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """A value, and where it comes from.

    Attributes:
        value: of the function, or what stands for it.
        source: ``live``, ``stale`` or ``default``.
        age: seconds since the value was live; 0 unless it is stale.
        name: of the fallback.
    """

    value: T
    source: Source
    age: float
    name: str

    @property
    def cache_status(self) -> str | None:
        """What a response says in ``Cache-Status``, or None if the value is live."""
        if self.source == "stale":
            return f"{self.name}; hit; ttl=-{max(1, int(self.age))}; detail=stale-if-error"
        return f"{self.name}; fwd=miss; detail=default" if self.source == "default" else None


class _Missing:
    """Stands for a default that was not given; None may be one."""


MISSING: Final = _Missing()


class Fallback:
    """Remembers the last good values of a function. Belongs to one event loop.

    Args:
        name: a token (RFC 9110, 5.6.2), for responses, logs and metrics.
        config: how much is kept.
        counts: tells the errors that are answered with something else from those that are passed on.
        clock: seconds, monotonic.
        observe: told of each value that was not live: the source, and its age in seconds.

    Raises:
        ValueError: the name is no token, or nothing could be kept.
    """

    def __init__(
        self,
        name: str,
        config: FallbackConfig | None = None,
        *,
        counts: Callable[[Exception], bool],
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[Source, float], None] | None = None,
    ) -> None:
        self.name = name
        self.config = config or FallbackConfig()
        if not _NAME.fullmatch(name):
            raise ValueError(f"a name has letters, digits, - and _, not {name!r}")
        if self.config.max_entries < 1 or self.config.max_age <= 0:
            raise ValueError("max_entries and max_age must be positive")
        self._counts, self._clock, self._observe = counts, clock, observe
        self._kept: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()

    async def call(
        self,
        key: Hashable,
        function: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result[T]:
        """Run the function, and fall back on its last good value for ``key``.

        Raises:
            Exception: the function's own, if it does not count or there is nothing to fall back on.
        """
        return await self._call(key, MISSING, function(*args, **kwargs))

    async def call_or(
        self, default: T, key: Hashable, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Result[T]:
        """Run the function, and fall back on its last good value for ``key``, or else on ``default``.

        Raises:
            Exception: the function's own, if it does not count.
        """
        return await self._call(key, default, function(*args, **kwargs))

    async def _call(self, key: Hashable, default: T | _Missing, running: Awaitable[T]) -> Result[T]:
        try:
            value = await running
        except Exception as error:
            if not self._counts(error):
                raise
            result = self._stale(key) or self._default(default)
            if result is None:
                raise
            if self._observe is not None:
                self._observe(result.source, result.age)
            return result
        self._keep(key, value)
        return Result(value, "live", 0.0, self.name)

    def _keep(self, key: Hashable, value: object) -> None:
        self._kept[key] = (self._clock(), value)
        self._kept.move_to_end(key)
        if len(self._kept) > self.config.max_entries:
            self._kept.popitem(last=False)

    def _stale(self, key: Hashable) -> Result[T] | None:
        found = self._kept.get(key)
        if found is None:
            return None
        age = self._clock() - found[0]
        if age > self.config.max_age:
            del self._kept[key]
            return None
        value: T = found[1]  # type: ignore[assignment]  # what the same key's function returned
        return Result(value, "stale", age, self.name)

    def _default(self, default: T | _Missing) -> Result[T] | None:
        return None if isinstance(default, _Missing) else Result(default, "default", 0.0, self.name)
