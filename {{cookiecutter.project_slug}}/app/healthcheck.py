"""Is a process of this service well? Asked by an image without a shell, so with nothing but the standard library.

One that serves answers at /livez. A worker serves nothing, so it touches a file as long as its loop turns.
"""

from __future__ import annotations

import asyncio
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BEAT_SECONDS: Final = 5.0
"""Between two touches of a worker's file."""

LATE_SECONDS: Final = 30.0
"""Age at which that file says that the worker's loop stands still: a busy loop misses one touch, not six."""


async def keep_beating(path: Path) -> None:
    """Touch a file every five seconds until cancelled: it grows old when the loop stands still."""
    while True:
        path.touch()  # noqa: ASYNC240 - its own file, on a disk in memory; a thread would beat without the loop
        await asyncio.sleep(BEAT_SECONDS)


def beats(path: Path, now: Callable[[], float] = time.time) -> str | None:
    """Return why the worker that touches a file is unwell, or None.

    Args:
        path: the file.
        now: seconds since the epoch.
    """
    try:
        age = now() - path.stat().st_mtime
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None if age <= LATE_SECONDS else f"{path}: touched {age:.0f} s ago"


def why_unwell(url: str, timeout: float) -> str | None:
    """Return why what answers at a URL is unwell, or None.

    Args:
        url: of /livez or /readyz.
        timeout: seconds.
    """
    if not url.startswith(("http://", "https://")):
        return f"{url}: write http:// or https://"
    try:
        # Straight: a proxy that the environment names for calls that leave knows nothing of this host's loopback.
        with build_opener(ProxyHandler({})).open(url, timeout=timeout):
            return None
    except HTTPError as error:
        error.close()
        return f"{url}: answered {error.code}"
    except (URLError, HTTPException, OSError, ValueError) as error:
        return f"{url}: {getattr(error, 'reason', None) or error}"
