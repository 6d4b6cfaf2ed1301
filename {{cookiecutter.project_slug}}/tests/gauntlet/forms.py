"""Forms as they are sent: URL-encoded, or in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
BOUNDARY: Final = "of-the-gauntlet"
"""One for all, so that a request that is sent again is the same request to the byte."""


@dataclass(frozen=True)
class File:
    """What stands in a part that is a file."""

    content: bytes = b"a file of the gauntlet\n"
    name: str = "note.txt"
    kind: str = "text/plain"


def fields_of(body: Mapping[str, Any]) -> Iterator[tuple[str, str | File]]:
    """Yield name and value of every field of a form; what has many is named as often, what is null is left out."""
    for name, value in body.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                yield name, each if isinstance(each, File) else text_of(each)


def text_of(value: Any) -> str:
    """Return a value as a form, a path or a query says it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def urlencoded(fields: Iterable[tuple[str, str | File]]) -> bytes:
    """Return fields as a browser sends them, and files by their names, as it does there."""
    pairs = ((name, value.name if isinstance(value, File) else value) for name, value in fields)
    return "&".join("=".join(quote_plus(text, errors="surrogatepass") for text in pair) for pair in pairs).encode()


def part(name: str, value: str | File, *more: bytes) -> bytes:
    """Return one part: its head, with ``more`` lines in it, and what it holds."""
    head = b'Content-Disposition: form-data; name="%s"' % quoted(name)
    if isinstance(value, File):
        head += b'; filename="%s"\r\nContent-Type: %s' % (quoted(value.name), value.kind.encode())
    content = value.content if isinstance(value, File) else value.encode(errors="surrogatepass")
    return b"\r\n".join([head, *more, b"", content])


def quoted(text: str) -> bytes:
    """Return a name as browsers write it: what would end it or its line is escaped, and nothing else."""
    escaped = text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.encode(errors="surrogatepass")


def multipart(parts: Iterable[bytes], *, boundary: bytes = BOUNDARY.encode(), end: bytes = b"--\r\n") -> bytes:
    """Return parts between their boundaries; ``end`` is what follows the last of them."""
    return b"".join(b"--%s\r\n%s\r\n" % (boundary, each) for each in parts) + b"--%s%s" % (boundary, end)


def encode(kind: str, body: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return a form as it is sent, and its Content-Type."""
    fields = fields_of(body)
    if kind == URLENCODED:
        return urlencoded(fields), kind
    return multipart(part(name, value) for name, value in fields), f"{kind}; boundary={BOUNDARY}"
