"""From the file's bytes to TOML: encodings, sizes and syntax errors, each with the line to write."""

from __future__ import annotations

import re
import stat
import tomllib
from typing import TYPE_CHECKING, NoReturn

from app.policy.model import CLOSED, MAX_FILE, MAX_LINE, PolicyError, PolicyProblem
from app.policy.route_key import METHODS
from app.policy.write import comment, printable, toml_header, toml_line, toml_string

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIRST_ENTRY = f"{toml_header('routes', 'GET /v1/things')}\n{toml_line('allow', [CLOSED])}"

_AT = re.compile(r" \(at line ([0-9]+), column ([0-9]+)\)$")
_AT_END = " (at end of document)"
_MESSAGE = 200  # characters of tomllib's message: it may quote a key

_ROUTE_HEADER = re.compile(rf"\s*\[+\s*routes\s*\.\s*[\"']?((?:{'|'.join(METHODS)})\s+/[^\s\"'\]]*)[\"']?\s*\]*\s*")
_PAIR = re.compile(r"(\s*[A-Za-z0-9_-]+\s*)[=:]\s*(.*?)\s*(#.*)?")
_SEARCHED = 200  # lines around the one where the parser gave up
_CORRECTED = 500  # characters of a line that is looked at


def read_document(file: Path) -> tuple[str, dict[str, object]]:
    """Return a TOML file's text, with line feeds only, and its content.

    Raises:
        PolicyError: it cannot be read, is too large, is not UTF-8 or is not TOML.
    """
    text = _decode(file, _read(file)).replace("\r\n", "\n")
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            _fail(file, f"a line has at most {MAX_LINE} characters", "# break the line up", line=number)
    try:
        return text, tomllib.loads(text)
    except RecursionError:
        _fail(file, "the values are nested too deep for any policy", _FIRST_ENTRY)
    except ValueError as error:  # TOMLDecodeError, and whatever a number or a date out of range raises
        raise PolicyError([_syntax_problem(file, text, str(error))]) from None


def _read(file: Path) -> bytes:
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            _fail(file, "this is a directory, not a policy file", _FIRST_ENTRY)
        if not stat.S_ISREG(mode):  # reading a pipe or a device might never end
            _fail(file, "this is not a regular file", _FIRST_ENTRY)
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
    except FileNotFoundError:
        _fail(file, "there is no such file; without a policy every route is closed", _FIRST_ENTRY)
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _fail(file, f"the file cannot be read: {reason}", _FIRST_ENTRY)
    if len(content) > MAX_FILE:
        _fail(file, f"the file is larger than {MAX_FILE} bytes: that is no policy file", _FIRST_ENTRY)
    return content


def _decode(file: Path, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        first = _first_line(content[:1000].decode("utf-16", errors="replace"))
        _fail(file, "the file is UTF-16; save it as UTF-8", printable(first), column=1)
    if content.startswith(b"\xef\xbb\xbf"):
        first = _first_line(content[:1000].decode("utf-8-sig", errors="replace"))
        _fail(file, "the file begins with a byte order mark; save it as UTF-8 without one", printable(first), column=1)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        # Latin-1 is the usual culprit, and reads any byte: the line as it was probably meant.
        _fail_at(file, content.decode("latin-1"), error.start, "the file is not UTF-8 here; save it as UTF-8")
    if "\0" in text:
        _fail_at(file, text, text.index("\0"), "the file has a NUL character here")
    return text


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")


def _fail_at(file: Path, text: str, at: int, message: str) -> NoReturn:
    """Fail at one character; the line to write is this one without what does not print."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0][:MAX_LINE]
    fix = "".join(char for char in line if char.isprintable()).strip()
    _fail(file, message, fix, line=text.count("\n", 0, at) + 1, column=at - start + 1)


def _fail(file: Path, message: str, fix: str, *, line: int = 1, column: int | None = None) -> NoReturn:
    name = printable(str(file))
    raise PolicyError([PolicyProblem(name, line, message, fix, column)])


def _syntax_problem(file: Path, text: str, message: str) -> PolicyProblem:
    """Return the parser's complaint; Python 3.14 has its position as attributes, all versions have it in the text."""
    lines = text.split("\n")
    at = _AT.search(message)
    number, column = (int(at[1]), int(at[2])) if at else (len(text.rstrip().split("\n")), None)
    message = printable(_AT.sub("", message).removesuffix(_AT_END), limit=_MESSAGE)
    if message.startswith("Cannot "):  # two tables or keys of one name: this one should go
        return PolicyProblem(printable(str(file)), number, f"not TOML: {message}", _second(lines, number), column)
    begun = _beginning(lines, number)
    fix = next(_corrections(lines[begun - 1][:_CORRECTED]), comment(printable(lines[begun - 1].strip())))
    where = "" if begun == number else f"; see line {begun}"
    return PolicyProblem(printable(str(file)), number, f"not TOML: {message}{where}", fix, column)


def _beginning(lines: list[str], number: int) -> int:
    """Return the line of the mistake: the parser may give up below it, e.g. after a bracket that was not closed."""
    for above in range(number, max(number - _SEARCHED, 0), -1):
        if not _is_toml(lines[above - 1]):
            return above
    return number


def _second(lines: list[str], number: int) -> str:
    """Return the line, or the table that begins with it, commented out."""
    shown = [lines[number - 1]]
    if shown[0].lstrip().startswith("["):
        for line in lines[number : number + _SEARCHED]:
            if not line.strip() or line.startswith("["):
                break
            shown.append(line)
    return comment("\n".join(printable(line.strip()) for line in shown))


def _corrections(line: str) -> Iterator[str]:
    """Yield ways in which a line was probably meant, if they are TOML."""
    candidates: list[str] = []
    header = _ROUTE_HEADER.fullmatch(line)
    pair = _PAIR.fullmatch(line)
    if header:
        candidates.append(toml_header("routes", header[1]))
    elif pair:
        key, value = f"{pair[1].strip()} =", pair[2]
        candidates += [f"{key} {value}", f"{key} {value.lower()}"]
        if value.startswith("["):
            candidates += [f"{key} {value}]", f'{key} {value}"]', f"{key} {_quoted_items(value)}"]
        else:
            candidates.append(f"{key} {toml_string(value.strip(chr(34) + chr(39)))}")
    else:
        candidates += [f"{line.strip()}]", f'{line.strip()}"]']
    yield from (candidate for candidate in candidates if candidate != line.strip() and _is_toml(candidate))


def _quoted_items(value: str) -> str:
    items = (item.strip(" \"'") for item in value.strip("[] ").split(","))
    return "[" + ", ".join(toml_string(item) for item in items if item) + "]"


def _is_toml(line: str) -> bool:
    try:
        tomllib.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
