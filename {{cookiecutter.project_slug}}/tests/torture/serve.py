"""The service as it is, with five places where it can be told to die.

``python -m tests.torture.serve PORT [FILE]``: those that are given the descriptor of one file share locks. A place is
asked for by a file in the folder ``TORTURE_TICKETS``, named after it; the process that reaches the place first takes
the file away and kills itself with signal 9, so that nothing runs any more: no ``finally``, no ``atexit``, no rollback
of its own.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import event

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.patterns.graceful_shutdown import Lifecycle
    from app.patterns.guarded_http import HttpGuard
    from app.patterns.process_locks import ProcessLocks

POINTS = ("after-claim", "before-effect", "after-effect", "before-commit", "after-commit")


def die_if_asked(point: str) -> None:
    """End this process here and now, if there is a ticket for ``point`` and nobody took it before."""
    folder = os.environ.get("TORTURE_TICKETS")
    if folder is None:
        return
    from app.patterns.containment import trusted

    ticket = Path(folder) / point
    with trusted():  # it dies on our behalf, in the middle of a handler
        try:
            ticket.rename(ticket.with_suffix(f".{os.getpid()}"))
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class AfterClaim:
    """Stands inside of the idempotency guard: whoever comes this far has its key."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            die_if_asked("after-claim")
        await self.app(scope, receive, send)


def create(*, lifecycle: Lifecycle, http_guard: HttpGuard, locks: ProcessLocks) -> ASGIApp:
    import app.handlers
    import app.jobs
    from app.database.service import RequestSyncSession
    from app.main import GUARDS, Guard, create_app

    steps = os.environ.get("TORTURE_STEPS")
    if steps is not None:
        app.handlers.__path__.append(f"{steps}/handlers")
        app.jobs.__path__.append(f"{steps}/jobs")
    event.listen(RequestSyncSession, "before_flush", lambda *_: die_if_asked("before-effect"))
    event.listen(RequestSyncSession, "after_flush", lambda *_: die_if_asked("after-effect"))
    event.listen(RequestSyncSession, "before_commit", lambda *_: die_if_asked("before-commit"))
    event.listen(RequestSyncSession, "after_commit", lambda *_: die_if_asked("after-commit"))
    last = Guard("after_claim", lambda app, _policy, _parts, _grants: AfterClaim(app))
    return create_app(lifecycle=lifecycle, http_guard=http_guard, locks=locks, guards=(*GUARDS, last))


def main(port: int, file: int | None = None) -> int:
    from app.patterns.process_locks import ProcessLocks
    from app.server import config_of, serve
    from app.settings import load_settings

    return serve("tests.torture.serve:create", port=port, config=config_of(load_settings()), locks=ProcessLocks(file))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
