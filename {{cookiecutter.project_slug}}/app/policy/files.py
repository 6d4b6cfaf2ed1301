"""``files = { read = [...], write = [...] }``: the places of the disk that a handler or a job may touch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.policy.model import MAX_FILES, MAX_PATH, Files
from app.policy.report import Section
from app.policy.values import parse_texts
from app.policy.write import shown, toml_line

if TYPE_CHECKING:
    from pathlib import Path

FILE_KEYS = ("read", "write")

_PEOPLES = ("admission", "app", "migrations", "tests", ".env", "policy.toml", "pyproject.toml", "uv.lock")
"""What people own in a project: no handler writes it."""


def read_files(section: Section) -> Files:
    """Return what an entry opens; nothing unless it says so."""
    value = section.table.get("files", {})
    if not isinstance(value, dict):
        message = f"files is a table, not {shown(value)}"
        section.add("files", message, toml_line("files", {"read": []}))
        return Files()
    inner = Section(section.report, (*section.path, "files"), value)
    inner.unknown_keys(FILE_KEYS, {})
    return Files(read=_paths(inner, "read"), write=_paths(inner, "write"))


def _paths(section: Section, key: str) -> tuple[str, ...]:
    paths: list[str] = section.read(key, parse_texts, [])
    if len(paths) > MAX_FILES:
        section.add(key, f"{key}: at most {MAX_FILES} paths", toml_line(key, []))
        return ()
    good = [path for path in paths if _mistake(path) is None]
    for index, path in enumerate(paths):
        mistake = _mistake(path)
        if mistake is not None:
            section.report.add((*section.path, key, index), f"{key}: {shown(path)} {mistake}", toml_line(key, good))
    return tuple(good)


def _mistake(path: str) -> str | None:
    parts = path.split("/")
    if not path.strip("/. ") or not path.isprintable() or len(path) > MAX_PATH:
        return f"is no file or folder: write a path of at most {MAX_PATH} characters, such as data/exports"
    if ".." in parts or "~" in parts[0]:
        return "leads elsewhere: write it without .. and ~"
    return None


def misplaced(files: Files, root: Path) -> list[str]:
    """Return what is wrong with the places that an entry opens, as one sentence each.

    Args:
        files: what the entry opens.
        root: the project's folder, which relative paths are relative to.
    """
    problems = []
    root = root.resolve()
    for kind, paths in (("read", files.read), ("write", files.write)):
        for path in paths:
            place = (root / path).resolve()
            if not place.exists():
                problems.append(f'{kind} = ["{path}"] is not there; make it, or take the line out')
            elif root.is_relative_to(place):
                problems.append(f'{kind} = ["{path}"] holds the whole project, its secrets too; name a folder in it')
            elif kind == "write" and any(place.is_relative_to(root / name) for name in _PEOPLES):
                problems.append(f'write = ["{path}"] is what people own; name a folder for data')
    return problems
