"""Serve the application: uvicorn with the limits, the drain and the worker processes that it lacks.

``serve`` is all that a command line needs. It binds first, so that a taken port is said at once and in one line,
then builds the application from an import string (in each worker, which is spawned and shares nothing else), and
returns an exit code: 0 after an orderly stop, ``RETIRED`` after one that the service itself asked for, to be replaced,
``BOOT_FAILED`` when it did not start, 128 + the number of the signal when a second one cut the stop short.

The factory that the import string names is called with keywords: ``lifecycle`` (its ``phase`` is for the readiness
check, its ``retire`` for who wants this process replaced), ``http_guard`` (its ``refusals`` and ``open_connections``
are for metrics), ``locks`` (which all workers share) and whatever ``arguments`` says.
"""

from __future__ import annotations

import gc
import importlib
import logging
import resource
import socket
import sys
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import uvicorn

from app.patterns.graceful_shutdown import GracefulServer, Lifecycle, ShutdownConfig, StartupFailed
from app.patterns.guarded_http import HttpGuard, HttpLimits
from app.patterns.process_locks import ProcessLocks
from app.patterns.worker_processes import Supervisor, SupervisorConfig, SupervisorLink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp

    from app.settings import Settings

logger = logging.getLogger(__name__)

BOOT_FAILED = 3
"""Exit code of a start that failed; uvicorn's."""

Refusals = tuple[type[BaseException], ...]
"""Exceptions whose text says all that is wrong: printed alone, without a traceback."""


class AppFactory(Protocol):
    """What the import string names."""

    def __call__(
        self, *, lifecycle: Lifecycle, http_guard: HttpGuard, locks: ProcessLocks, **arguments: object
    ) -> ASGIApp:
        """Build the application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How to serve; the limits of each part stand with that part."""

    http: HttpLimits = field(default_factory=HttpLimits)
    shutdown: ShutdownConfig = field(default_factory=ShutdownConfig)
    restart_delay: float = 0.5
    """Seconds before a worker that died is replaced; doubles with each death in a row."""
    backlog: int = 2048
    """Connections that the kernel holds until a worker accepts them; it caps this itself (``somaxconn``)."""
    spare_files: int = 256
    """Open files that are not connections: database pools, upstreams, logs."""
    gc_threshold: int | None = 20_000
    """Objects between two young collections instead of Python's 700 (2000 from 3.13 on). What is alive when the
    service is ready (modules, routes, models) is frozen as well: a full collection, which walks all of it and lets
    no request move meanwhile, took 33 ms and takes none then; the throughput gains 1 %. None leaves the collector
    as it is."""

    @property
    def supervisor(self) -> SupervisorConfig:
        """Bounds of the worker processes, just outside the bounds that each worker keeps itself."""
        total = self.shutdown.total
        return SupervisorConfig(
            boot_timeout=self.shutdown.startup_timeout + 30.0,  # imports
            restart_delay=self.restart_delay,
            stop_timeout=total + 2.0,
            orphan_timeout=total + 1.0,
        )


def config_of(settings: Settings) -> ServerConfig:
    """Return how to serve with these settings."""
    return ServerConfig(
        http=HttpLimits(max_connections=settings.max_connections, header_timeout=settings.header_timeout),
        shutdown=ShutdownConfig(drain_delay=settings.seconds_before_closing, drain_timeout=settings.drain_timeout),
    )


