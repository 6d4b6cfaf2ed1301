"""The name of an entry, ``METHOD /path/{template}``: its grammar, and when two of them are one route."""

from __future__ import annotations

import difflib
import re

from app.policy.model import CONVERTOR, MAX_PATH, without_convertors
from app.policy.names import suggest_name
from app.policy.values import BadValue
from app.policy.write import shown

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_SEGMENT = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|\{[A-Za-z_][A-Za-z0-9_]*\})+"
"""RFC 3986's pchar without percent-encoding (the router matches the decoded path), and template parameters."""

_PATH = re.compile(rf"/|(?:/{_SEGMENT})+/?")
_KEY = re.compile(r"\s*([A-Za-z]+)\s+(\S+)\s*")
_PARAMETER = re.compile(r"\{([^{}]*)\}")
_FOREIGN_PARAMETER = re.compile(r"<(?:[a-z]+:)?([A-Za-z_]\w*)>|(?<=/):([A-Za-z_]\w*)", re.ASCII)
_VERSION = re.compile(r"v[0-9]+")

_ACTIONS = {"GET": "read", "HEAD": "read", "DELETE": "delete"}


def parse_route_key(key: str) -> tuple[str, str]:
    """Return the method and the path of an entry's name.

    Raises:
        BadValue: the name is not in the grammar; its suggestion is a name, or None if there is none to give.
    """
    match = _KEY.fullmatch(key[: MAX_PATH * 2])
    if match is None:
        suggestion = f"GET {_tidy(key.strip())}" if key.strip().startswith("/") else None
        raise BadValue(f'{shown(key)} does not name a route: write "METHOD /path"', _checked(suggestion))
    method, path = match[1].upper(), match[2]
    if method not in METHODS:
        raise BadValue(*_wrong_method(method, path))
    wrong = path_fault(path)
    if wrong:
        raise BadValue(f"{shown(key)}: {wrong}", _checked(f"{method} {_tidy(path)}"))
    if key != f"{method} {path}":
        raise BadValue(
            f"{shown(key)} is not spelt as a route: the method in capitals, one space, the path",
            f"{method} {path}",
        )
    return method, path


def path_fault(path: str) -> str | None:
    """Return what is wrong with a path template, or None."""
    if len(path) > MAX_PATH:
        return f"a path has at most {MAX_PATH} characters"
    parameters = _PARAMETER.findall(path)
    faults = (
        (not path.startswith("/"), "a path begins with /"),
        (CONVERTOR.search(path), "leave the convertor out of the parameter"),
        ("/:" in path, "a parameter is written {name}"),
        (not _PATH.fullmatch(path), "a path is letters, digits, - . _ ~ and {parameters} between single slashes"),
        (len(set(parameters)) < len(parameters), "a parameter appears twice"),
    )
    return next((fault for found, fault in faults if found), None)


def shape(method: str, path: str) -> tuple[str, str]:
    """Return what two entries for one route have in common, whatever they call its parameters."""
    return method, _PARAMETER.sub("{}", path).rstrip("/") or "/"


def likely_permission(method: str, path: str) -> str:
    """Return the permission by which a route would usually go: its last collection and what is done to it."""
    words = [word for word in path.lower().split("/") if word and "{" not in word and not _VERSION.fullmatch(word)]
    resource = suggest_name(words[-1]) if words else "service"
    return f"{resource}:{_ACTIONS.get(method, 'write')}"


def _wrong_method(method: str, path: str) -> tuple[str, str | None]:
    if method == "HEAD":
        return "HEAD goes by the entry of GET and has none of its own", _checked(f"GET {_tidy(path)}")
    if method == "OPTIONS":
        return "OPTIONS has no entry: a preflight carries no credentials to judge", None
    close = difflib.get_close_matches(method, METHODS, n=1)
    return (
        f"{shown(method)} is not one of {', '.join(METHODS)}",
        _checked(f"{close[0]} {_tidy(path)}") if close else None,
    )


def _tidy(path: str) -> str:
    """Return a path without what other tools and frameworks put in: queries, ``:id``, ``<int:id>``, ``//``."""
    path = re.split("[?#]", path, maxsplit=1)[0]
    path = _FOREIGN_PARAMETER.sub(lambda match: "{" + (match[1] or match[2]) + "}", without_convertors(path))
    return re.sub("/{2,}", "/", f"/{path}")


def _checked(suggestion: str | None) -> str | None:
    """Return the suggestion if it is itself in the grammar."""
    if suggestion is None or path_fault(suggestion.split(" ", 1)[1]) is not None:
        return None
    return suggestion
