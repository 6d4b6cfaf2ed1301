"""Runs the service with a layer or guard left out, or several, to see what is lost without it.

``python -m tests.support.compose NAME[,NAME] PORT``, from a copy of the project.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from app.patterns.graceful_shutdown import Lifecycle
    from app.patterns.guarded_http import HttpGuard
    from app.patterns.process_locks import ProcessLocks


def create(*, lifecycle: Lifecycle, http_guard: HttpGuard, locks: ProcessLocks, without: str) -> ASGIApp:
    from app.main import EDGE, GUARDS, create_app

    names = set(without.split(","))
    edge = tuple(layer for layer in EDGE if layer.name not in names)
    guards = tuple(guard for guard in GUARDS if guard.name not in names)
    if len(edge) + len(guards) != len(EDGE) + len(GUARDS) - len(names):
        raise SystemExit(f"there is no layer or guard named {without!r}")
    return create_app(lifecycle=lifecycle, http_guard=http_guard, locks=locks, edge=edge, guards=guards)


def main(without: str, port: int) -> int:
    from app.cli import GARBAGE_THRESHOLD, migrate_in_development

    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)  # as ``app run`` does
    from app.server import config_of, serve
    from app.settings import load_settings

    settings = load_settings()
    migrate_in_development(settings)
    config = config_of(settings)
    return serve("tests.support.compose:create", port=port, arguments={"without": without}, config=config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
