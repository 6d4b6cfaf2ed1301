"""One name for each thing: libraries export the same object under many paths."""

from __future__ import annotations

import builtins
from functools import lru_cache
from typing import Final

BUILTINS: Final = frozenset(dir(builtins))

_PREFIXES: Final = {
    "httpx2": "httpx",
    "_io.open": "builtins.open",
    "io.open": "builtins.open",
    "posixpath": "os.path",
    "ntpath": "os.path",
    "posix": "os",
    "pathlib.PosixPath": "pathlib.Path",
    "pathlib.PurePath": "pathlib.Path",
    "pathlib.PurePosixPath": "pathlib.Path",
    "typing_extensions": "typing",
    "ujson": "json",
    "simplejson": "json",
    "starlette.requests": "fastapi",
    "fastapi.requests": "fastapi",
    "starlette.responses.Response": "fastapi.Response",
    "fastapi.responses.Response": "fastapi.Response",
    "starlette.responses": "fastapi.responses",
    "starlette.background": "fastapi",
    "fastapi.background": "fastapi",
    "starlette.exceptions.HTTPException": "fastapi.HTTPException",
    "fastapi.exceptions.HTTPException": "fastapi.HTTPException",
    "starlette.datastructures": "fastapi",
    "fastapi.datastructures": "fastapi",
    "fastapi.param_functions": "fastapi",
    "fastapi.params": "fastapi",
    "fastapi.routing.APIRouter": "fastapi.APIRouter",
    "fastapi.applications.FastAPI": "fastapi.FastAPI",
    "starlette.applications.Starlette": "fastapi.FastAPI",
    "starlette.routing.Router": "fastapi.APIRouter",
    "starlette.concurrency": "fastapi.concurrency",
    "starlette.middleware": "fastapi.middleware",
    "starlette.staticfiles": "fastapi.staticfiles",
    "sqlalchemy.sql.expression": "sqlalchemy",
    "sqlalchemy.sql": "sqlalchemy",
    "sqlalchemy.future": "sqlalchemy",
    "sqlalchemy.ext.asyncio.session.AsyncSession": "sqlalchemy.ext.asyncio.AsyncSession",
    "sqlmodel.ext.asyncio.session.AsyncSession": "sqlalchemy.ext.asyncio.AsyncSession",
    "app.dependencies.Session": "sqlalchemy.ext.asyncio.AsyncSession",
    "app.database.Session": "sqlalchemy.ext.asyncio.AsyncSession",
    "sqlmodel.Session": "sqlalchemy.orm.Session",
    "sqlalchemy.orm.session.Session": "sqlalchemy.orm.Session",
    "sqlmodel.select": "sqlalchemy.select",
    "sqlmodel.text": "sqlalchemy.text",
    "pydantic.fields.Field": "pydantic.Field",
    "pydantic.main.BaseModel": "pydantic.BaseModel",
    "pydantic.types": "pydantic",
    "pydantic.networks": "pydantic",
    "pydantic.config": "pydantic",
    "re2": "re",
    "regex": "re",
    "asyncio.tasks": "asyncio",
    "asyncio.subprocess.create_subprocess_shell": "asyncio.create_subprocess_shell",
    "asyncio.subprocess.create_subprocess_exec": "asyncio.create_subprocess_exec",
    "asyncio.events": "asyncio",
    "multiprocess": "multiprocessing",
    "jose": "jwt",
    "jose.jwt": "jwt",
    "yaml.loader": "yaml",
    "cPickle": "pickle",
    "_pickle": "pickle",
    "pickle5": "pickle",
    "cloudpickle": "pickle",
    "dill": "pickle",
    "random.SystemRandom": "secrets.SystemRandom",
}


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """Return the one name by which the rules know a dotted name."""
    head = name
    while head:
        found = _PREFIXES.get(head)
        if found is not None:
            return found + name[len(head) :]
        head = head.rpartition(".")[0]
    return name


def last(name: str) -> str:
    """Return the last part of a dotted name."""
    return name.rpartition(".")[2]


def looks_like_class(name: str) -> bool:
    """Return whether a dotted name ends as class names do."""
    end = last(name)
    return (end[:1].isupper() and not end.isupper()) or end in _LOWER_CASE_CLASSES


_LOWER_CASE_CLASSES: Final = frozenset({"date", "datetime", "timedelta", "UUID", "defaultdict", "deque"})
