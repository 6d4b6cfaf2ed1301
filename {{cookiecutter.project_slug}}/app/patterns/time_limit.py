"""Time limit: a call ends after so many seconds, or when nobody waits for it any more, whichever comes first.

Threat: a service that hangs holds a connection, a task and a caller for as long as it likes. And the cure's own: a
limit that is longer than what the caller has left, a timeout that is taken for a cancellation (or the other way round),
a ``TimeoutError`` from inside that passes for this one.

What it does: :meth:`TimeLimit.call` runs a function for at most ``seconds``, or for what ``remaining`` says is left,
and cancels it then. :class:`TimeLimitExceeded` says how long it was given. A cancellation from outside stays one, and
a ``TimeoutError`` of the function's own is passed on as it is. With no time left the function is not called at all.

What it does not do: end code that never awaits, or that swallows its cancellation. Nothing in one event loop can.

Two of them make the usual pair round a retry: the outer bounds the call with all its attempts, the inner each attempt
(.NET's standard resilience handler has 30 s and 10 s).

To lift it: needs nothing. ``answer = await TimeLimit(2.0).call(fetch, "/rates")``, or ``@TimeLimit(2.0).wrap``.
"""

from __future__ import annotations

import asyncio
import functools
import math
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")


class TimeLimitExceeded(Exception):
    """The call was not done in time; what it did until then is unknown.

    Attributes:
        seconds: that it was given; 0 if it was not even begun.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not done within {seconds:.3g} s")
        self.seconds = seconds


class TimeLimit:
    """Bounds the time of calls. Holds no state, so one serves all of them.

    Args:
        seconds: for one call.

    Raises:
        ValueError: ``seconds`` is not a positive number.
    """

    def __init__(self, seconds: float) -> None:
        if not 0 < seconds < math.inf:
            raise ValueError(f"a time limit is a positive number of seconds, not {seconds}")
        self.seconds = seconds

    async def call(
        self,
        function: Callable[..., Awaitable[T]],
        *args: object,
        remaining: Callable[[], float | None] | None = None,
        **kwargs: object,
    ) -> T:
        """Call ``function`` and return what it returns.

        Args:
            function: what to call.
            args: for it.
            remaining: seconds that its caller has left, None for no end; it shortens the limit and never lengthens it.
            kwargs: for it.

        Raises:
            TimeLimitExceeded: it took longer, or there was no time left.
        """
        seconds = self.seconds
        left = None if remaining is None else remaining()
        if left is not None and left < seconds:
            seconds = left
            if seconds <= 0:
                raise TimeLimitExceeded(0.0)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await function(*args, **kwargs)
        except TimeoutError as error:
            # Its own TimeoutError comes from the block's end and has the cancellation as its cause.
            if limit.expired() and isinstance(error.__cause__, asyncio.CancelledError):
                raise TimeLimitExceeded(seconds) from None
            raise

    def wrap(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Return ``function`` with this limit; usable as a decorator."""

        @functools.wraps(function)
        async def limited(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(lambda: function(*args, **kwargs))

        return limited
