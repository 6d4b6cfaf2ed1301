"""Reads the files that are to be judged, whatever they are, and refuses the ones that cannot be read as they would run.

What the gate judges must be what Python executes. So a file has to be a regular one of bounded size, in UTF-8, without
a declared encoding that turns harmless comments into code, and without characters that show people another order of
the text than Python reads.
"""

from __future__ import annotations

import ast
import re
import stat
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from admission.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

HOMES: Final = ("handlers", "jobs")
"""Folders of ``app`` in which generated code lies."""

NOT_UTF8: Final = "BW902"
TOO_LARGE: Final = "BW903"
NOT_A_FILE: Final = "BW904"

MAX_BYTES: Final = 256 * 1024
"""Bytes of one handler file. The longest one that we know of has 40 KiB; nobody reviews more than this."""

MAX_FILES: Final = 2_000
"""Files of one run; a service has at most as many routes."""

_CODING: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""PEP 263: a comment in one of the first two lines decides how Python reads the rest."""

_PLAIN: Final = frozenset({"utf-8", "utf8", "ascii", "us-ascii"})
_DIRECTIONS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that reorder what is shown (CVE-2021-42574, "Trojan Source")."""

_HELPER: Final = re.compile(rf"app\.({'|'.join(HOMES)})\.(_\w+)(?:\.|$)")
"""The dotted name of a helper, or of something in it."""

_IMPORTABLE: Final = (".so", ".pyd", ".pyc", ".dll")


@dataclass(frozen=True, slots=True)
class Source:
    """One file to judge.

    Attributes:
        path: where it lies.
        name: what reports call it: relative to the service where it lies inside.
        mounted: whether it lies among the handlers or the jobs, so that the service loads it by itself.
        data: its bytes; empty if it could not be read.
        text: its text, with line ends as they are; None if a finding says why there is none.
        findings: what is wrong with the file itself.
    """

    path: Path
    name: str
    mounted: bool
    data: bytes
    text: str | None
    findings: tuple[Finding, ...] = ()


class NothingToJudge(Exception):
    """A path that was named is not there, or holds no Python file."""


def find_sources(paths: Iterable[Path], root: Path) -> list[Source]:
    """Read every file at or below the paths, and the helpers that these import: what a helper does, its handler does.

    Args:
        paths: files and folders; none: the service's handlers and jobs.
        root: the service's folder.

    Raises:
        NothingToJudge: a path does not exist, a named folder has no Python file, or there are too many files.
    """
    homes = [root / "app" / name for name in HOMES]
    found: dict[Path, Source] = {}
    for path in paths or [home for home in homes if home.exists()]:
        if not path.exists() and not path.is_symlink():
            raise NothingToJudge(f"{path}: there is no such file or folder")
        below = list(_below(path)) if path.is_dir() else [path]
        if not below and path.absolute() not in {home.absolute() for home in homes}:
            raise NothingToJudge(f"{path}: no Python file here")
        for file in below:
            found.setdefault(file.absolute(), read_source(file, root, homes))
        if len(found) > MAX_FILES:
            raise NothingToJudge(f"more than {MAX_FILES} files; name fewer paths")
    waiting = list(found.values())
    while waiting and len(found) <= MAX_FILES:
        for helper in _helpers(waiting.pop(), root):
            if helper.absolute() not in found:
                found[helper.absolute()] = read_source(helper, root, homes)
                waiting.append(found[helper.absolute()])
    return list(found.values())


def _helpers(source: Source, root: Path) -> Iterator[Path]:
    """Yield the files of the helpers (`app/handlers/_NAME.py`) that a file imports, whichever way it says so."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.text or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    said: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            said |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level <= 1:
            home = f"app.{source.path.absolute().parent.name}" if node.level else ""
            origin = ".".join(part for part in (home, node.module) if part)
            said |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    for name in sorted(said):
        match = _HELPER.match(name)
        path = root / "app" / match[1] / f"{match[2]}.py" if match is not None else None
        if path is not None and path.exists():
            yield path


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts or path.is_dir():
            continue
        if path.suffix == ".py" or path.name.endswith(_IMPORTABLE):
            yield path


def read_source(path: Path, root: Path, homes: Sequence[Path]) -> Source:
    """Read one file; what is wrong with it is in its findings. Never raises for what the file is."""
    absolute = path.absolute()
    name = str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(path)
    home = next((home for home in homes if absolute.is_relative_to(home.absolute())), None)
    mounted = home is not None

    def refused(rule: str, line: int, message: str, mend: str, data: bytes = b"") -> Source:
        finding = Finding(rule, name, line, 1, line, 2, message, mend, "refuse")
        return Source(path, name, mounted, data, None, (finding,))

    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return refused(NOT_A_FILE, 1, "This is not a regular file.", "Put a plain Python file here.")
        inside = home is None or path.resolve().is_relative_to(home.resolve())
        if not inside:
            return refused(
                NOT_A_FILE,
                1,
                "This link leads out of the handlers' folder, so what it holds can change without a trace here.",
                "Put the file itself here.",
            )
        if path.suffix != ".py":
            return refused(
                NOT_A_FILE, 1, "Python would load this compiled file, which nobody can judge.", "Put its source here."
            )
        if status.st_size > MAX_BYTES:
            return refused(
                TOO_LARGE,
                1,
                f"The file has {status.st_size} bytes; more than {MAX_BYTES} are not judged.",
                "Split it by resource; data belongs into the database or a file of its own.",
            )
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return refused(NOT_A_FILE, 1, f"The file cannot be read: {error.strerror}.", "Make it a readable file.")
    return _decoded(path, name, data, mounted=mounted)


def _decoded(path: Path, name: str, data: bytes, *, mounted: bool) -> Source:
    def refused(line: int, message: str, mend: str) -> Source:
        finding = Finding(NOT_UTF8, name, line, 1, line, 2, message, mend, "refuse")
        return Source(path, name, mounted, data, None, (finding,))

    for number, head in enumerate(data.splitlines()[:2], 1):
        declared = _CODING.match(head)
        if declared and declared[1].decode("ascii", "replace").lower().replace("_", "-") not in _PLAIN:
            return refused(
                number,
                "The file declares an encoding of its own, with which Python would run another text than is shown.",
                "Write it in UTF-8 and remove the declaration.",
            )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return refused(
            line, f"The file is not UTF-8: byte {error.start} is {data[error.start]:#04x}.", "Save it as UTF-8."
        )
    direction = _DIRECTIONS.search(text)
    if direction is not None:
        line = text.count("\n", 0, direction.start()) + 1
        return refused(
            line,
            "An invisible character makes this line look different from what Python reads.",
            "Remove it; in a text write it as an escape.",
        )
    return Source(path, name, mounted, data, text)
