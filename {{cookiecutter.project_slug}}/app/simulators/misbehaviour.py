"""What a service can do to those who call it, byte by byte: for a simulator that can be told to.

Each of these takes the writer of a connection whose request has been read, sends what it sends, and returns when the
other side has left or there is nothing more to say. All of them end: a client without limits must not keep a
simulator busy for ever.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

PATIENCE: Final = 120.0
"""Seconds that a hanging or dripping answer lasts at most; longer than any client of this service waits."""

ENDLESS: Final = 10 * 1024**3
"""Bytes that stand for no end: 10 GiB."""

_CHUNK: Final = b"x" * 65536
_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


async def hang(_writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Never answer."""
    await asyncio.sleep(PATIENCE)


async def half_close(writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Promise a hundred bytes, send ten, and close."""
    await _send(writer, _OK + b"content-length: 100\r\n\r\n" + b'{"id": "ch')


async def reset(_writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Close without a word."""


async def garbage(writer: asyncio.StreamWriter, random: random.Random) -> None:
    """Send what is not HTTP."""
    await _send(writer, b"\x00\xff" + random.randbytes(510))


async def html(writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Send a login page with status 200, as a proxy between the two might."""
    page = b"<!doctype html><title>Sign in</title><p>Your session has expired."
    await _send(writer, b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(page) + page)


async def redirect(writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Point to where a cloud keeps its machines' credentials."""
    location = b"http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    await _send(writer, b"HTTP/1.1 302 Found\r\nlocation: " + location + b"\r\ncontent-length: 0\r\n\r\n")


async def gzip_bomb(writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Send 1 MiB that becomes a gigabyte."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    await _send(writer, _OK + b"content-encoding: gzip\r\nconnection: close\r\n\r\n")
    block = bytes(1024 * 1024)
    for _ in range(1024):
        await _send(writer, squeeze.compress(block))
        await asyncio.sleep(0)
    await _send(writer, squeeze.flush())


async def endless_headers(writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Begin an answer whose head does not end."""
    await _send(writer, _OK)
    for number in range(ENDLESS // 1024):
        await _send(writer, b"x-header-%d: %s\r\n" % (number, b"x" * 1000))


async def endless_body(writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Send ten gigabytes."""
    await _send(writer, _OK + b"connection: close\r\n\r\n")
    for _ in range(ENDLESS // len(_CHUNK)):
        await _send(writer, _CHUNK)


async def drip(writer: asyncio.StreamWriter, _random: random.Random) -> None:
    """Send one byte a second."""
    await _send(writer, _OK + b"content-length: 1000\r\n\r\n")
    for _ in range(int(PATIENCE)):
        await _send(writer, b" ")
        await asyncio.sleep(1.0)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


MISBEHAVIOURS: Final[dict[str, Callable[[asyncio.StreamWriter, random.Random], Awaitable[None]]]] = {
    answer.__name__: answer
    for answer in (
        hang, half_close, reset, garbage, html, redirect, gzip_bomb, endless_headers, endless_body, drip,
    )
}  # fmt: skip
