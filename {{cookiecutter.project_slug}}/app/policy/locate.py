"""Where a key stands: ``tomllib`` gives values without positions, so a second, lenient pass finds the lines.

It runs over text that ``tomllib`` has accepted. It never raises: what it cannot follow falls back to the line
of the table around it, and in the end to line 1.
"""

from __future__ import annotations

import bisect
import contextlib
import re
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""Table, key and item: ``("routes", "GET /livez", "allow", 0)``."""

_MAX_DEPTH = 8  # the policy's own paths have at most four parts; a path of thousands must not cost their square

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")


class Positions:
    """The line of each key of one document."""

    def __init__(self, lines: Mapping[KeyPath, int]) -> None:
        self._lines = lines

    def line(self, path: KeyPath) -> int:
        """Return the line (from 1) of ``path``, or of the nearest table around it that was found."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return 1


def locate(text: str) -> Positions:
    """Return the positions of all keys in a TOML document."""
    scanner = _Scanner(text)
    with contextlib.suppress(RecursionError):  # nested too deep: the lines found so far are still right
        scanner.run()
    return Positions(scanner.lines)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def run(self) -> None:
        table: KeyPath = ()
        while True:
            self._skip(_GAP)
            start = self._at
            if start == len(self._text):
                return
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
            if self._at == start:  # not TOML: there is nothing more to learn
                return

    def _header(self) -> KeyPath:
        start = self._at
        while self._peek("["):
            self._at += 1
        path = self._key()
        self._record(path, start)
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end
        return path

    def _pair(self, table: KeyPath) -> None:
        start = self._at
        path = table + self._key()
        self._record(path, start)
        if self._peek("="):
            self._at += 1
            self._value(path)

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            match = _KEY.match(self._text, self._at)
            if match is None:
                break
            self._at = match.end()
            parts.append(_unquote(match[0]))
            self._skip(_BLANK)
            if not self._peek("."):
                break
            self._at += 1
        return tuple(parts)

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        if self._peek("["):
            self._items(path, "]")
        elif self._peek("{"):
            self._items(path, "}")
        else:
            match = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            if match is not None:
                self._at = match.end()

    def _items(self, path: KeyPath, closing: str) -> None:
        """Walk over an array or an inline table, from its opening bracket to past its closing one."""
        self._at += 1
        index = 0
        while True:
            self._skip(_GAP)
            start = self._at
            if self._peek(closing):
                self._at += 1
                return
            if self._peek(","):
                self._at += 1
                index += 1
            elif closing == "}":
                self._pair(path)
            else:
                self._record((*path, index), start)
                self._value((*path, index))
            if self._at == start:
                return

    def _record(self, path: KeyPath, at: int) -> None:
        line = bisect.bisect_left(self._ends, at) + 1
        for length in range(1, min(len(path), _MAX_DEPTH) + 1):
            self.lines.setdefault(path[:length], line)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _peek(self, char: str) -> bool:
        return self._text.startswith(char, self._at)


def _unquote(token: str) -> str:
    if token[0] not in "\"'":
        return token
    if token[0] == "'" or "\\" not in token:
        return token[1:-1]
    try:
        return str(tomllib.loads(f"key = {token}")["key"])
    except tomllib.TOMLDecodeError:
        return token[1:-1]
