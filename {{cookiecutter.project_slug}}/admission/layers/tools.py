"""Runs the engines that others keep, ruff and mypy, bounded in time and output, over copies that cannot talk back.

A comment in a handler (``# noqa``, ``# type: ignore``, ``# mypy: ...``) would switch an engine off from inside, so the
engines see the file without its comments; every line and column stays where it was.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from admission.files import Source

MAX_OUTPUT: Final = 8 * 1024 * 1024
"""Bytes read of what an engine says: 200 bytes a finding, 40,000 findings."""

_NOT_NAME: Final = re.compile(r"\W")


class EngineFailed(Exception):
    """An engine is not installed, broke, or took too long; it judged nothing."""


def run_engine(name: str, arguments: Iterable[str], root: Path, seconds: float) -> str:
    """Run ``python -m name`` and return what it wrote to standard output.

    Raises:
        EngineFailed: it could not do its work. Finding faults is no failure: ruff and mypy end with 1 then.
    """
    command = [sys.executable, "-m", name, *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=seconds, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired as error:
        raise EngineFailed(f"{name} took longer than {seconds:g} s") from error
    said = done.stderr.decode("utf-8", "replace").strip()
    if f"No module named {name}" in said:
        raise EngineFailed(f"{name} is not installed here; `uv sync` installs it")
    if done.returncode not in {0, 1} or len(done.stdout) > MAX_OUTPUT:
        raise EngineFailed(f"{name} ended with {done.returncode}: {said[-500:]}")
    return done.stdout.decode("utf-8", "replace")


def copies(sources: Iterable[Source], folder: Path) -> dict[str, Source]:
    """Write each source, without its comments, under a name of its own; return path -> source."""
    written = {}
    for number, source in enumerate(sources):
        if source.text is not None:
            path = folder / f"judged_{number}_{_NOT_NAME.sub('_', source.path.stem)}.py"
            path.write_text(without_comments(source.text), "utf-8", newline="")
            written[str(path)] = source
    return written


def without_comments(text: str) -> str:
    """Return the text with every comment replaced by spaces; as it is where it does not parse."""
    lines = text.splitlines(keepends=True)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.type == tokenize.COMMENT:
                (row, start), (_, end) = token.start, token.end
                line = lines[row - 1]
                lines[row - 1] = line[:start] + " " * (end - start) + line[end:]
    except (tokenize.TokenError, SyntaxError, IndexError):
        return text
    return "".join(lines)
