"""TOML to paste: strings, values, lines and headers, all on one line and without control characters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

_MAX_DEPTH = 4  # a value nested deeper is not shown in full
_MAX_LINE = 1_000  # characters of a line to paste
_MAX_SHOWN = 60  # characters of a value inside a message


def printable(text: str, *, limit: int | None = None) -> str:
    """Return ``text`` with whatever does not print escaped, cut to ``limit`` characters."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def toml_string(text: str) -> str:
    """Return ``text`` as a TOML basic string."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else _escape(char) for char in quoted) + '"'


def toml_value(value: object, *, depth: int = 0) -> str:
    """Return a parsed TOML value as TOML on one line; what is nested too deep becomes ``"..."``."""
    if depth > _MAX_DEPTH:
        return '"..."'
    if isinstance(value, Mapping):
        pairs = (f"{toml_key(key)} = {toml_value(item, depth=depth + 1)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item, depth=depth + 1) for item in value) + "]"
    return _toml_scalar(value)


def _toml_scalar(value: object) -> str:
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, int) and value.bit_length() > _MAX_LINE:  # str() refuses thousands of digits
        return '"..."'
    return str(value)


def toml_key(key: str) -> str:
    """Return ``key`` bare if TOML allows it, else quoted."""
    bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
    return key if bare else toml_string(key)


def toml_line(key: str, value: object) -> str:
    """Return ``key = value``; a value too long to show is left as an ellipsis in a comment."""
    line = f"{toml_key(key)} = {toml_value(value)}"
    return line if len(line) <= _MAX_LINE else f"# {toml_key(printable(key, limit=_MAX_SHOWN))} = ..."


def toml_header(*keys: str) -> str:
    """Return a table's header, e.g. ``[routes."GET /livez"]``."""
    header = "[" + ".".join(map(toml_key, keys)) + "]"
    return header if len(header) <= _MAX_LINE else f"# {header[:_MAX_SHOWN]}..."


def comment(lines: str) -> str:
    """Return ``lines`` commented out: the literal way to say that they should go."""
    return "\n".join(line if line.startswith("#") else f"# {line}" for line in lines.split("\n"))


def shown(value: object) -> str:
    """Return a value for a message: short, on one line, quoted if it is text."""
    return printable(toml_value(value), limit=_MAX_SHOWN)


def _escape(char: str) -> str:
    """Return a character as TOML escapes it: 1.0 knows no two-digit form."""
    code = ord(char)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"  # noqa: PLR2004 - TOML's two forms
