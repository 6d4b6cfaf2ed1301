"""Says what `cruft update` does not: it ends well even where it left a conflict in a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.commands import succeed

if TYPE_CHECKING:
    from pathlib import Path

MARKER = re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE)


def conflicts(project: Path) -> list[str]:
    """Return the files in which an update left conflict markers, and the .rej files that it wrote."""
    listed = succeed("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=project)
    paths = [project / name for name in sorted(set(filter(None, listed.split("\0"))))]
    return [
        str(path.relative_to(project))
        for path in paths
        if path.is_file() and (path.suffix == ".rej" or MARKER.search(path.read_bytes()))
    ]


def assert_merged(project: Path) -> None:
    """Check that an update left nothing for a person to resolve.

    Raises:
        AssertionError: it did; the text names every file.
    """
    left = conflicts(project)
    assert not left, f"cruft update left conflicts, although it reported success: {', '.join(left)}"
