"""Notices that loading a handler changed something that is not the handler's: a guard, a class, a file of people's."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WATCHED: Final = (
    *("app", "fastapi", "starlette", "builtins", "socket", "ssl", "os", "time", "json", "hmac", "secrets", "hashlib"),
    *(
        "logging",
        "asyncio",
        "structlog",
        "pydantic.main",
        "joserfc",
        "sqlalchemy.orm.session",
        "sqlalchemy.sql.elements",
    ),
    *("sqlalchemy.ext.asyncio.session", "uvicorn", "random", "threading", "sys"),
)
"""Modules, with what is below them, that a handler has no business in."""

FILES: Final = ("policy.toml", "admission.toml", "pyproject.toml", ".env", "app/*.py", "app/patterns/*.py")
MAX_ITEMS: Final = 2_000
"""Items of a list or dictionary that are looked at one by one."""

_OWN: Final = "app.handlers"
_PASSING: Final = frozenset(
    {
        *("__dict__", "__weakref__", "__doc__", "__annotations__", "__signature__", "_abc_impl", "__abstractmethods__"),
        *(
            "__warningregistry__",
            "__cached__",
            "last_exc",
            "last_type",
            "last_value",
            "last_traceback",
            "path_importer_cache",
        ),
        *("modules", "__spec__", "__loader__", "_abc_registry", "_abc_cache", "__static_attributes__"),
        # From Python 3.14 on annotations are evaluated when somebody asks for them, and kept in the class (PEP 649).
        *("__annotate__", "__annotate_func__", "__annotations_cache__", "__conditional_annotations__"),
    }
)
"""Names that Python and pydantic fill in by themselves."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What every watched name stood for at one moment.

    Attributes:
        names: dotted name -> what it stood for, by identity.
        files: file -> hash of its content.
    """

    names: dict[str, Any]
    files: dict[str, str]

    @classmethod
    def take(cls) -> Fingerprint:
        """Look at everything now."""
        names: dict[str, Any] = {}
        for module_name, module in list(sys.modules.items()):
            if _is_watched(module_name) and isinstance(module, ModuleType):
                own = module_name.startswith("app.")
                for name, value in _members(module):
                    names[f"{module_name}.{name}"] = _mark(value, deep=own)
                    if isinstance(value, type) and value.__module__ == module_name:
                        for member, inner in _members(value):
                            names[f"{module_name}.{name}.{member}"] = _mark(inner, deep=own)
        return cls(names, {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in _files()})

    def changed(self, now: Fingerprint) -> list[str]:
        """Return what is no longer as it was, and what was added to the service's own modules and classes."""
        loaded = {name.rpartition(".")[0] for name in self.names}
        found = [name for name, mark in self.names.items() if now.names.get(name) != mark]
        found += [
            name
            for name in now.names.keys() - self.names.keys()
            if name.startswith("app.") and name.rpartition(".")[0] in loaded
        ]
        found += [path for path in self.files.keys() | now.files.keys() if self.files.get(path) != now.files.get(path)]
        return sorted(found)[:20]


def _is_watched(name: str) -> bool:
    if name == _OWN or name.startswith(f"{_OWN}."):
        return False
    return any(name == watched or name.startswith(f"{watched}.") for watched in WATCHED)


def _members(holder: ModuleType | type) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(holder).items()):
        if name not in _PASSING and not name.startswith("__pydantic") and not isinstance(value, ModuleType):
            yield name, value


def _mark(value: Any, *, deep: bool) -> Any:
    """Return something that differs when the value was exchanged; with ``deep`` also when it was changed in place.

    Libraries fill their own tables when they are used; the service's modules have none that importing may change.
    """
    if isinstance(value, FunctionType):
        return id(value), id(value.__code__), id(value.__defaults__), id(getattr(value, "__wrapped__", None))
    if isinstance(value, bool | int | float | str | bytes | None):
        return repr(value) if deep or not isinstance(value, int) else ""  # a NaN is not equal to itself
    if not deep or not isinstance(value, list | tuple | dict | set | frozenset) or len(value) > MAX_ITEMS:
        return id(value)
    if isinstance(value, dict):
        return id(value), tuple((id(key), id(item)) for key, item in value.items())
    return id(value), tuple(sorted(map(id, value)))


def _files() -> list[Path]:
    return [path for pattern in FILES for path in Path.cwd().glob(pattern) if path.is_file()]
