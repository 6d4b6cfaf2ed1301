"""Remembers what a layer found in a content, so that only what changed is judged again.

The key is a hash of the content and of the gate itself: a changed rule forgets everything. An entry that does not read
is as good as none. Code that runs on this machine could write entries of its own: CI starts with an empty cache, or
says ``--no-cache``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import tempfile
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from admission.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER: Final = ".admission-cache"
MAX_ENTRIES: Final = 1_000
"""Entries kept; the least recently used go first. One has about 1 KiB."""

PACKAGE: Final = Path(__file__).parent


class Cache:
    """Findings by content.

    Args:
        folder: where entries lie; None remembers nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def key(self, layer: str, *contents: bytes) -> str:
        """Return the name under which a layer's findings about these contents are kept."""
        digest = hashlib.sha256(f"{layer}\0{gate_hash()}".encode())
        for content in contents:
            digest.update(len(content).to_bytes(8, "big"))
            digest.update(content)
        return digest.hexdigest()

    def get(self, key: str) -> list[Finding] | None:
        """Return what was found before, or None."""
        if self._folder is None:
            return None
        path = self._folder / f"{key}.json"
        try:
            found = [Finding(**entry) for entry in json.loads(path.read_bytes())]
            path.touch()
        except (OSError, ValueError, TypeError):
            return None
        return found if all(_is_whole(finding) for finding in found) else None

    def put(self, key: str, findings: Iterable[Finding]) -> None:
        """Remember findings; a disk that is full or read-only only costs time."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            (self._folder / ".gitignore").write_text("*\n", "utf-8")
            with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as stream:
                json.dump([asdict(finding) for finding in findings], stream)
            Path(stream.name).replace(self._folder / f"{key}.json")
            self._prune()

    def _prune(self) -> None:
        assert self._folder is not None  # noqa: S101 - only put calls it
        entries = list(self._folder.glob("*.json"))
        if len(entries) > MAX_ENTRIES:
            entries.sort(key=lambda path: path.stat().st_mtime)
            for path in entries[: len(entries) - MAX_ENTRIES // 2]:
                path.unlink(missing_ok=True)


def _is_whole(finding: Finding) -> bool:
    return isinstance(finding.line, int) and isinstance(finding.rule, str) and finding.severity in {"refuse", "remark"}


@lru_cache(maxsize=1)
def gate_hash() -> str:
    """Return a hash of the gate's own code and of the Python that runs it."""
    return tree_hash([PACKAGE], extra=sys.version)


def tree_hash(roots: Iterable[Path], extra: str = "") -> str:
    """Return a hash of every file below some folders, or of files, by name and content."""
    digest = hashlib.sha256(extra.encode())
    for root in roots:
        files = [root] if root.is_file() else sorted(root.rglob("*"))
        for path in files:
            if path.is_file() and "__pycache__" not in path.parts:
                data = path.read_bytes()
                digest.update(f"{path.relative_to(root.parent)}\0{len(data)}\0".encode())
                digest.update(data)
    return digest.hexdigest()
