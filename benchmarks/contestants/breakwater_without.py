"""The service under test with one layer of its edge, or one guard of its routes, left out.

``python breakwater_without.py`` prints what can be left out; ``python breakwater_without.py PORT NAME``
serves without it, by the service's own command. It runs on the service's interpreter; ``app`` is its package.
"""

from __future__ import annotations

import functools
import importlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


EVERYTHING = "everything"
"""Leaves no layer and no guard: what remains is the server and the routing."""


def names() -> list[str]:
    """Return the names of layers and guards, outermost first, and ``EVERYTHING``."""
    root = importlib.import_module("app.main")
    return [*(entry.name for entry in (*root.EDGE, *root.GUARDS)), EVERYTHING]


def create_app(name: str | None = None) -> ASGIApp:
    """Compose the service without ``name``, or whole."""
    app: ASGIApp = importlib.import_module("app.main").create_app(**_left(name))
    return app


def _left(name: str | None) -> dict[str, tuple[Any, ...]]:
    """Return what is left, as arguments of the service's ``create_app``."""
    if name is not None and name not in names():
        raise SystemExit(f"{name!r} is none of {', '.join(names())}")
    if name == EVERYTHING:
        return {"edge": (), "guards": ()}
    root = importlib.import_module("app.main")
    edge = tuple(layer for layer in root.EDGE if layer.name != name)
    guards = (replace(guard, build=_believe) if guard.name == name else guard for guard in root.GUARDS)
    if name == "authentication":  # what stands behind it must know a caller
        return {"edge": edge, "guards": tuple(guards)}
    return {"edge": edge, "guards": tuple(guard for guard in guards if guard.name != name)}


def _believe(app: ASGIApp, _policy: object, _parts: object, _roles: object) -> ASGIApp:
    """Stand in for authentication: everyone is one customer, at the price of a dictionary entry."""
    principal = importlib.import_module("app.patterns.authentication").Principal
    caller = principal("bench", ("customer",), None, float("inf"))

    async def believing(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["principal"] = caller
        await app(scope, receive, send)

    return believing


def main() -> None:
    """Print the names, or serve."""
    if len(sys.argv) == 1:
        sys.stdout.write("\n".join(names()) + "\n")
        return
    port, name = sys.argv[1:]
    root: Any = importlib.import_module("app.main")
    root.create_app = functools.partial(root.create_app, **_left(name))  # before the server takes it from there
    importlib.import_module("app.cli").main(["run", "--host", "127.0.0.1", "--port", port])


if __name__ == "__main__":
    main()