def serve(
    app: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    arguments: Mapping[str, object] | None = None,
    config: ServerConfig | None = None,
    refusals: Refusals = (),
    locks: ProcessLocks | None = None,
) -> int:
    """Serve until a signal comes. Needs the main thread.

    Args:
        app: import string of an ``AppFactory``, such as ``app.main:create``.
        host: address to bind; with a colon in it, an IPv6 one.
        port: 0 lets the kernel choose; the log says which.
        workers: processes; with one, this process serves.
        arguments: further keywords for the factory; picklable.
        config: see ``ServerConfig``.
        refusals: see ``Refusals``; ``StartupFailed`` is one anyway.
        locks: what a single process shares with others that somebody else started; workers share their own.

    Returns:
        The exit code for ``sys.exit``.
    """
    config = config or ServerConfig()
    try:
        _allow_files(config.http.max_connections * 11 // 10 + config.spare_files)
        listener = _bind(host, port)
    except StartupFailed as error:
        sys.stderr.write(f"{error}\n")
        return BOOT_FAILED
    task = _Task(app, dict(arguments or {}), config, (*refusals, StartupFailed), workers)
    with listener:
        if workers > 1:
            shared = (listener, ProcessLocks.shared(), task)
            return Supervisor(_work, shared, workers=workers, config=config.supervisor, on_stop=listener.close).run()
        return _work(None, listener, locks or ProcessLocks(), task)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a worker needs to know; it crosses to another process."""

    app: str
    arguments: dict[str, object]
    config: ServerConfig
    refusals: Refusals
    workers: int


def _work(link: SupervisorLink | None, listener: socket.socket, locks: ProcessLocks, task: _Task) -> int:
    """Serve in this process; ``link`` leads to the supervisor if there is one."""
    try:
        server = _build(link, locks, task)
        server.run([listener])
    except Exception as error:  # noqa: BLE001 - whatever the application raises at boot ends here, as a message
        message = _explain(error, task.refusals)
        if link is None:
            sys.stderr.write(f"{message}\n")
        else:
            link.failed(message, BOOT_FAILED)
        return BOOT_FAILED
    except KeyboardInterrupt:  # before the loop runs, whose handler drains instead
        return 130
    return server.exit_code


def _build(link: SupervisorLink | None, locks: ProcessLocks, task: _Task) -> GracefulServer:
    config = task.config
    lifecycle, guard = Lifecycle(task.workers), HttpGuard(config.http)
    factory = _import(task.app)

    def on_ready() -> None:
        if config.gc_threshold is not None:
            gc.collect()
            gc.freeze()
            gc.set_threshold(config.gc_threshold, *gc.get_threshold()[1:])
        for listening in server.servers:
            host, port, *_ = listening.sockets[0].getsockname()
            logger.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        if link is not None:
            link.ready()

    server = GracefulServer(
        uvicorn.Config(
            factory(lifecycle=lifecycle, http_guard=guard, locks=locks, **task.arguments),
            http=guard.protocol_class(),
            loop="uvloop",
            ws="none",
            interface="asgi3",
            workers=1,  # else uvicorn reads WEB_CONCURRENCY
            backlog=config.backlog,
            log_config=None,  # the application configures logging
            log_level="warning",  # uvicorn's own lines say nothing that ours do not
            access_log=False,
            proxy_headers=False,  # who the client is, is decided by the application's trusted-proxy rule
            server_header=False,
        ),
        lifecycle=lifecycle,
        shutdown=config.shutdown,
        on_ready=on_ready,
        on_drain=guard.drain,
        supervised=link is not None,
    )
    if link is not None:
        # Without a supervisor nobody routes here on purpose, and its successor wants the port.
        link.on_orphaned(lambda: server.drain_soon(0.0))
    return server


def _import(name: str) -> AppFactory:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a module that this one imports
        raise StartupFailed(f"cannot serve {name!r}: there is no module {error.name!r}") from None
    factory: AppFactory | None = getattr(module, attribute, None)
    if factory is None:
        raise StartupFailed(f"cannot serve {name!r}: {module_name!r} has no {attribute!r}")
    return factory


def _bind(host: str, port: int) -> socket.socket:
    """Bind without listening: until the application is ready, a connection is refused and not kept waiting."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise StartupFailed(f"cannot listen on {host} port {port}: {reason}") from error
    return listener


def _allow_files(wanted: int) -> None:
    """Let this process, and those it spawns, open ``wanted`` files: out of files, a server can refuse nobody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise StartupFailed(
            f"this many connections need {wanted} open files, the limit is {hard}: raise it (ulimit -n) "
            "or lower the connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _explain(error: BaseException, refusals: Refusals) -> str:
    """Return the text of a refusal, also of one inside an exception group, or else the whole traceback."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, refusals):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()
