r"""Structured logging: structlog and the standard library write the same bounded, redacted, unforgeable lines.

Threat
    A value that a client sent forges a second line or drives the terminal of whoever reads it (CWE-117), carries a
    secret into storage (CWE-532), or makes one line of megabytes. A logger that a library made with a handler of its
    own walks past the redaction. A log reader that stalls fills the pipe and stops the event loop inside ``write(2)``.

What it does
    Every event, from structlog or from `logging` (loggers made earlier or later, children, loggers that got handlers of
    their own, `warnings`, unhandled exceptions of tasks, threads and finalizers), takes one way: arguments formatted ->
    exception described (type, message, frames; never locals) -> ``redact`` -> control characters escaped and lengths
    capped -> time (UTC, milliseconds), level, logger and the request's context, which no field can override -> JSON, or
    readable columns in development -> `LineWriter`. A log call does not raise: what cannot be rendered is reported
    by a line of its own.

Defaults and their reasons
    They stand beside each field of `LoggingConfig`.

What it does not do
    ``print`` and what C libraries write to the descriptor themselves. A `logging.Logger` built by hand outside the
    hierarchy. Handlers that were added elsewhere are taken off, since they would see what is not redacted yet.
    Escaping is for the eye and not reversible: ``\n`` may have been a newline or those two characters.
    After SIGKILL the lines of the last ``flush_delay`` seconds are lost, and what a stalled reader had not taken.
    When several processes share one full pipe the kernel may interleave writes above PIPE_BUF (4 KiB on Linux).

Lift it
    Needs structlog >= 26.1 and orjson. One file, longer than the house's 300 lines for it: renderer and writer bound
    each other, and one without the other protects nothing. ::

        logs = configure_logging(LoggingConfig(renderer="json"), redact=redactor.redact)
        app = RequestLog(app, emit=logs.emit, context=REQUEST_CONTEXT)   # any layer that sets the context will do
        ...
        logs.adopt()    # when the server has started: takes over what it configured after us
        logs.close()    # last of all in shutdown (also runs at exit)
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import datetime as dt
import itertools
import logging
import math
import os
import queue
import re
import select
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Collection, Coroutine, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, NoReturn

import orjson
import structlog
from structlog.contextvars import merge_contextvars

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "REQUEST_CONTEXT",
    "BoundLogger",
    "LineWriter",
    "Logging",
    "LoggingConfig",
    "LoggingConfigError",
    "configure_logging",
]

Redact = Callable[[dict[str, Any]], Mapping[str, Any]]

REQUEST_CONTEXT: ContextVar[Mapping[str, Any] | None] = ContextVar("request_context", default=None)
"""The ASGI scope of the request being served, or for a job any mapping that holds the keys itself.

Read only when a line is written, so a request pays one ``set`` and not one binding for each key.
"""

_LEVELS: Final = {
    "debug": 10,
    "info": 20,
    "msg": 20,
    "warn": 30,
    "warning": 30,
    "err": 40,
    "error": 40,
    "exception": 40,
    "failure": 40,
    "critical": 50,
    "fatal": 50,
}
_URGENT: Final = frozenset(name for name, level in _LEVELS.items() if level >= logging.ERROR)


class LoggingConfigError(ValueError):
    """A setting under which lines would be unbounded, lost or unreadable."""


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """How lines look and what bounds them.

    Raises:
        LoggingConfigError: an unknown renderer or level, or a bound that is too small to work.
    """

    renderer: Literal["json", "console"] = "json"
    """``json`` for machines, ``console`` for people in development."""

    level: str = "info"
    """What is below is dropped before it costs anything."""

    levels: Mapping[str, str] = field(default_factory=lambda: {"uvicorn.access": "warning", "uvicorn.error": "info"})
    """Levels of single loggers. uvicorn's access log would say again what the request line says, with the raw URL;
    an explicit level on its error log spares it a trace call for each connection."""

    context_keys: tuple[str, ...] = ("request_id", "trace_id", "span_id")
    """Taken from ``scope["state"]`` into every line; ``route`` is added from ``scope["route"]``."""

    max_value_length: int = 4096
    """Characters of one string: a stack or a validation error fits, a document does not."""

    max_key_length: int = 64
    """Characters of one key: the longest key of the OpenTelemetry conventions is below it."""

    max_items: int = 64
    """Keys of one mapping and items of one list."""

    max_depth: int = 8
    """Levels of nesting."""

    max_line_bytes: int = 16 * 1024
    """Docker and containerd split what is longer: their copy buffer holds 16 KiB."""

    max_frames: int = 24
    """Innermost frames of a traceback: FastAPI's own stack is about 15 deep."""

    max_exceptions: int = 6
    """Exceptions described in one line: causes, contexts and members of groups together."""

    queue_bytes: int = 8 * 1024 * 1024
    """Lines waiting for a slow reader: about 20,000, some seconds of a busy service. Then lines are dropped."""

    flush_delay: float = 0.03
    """Seconds that the writer gathers lines, so that it wakes some 30 times a second and not once for each line."""

    colors: bool = False
    """Colour the level in the console; the caller knows whether it is a terminal."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, by name."""
        if self.renderer not in {"json", "console"}:
            raise LoggingConfigError(f"unknown renderer {self.renderer!r}: json or console")
        for level in (self.level, *self.levels.values()):
            if level not in _LEVELS:
                raise LoggingConfigError(f"unknown level {level!r}: one of {', '.join(_LEVELS)}")
        if self.max_line_bytes < 4096:  # noqa: PLR2004 - the essential fields of a line at their longest need 2.5 KiB
            raise LoggingConfigError("max_line_bytes must be at least 4096")
        if self.queue_bytes < self.max_line_bytes:
            raise LoggingConfigError("queue_bytes must hold one line at least")
        bounds = (self.max_value_length, self.max_key_length, self.max_items, self.max_depth, self.max_frames)
        if min(*bounds, self.max_exceptions) < 1 or not 0 <= self.flush_delay <= 1:
            raise LoggingConfigError("bounds must be positive, and flush_delay at most a second")


# -- Output -----------------------------------------------------------------------------------------------------------


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own; the caller never waits for the reader.

    A write is an append under a lock that is never held during I/O. The thread sleeps on a token, put when the queue
    stops being empty, then gathers for ``delay`` seconds and writes many lines at once. Lock and tokens are reentrant,
    so a signal handler or a finalizer may log in the middle of a log call. A forked child starts with an empty queue
    and a thread of its own; the parent writes what the parent queued.

    Args:
        fd: the descriptor; blocking or not.
        max_bytes: bound of the queue in bytes; lines beyond it are dropped and counted.
        delay: seconds to gather lines before a write.
        report: makes the line that says how many lines were dropped.
        write: ``os.write``, or a test's own.
    """

    _CHUNK: ClassVar[int] = 64 * 1024  # bytes a write: the capacity of a Linux pipe
    _NOW: ClassVar[threading.Event] = threading.Event()  # a token: do not gather
    _STOP: ClassVar[threading.Event] = threading.Event()  # a token: drain and end

    def __init__(
        self,
        fd: int,
        *,
        max_bytes: int,
        delay: float,
        report: Callable[[int], bytes],
        write: Callable[[int, memoryview], int] = os.write,
    ) -> None:
        self.fd = fd
        self.dropped = 0
        """Lines dropped since the start: the queue was full, the descriptor failed, or the writer was closed."""
        self._max_bytes = max_bytes
        self._delay = delay
        self._report = report
        self._write = write
        self._closed = False
        self._torn = False
        self._reset()
        reset = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (again := reset()) and again())
        atexit.register(self.close)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._lines: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._unreported = 0
        self._hurried = False
        self._tokens: queue.SimpleQueue[threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes, *, urgent: bool = False) -> bool:
        """Queue ``line``, which ends in a newline; return whether there was room.

        Args:
            line: one whole line.
            urgent: write as soon as the thread runs instead of gathering first.
        """
        with self._lock:
            size = self._size + len(line)
            if size > self._max_bytes or self._closed:
                self.dropped += 1
                self._unreported += 1
                return False
            self._lines.append(line)
            self._size = size
            if urgent and not self._hurried:
                self._hurried = True
                self._tokens.put(self._NOW)
            elif len(self._lines) == 1:
                self._tokens.put(None)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is ending: `close` writes it
                    self._thread = None
        return True

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait at most ``timeout`` seconds until what is queued now is written; return whether it was."""
        if self._thread is None or not self._thread.is_alive():
            return not self._lines
        done = threading.Event()
        self._tokens.put(done)
        return done.wait(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Write what is queued, waiting at most ``timeout`` seconds; later lines are dropped and counted."""
        if self._closed:
            return not self._lines
        self._closed = True
        atexit.unregister(self.close)
        if self._thread is None:
            self._drain()
            return True
        flushed = self.flush(timeout)
        self._tokens.put(self._STOP)
        if flushed:
            self._thread.join(timeout)
        return flushed

    def _run(self) -> None:
        while True:
            token = self._tokens.get()
            if token is None:
                with contextlib.suppress(queue.Empty):
                    token = self._tokens.get(timeout=self._delay)
            try:
                self._drain()
            except Exception:  # noqa: BLE001 - a thread that ends would end logging; the count tells
                self.dropped += 1
            if token is self._STOP:
                return
            if token is not None:
                token.set()

    def _drain(self) -> None:
        while chunk := self._take():
            lost = self._push(chunk)
            with self._lock:
                self.dropped += lost
                self._unreported += lost
                missing, self._unreported = self._unreported, 0
            if missing and self._push(self._report(missing)):
                with self._lock:
                    self._unreported += missing

    def _take(self) -> bytes:
        taken: list[bytes] = []
        size = 0
        with self._lock:
            self._hurried = False
            if self._size <= self._CHUNK:  # all of it, without going through it
                lines, self._lines, self._size = self._lines, collections.deque(), 0
                return b"".join(lines)
            while self._lines and size < self._CHUNK:
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            # Zero and not a difference when empty: heals a count that a reentrant write has put off.
            self._size = self._size - size if self._lines else 0
        return b"".join(taken)

    def _push(self, data: bytes) -> int:
        """Write ``data`` whole; return how many lines were lost because the descriptor failed."""
        prefix = b"\n" if self._torn else b""  # the last failure left half a line behind
        data = prefix + data
        sent = 0
        while sent < len(data):
            try:
                sent += self._write(self.fd, memoryview(data)[sent:])
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(self.fd, select.POLLOUT)
                waiting.poll(1000)
            except OSError:
                self._torn = self._torn if sent == 0 else data[sent - 1] != ord("\n")
                return data.count(b"\n", max(sent, len(prefix)))
        self._torn = False
        return 0


# -- Text that cannot forge or flood ----------------------------------------------------------------------------------

# Control characters, format characters (bidirectional overrides, invisible tags), line separators, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


class _Limits(NamedTuple):
    value: int
    key: int
    items: int
    depth: int


def _text(value: str, limit: int) -> str:
    if len(value) > limit:
        value = f"{value[:limit]}...[{len(value) - limit} more]"
    if value.isprintable():  # by far the usual case, and it knows every character that matters here
        return value
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)


def _plain(value: object, limits: _Limits, depth: int = 0) -> Any:
    """Return ``value`` as JSON values within ``limits``: nothing in it ends a line or drives a terminal."""
    if type(value) is str:
        return _text(value, limits.value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):  # JSON readers and orjson hold 64 bits
        return int(value) if -(2**63) <= value < 2**64 else f"[integer of {value.bit_length()} bits]"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _plain_items(value, limits, depth + 1) if depth < limits.depth else "[too deep]"
    if isinstance(value, bytes | bytearray):
        value = bytes(value[: limits.value + 1]).decode("utf-8", "backslashreplace")
    return _text(str(value), limits.value)


def _plain_items(value: Mapping[Any, Any] | Collection[Any], limits: _Limits, depth: int) -> Any:
    more = len(value) - limits.items
    if isinstance(value, Mapping):
        pairs = itertools.islice(value.items(), limits.items)
        mapping = {_text(str(key), limits.key): _plain(item, limits, depth) for key, item in pairs}
        return mapping | {"...": f"[{more} more]"} if more > 0 else mapping
    items = [_plain(item, limits, depth) for item in itertools.islice(value, limits.items)]
    return [*items, f"[{more} more]"] if more > 0 else items


def _console(line: Mapping[str, Any], *, colors: bool) -> bytes:
    """Return ``line`` for a reader: fixed columns first, then fields; an exception below it, each line marked."""
    level = line["level"]
    shown = f"{level:<8}"
    if colors:
        tint = {"debug": "2", "info": "32", "warning": "33"}.get(level, "31")
        shown = f"\x1b[{tint}m{shown}\x1b[0m"
    event = line["event"]
    if not isinstance(event, str) or set(event) & set('"=\\|'):  # else an event could pretend to have fields
        event = orjson.dumps(event).decode()
    parts = [f"{line['timestamp'][11:]} {shown} {line['logger']:<14} {event:<32}"]
    for key, value in line.items():
        if key in {"timestamp", "level", "logger", "event", "exception"}:
            continue
        bare = isinstance(value, str) and value and not set(value) & set(' "=\\|')
        parts.append(f"{_quoted(key)}={value if bare else orjson.dumps(value).decode()}")
    if "exception" in line:
        parts += ["\n    | " + text for text in _traceback_lines(line["exception"])]
    return "".join(part if part.startswith("\n") else part + " " for part in parts).rstrip().encode() + b"\n"


def _quoted(key: str) -> str:
    return orjson.dumps(key).decode() if set(key) & set(' "=\\|') else key


def _traceback_lines(exception: object) -> list[str]:
    if not isinstance(exception, Mapping):
        return [str(exception)]
    lines = [f"{exception.get('type')}: {exception.get('message')}"]
    frames, members = (exception.get(key) for key in ("frames", "exceptions"))  # text, where the depth ended
    lines += [f"    {frame}" for frame in frames] if isinstance(frames, list) else []
    for key in ("cause", "context"):
        if key in exception:
            lines += [f"{key}: {text}" for text in _traceback_lines(exception[key])]
    for member in members if isinstance(members, list) else []:
        lines += [f"  {text}" for text in _traceback_lines(member)]
    return lines


def _describe(error: BaseException, config: LoggingConfig, left: list[int]) -> dict[str, Any]:
    """Return type, message, innermost frames and causes of ``error``; ``left[0]`` exceptions may still be told."""
    left[0] -= 1
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception as second:  # noqa: BLE001 - its __str__ is anybody's code
        message = f"[not readable: {type(second).__name__}]"
    told: dict[str, Any] = {"type": name, "message": message}
    if notes := getattr(error, "__notes__", None):
        told["notes"] = [str(note) for note in itertools.islice(notes, config.max_exceptions)]
    frames = collections.deque(traceback.walk_tb(error.__traceback__), maxlen=config.max_frames)
    told["frames"] = [f"{at.f_code.co_filename}:{number} in {at.f_code.co_name}" for at, number in frames]
    if isinstance(error, BaseExceptionGroup):
        members = itertools.islice(error.exceptions, max(left[0], 0))
        told["exceptions"] = [_describe(member, config, left) for member in members if left[0] > 0]
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and left[0] > 0:
        told["cause" if error.__cause__ else "context"] = _describe(before, config, left)
    return told


def _stack(given: object, most: int) -> list[str]:
    """Return the innermost frames of the caller, or of a stack that `logging` has written down already."""
    if isinstance(given, str):
        return [line.strip() for line in given.splitlines()[-2 * most :]]
    frames = (
        f"{frame.f_code.co_filename}:{number} in {frame.f_code.co_name}"
        for frame, number in traceback.walk_stack(None)
        if not str(frame.f_globals.get("__name__")).startswith((__name__, "structlog"))
    )
    return list(itertools.islice(frames, most))[::-1]


def _level_name(level: int) -> str:
    return next((name for name in ("critical", "error", "warning", "info") if level >= _LEVELS[name]), "debug")


def _raised(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return next((part for part in exc_info if isinstance(part, BaseException)), None)
    return sys.exc_info()[1] if exc_info else None


# -- The one way ------------------------------------------------------------------------------------------------------


class _Pipeline:
    """Turns the event of any logger into a line and queues it; the final processor of every structlog chain."""

    def __init__(
        self,
        config: LoggingConfig,
        *,
        redact: Redact,
        context: ContextVar[Mapping[str, Any] | None],
        clock: Callable[[], float],
        fd: int,
    ) -> None:
        self._config = config
        self._redact = redact
        self._context = context
        self._clock = clock
        self._limits = _Limits(config.max_value_length, config.max_key_length, config.max_items, config.max_depth)
        self._threshold = min(_LEVELS[level] for level in (config.level, *config.levels.values()))
        self._second, self._stamped = (-1, ""), (-1, "")
        self._marked = config.renderer != "json"  # the console's own columns and colours are no sign of a clean value
        self.writer = LineWriter(
            fd,
            max_bytes=config.queue_bytes,
            delay=config.flush_delay,
            report=lambda count: self._own("warning", "log_lines_dropped", dropped=count),
        )

    def __call__(self, logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> NoReturn:
        """Write the event; end the chain, so that whatever logger was wrapped writes nothing more."""
        level = _LEVELS.get(method, 20)
        if level >= self._threshold:
            name = getattr(logger, "name", None)
            self.write(name if isinstance(name, str) else "app", level, dict(event_dict), self._clock())
        raise structlog.DropEvent

    def write(self, name: str, level: int, fields: dict[str, Any], created: float) -> None:
        """Render and queue one event; what cannot be rendered is said in a line of its own."""
        try:
            line = self._render(self._line(name, level, fields, created))
        except structlog.DropEvent:
            return  # ``redact`` may decide so
        except Exception as error:  # noqa: BLE001 - a log call does not fail its caller
            line = self._own("error", "log_rendering_failed", error=type(error).__name__, of=_text(name, 128))
        self.writer.write(line, urgent=level >= logging.ERROR)

    def _line(self, name: str, level: int, fields: dict[str, Any], created: float) -> dict[str, Any]:
        merge_contextvars(None, "", fields)
        # Ours come first, so that no number of fields can push them past the cap.
        ours: dict[str, Any] = {"event": self._formatted(fields.pop("event", ""), fields.pop("positional_args", ()))}
        if error := _raised(fields.pop("exc_info", None)):
            ours["exception"] = _describe(error, self._config, [self._config.max_exceptions])
        if stack := fields.pop("stack_info", None):
            ours["stack"] = _stack(stack, self._config.max_frames)
        clean = _plain(
            self._redact(ours | {key + "_" if key in ours else key: value for key, value in fields.items()}),
            self._limits,
        )
        line = self._stamp(name, level, clean.pop("event", ""), created)
        for key, value in clean.items():
            name = key
            while name in line:
                name += "_"  # a field never stands in for ours
            line[name] = value
        return line

    def _formatted(self, event: object, args: object) -> str:
        text = str(event).rstrip("\r\n")
        if not args:
            return text
        values = args if isinstance(args, tuple | Mapping) else (args,)
        if isinstance(values, tuple) and len(values) == 1 and isinstance(values[0], Mapping):
            values = values[0]  # as logging does: "%(name)s" from one mapping
        # Redacted by key while the keys are still there, and by shape once more as part of the text.
        if isinstance(values, Mapping):
            values = self._redact({"arguments": values})["arguments"]
        elif any(isinstance(value, Mapping | list | tuple | set | bytes) for value in values):
            values = tuple(self._redact({"arguments": list(values)})["arguments"])
        try:
            return text % values
        except Exception:  # noqa: BLE001 - arguments that do not fit are shown beside the text
            return f"{text} {values!r}"

    def _stamp(self, name: str, level: int, event: object, created: float) -> dict[str, Any]:
        line: dict[str, Any] = {
            "timestamp": self._timestamp(created),
            "level": _level_name(level),
            "logger": _text(name, 128),
            "event": event,
        }
        scope = self._context.get()
        if scope is not None:
            state = scope.get("state", scope)
            for key in self._config.context_keys:
                value = state.get(key)
                if type(value) is str:
                    line[key] = _text(value, 128)
            route = scope.get("route")
            route = route if isinstance(route, str) else getattr(route, "path_format", None)
            if route is not None:
                line["route"] = _text(str(route), 256)
        return line

    def _timestamp(self, seconds: float) -> str:
        milliseconds = int(seconds * 1000)
        last, text = self._stamped
        if milliseconds == last:  # a busy process writes many lines in one
            return text
        whole = int(seconds)
        second, prefix = self._second
        if whole != second:
            prefix = dt.datetime.fromtimestamp(whole, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            self._second = (whole, prefix)
        text = f"{prefix}{milliseconds - whole * 1000:03d}Z"
        self._stamped = (milliseconds, text)
        return text

    def _encode(self, line: Mapping[str, Any]) -> bytes:
        if self._config.renderer == "json":
            return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        return _console(line, colors=self._config.colors)

    def _render(self, line: Mapping[str, Any]) -> bytes:
        encoded = self._encode(line)
        for length, items, depth in ((1024, 32, 6), (256, 16, 4), (64, 8, 2)):
            if len(encoded) <= self._config.max_line_bytes:
                return encoded
            limits = _Limits(length, self._config.max_key_length, items, depth)
            encoded = self._encode(_plain(line, limits) | {"truncated": True})
        if len(encoded) > self._config.max_line_bytes:
            essential = ("timestamp", "level", "logger", "event", *self._config.context_keys, "route")
            kept = {key: _text(str(line[key]), 64) for key in essential if key in line}
            encoded = self._encode(kept | {"truncated": True})
        return encoded

    def _own(self, level: str, event: str, **fields: object) -> bytes:
        stamp = {"timestamp": self._timestamp(self._clock()), "level": level, "logger": "app.logging", "event": event}
        return self._encode(stamp | fields)

    # The request line's own short way: one line a request is the hot path, and its fields are bounded already.

    def write_flat(self, name: str, level: str, event: str, fields: dict[str, Any]) -> None:
        """Render and queue one line of flat fields; clean and cut its strings where that is needed."""
        line = {"timestamp": self._timestamp(self._clock()), "level": level, "logger": name, "event": event, **fields}
        try:
            encoded = self._encode(line)
            # Plain and short as a whole: then every value in it is. Nearly every line ends here.
            if self._marked or len(encoded) > 2048 or not encoded.isascii() or b"\\" in encoded or b"\x7f" in encoded:  # noqa: PLR2004 - four times the usual
                limits = self._limits._replace(value=256, items=len(line))
                encoded = self._render({key: _plain(value, limits) for key, value in line.items()})
        except Exception:  # noqa: BLE001 - not flat after all: the long way copes with anything
            self.write(name, _LEVELS.get(level, 20), {"event": event, **fields}, self._clock())
        else:
            self.writer.write(encoded, urgent=level in _URGENT)


# -- structlog's side and the standard library's side -----------------------------------------------------------------


def _methods(name: str, **defaults: object) -> tuple[Callable[..., None], Callable[..., Coroutine[Any, Any, None]]]:
    """Make the method of a level and the asynchronous variant that structlog has; nothing in it waits."""

    def log(self: BoundLogger, event: object = "", /, *args: object, **fields: Any) -> None:
        self._log(name, event, args, defaults | fields)

    async def alog(self: BoundLogger, event: object = "", /, *args: object, **fields: Any) -> None:
        self._log(name, event, args, defaults | fields)

    return log, alog


class BoundLogger(structlog.BoundLoggerBase):
    """What ``structlog.get_logger()`` returns: the usual methods, none of which raises or waits.

    The levels are those of the standard library's logger of the same name. ``event`` is positional only, so a field
    may have any name.
    """

    def _log(self, method: str, event: object, args: tuple[object, ...], fields: dict[str, Any]) -> None:
        enabled = getattr(self._logger, "isEnabledFor", None)  # a logger that somebody wrapped by hand may lack it
        if enabled is not None and not enabled(_LEVELS.get(method, 20)):
            return
        if args:
            fields["positional_args"] = args
        try:
            positional, named = self._process_event(method, event, fields)  # type: ignore[arg-type]
        except structlog.DropEvent:
            return
        getattr(self._logger, method)(*positional, **named)  # another chain, a test's say, wants its logger called

    debug, adebug = _methods("debug")
    info, ainfo = _methods("info")
    warning, awarning = _methods("warning")
    error, aerror = _methods("error")
    critical, acritical = _methods("critical")
    exception, aexception = _methods("error", exc_info=True)
    msg, warn, fatal = info, warning, critical

    def emit(self, level: str, event: object, /, **fields: Any) -> None:
        """Log at a level given by name."""
        self._log(level, event, (), fields)

    def log(self, level: int, event: object = "", /, *args: object, **fields: Any) -> None:
        """Log at a level given as a number, as `logging` numbers them."""
        self._log(_level_name(level), event, args, fields)


_RECORD_KEYS: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's second copy of the message, with terminal codes
}


class _Handler(logging.Handler):
    """Hands the standard library's records to the pipeline."""

    def __init__(self, pipeline: _Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def createLock(self) -> None:  # noqa: N802 - the standard library's name
        """No lock: the pipeline needs none, and a value's ``__str__`` that waits for a logging thread would hang."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        ours = {"event", "exc_info", "stack_info", "positional_args"}
        extra = record.__dict__.items()
        fields = {key + "_" if key in ours else key: value for key, value in extra if key not in _RECORD_KEYS}
        fields |= {"event": record.msg, "positional_args": record.args}
        fields |= {"exc_info": record.exc_info, "stack_info": record.stack_info}
        self._pipeline.write(record.name, record.levelno, fields, record.created)


_ACTIVE: Final[list[Logging]] = []  # one at most: logging's own state is global too


class Logging:
    """The configured logging of this process; made by `configure_logging`."""

    def __init__(self, config: LoggingConfig, pipeline: _Pipeline) -> None:
        self.writer = pipeline.writer
        """Where the lines go; its ``dropped`` is worth a metric."""
        self._config = config
        self._pipeline = pipeline
        self._handler = _Handler(pipeline)
        self._undo = contextlib.ExitStack()
        self._seen: set[logging.Logger] = set()
        self._requests = logging.getLogger("app.request")
        self._install()

    def emit(self, level: str, event: str, /, **fields: Any) -> None:
        """Write one line past structlog's chain: no redaction and no context, strings cleaned and cut.

        For flat fields that are bounded and free of secrets by construction.
        """
        if self._requests.isEnabledFor(_LEVELS[level]):
            self._pipeline.write_flat("app.request", level, event, fields)

    def adopt(self) -> None:
        """Take over every logger that exists: its own handlers off, what it says up to ours.

        Runs by itself when configuring; call it again when the server has started. A logger that gains a handler
        after that is taken over when it speaks next.
        """
        for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
            if isinstance(logger, logging.Logger):
                self._adopt(logger)
        for name, level in {"": self._config.level, **self._config.levels}.items():
            logger = logging.getLogger(name)
            if logger.level != _LEVELS[level]:
                self._undo.callback(logger.setLevel, logger.level)
                logger.setLevel(_LEVELS[level])

    def close(self, timeout: float = 2.0) -> bool:
        """Put back what was configured before and flush; return whether every line was written in ``timeout``."""
        if self in _ACTIVE:
            _ACTIVE.remove(self)
        self._undo.close()
        return self.writer.close(timeout)

    def _install(self) -> None:
        for earlier in tuple(_ACTIVE):
            earlier.close()
        _ACTIVE.append(self)
        factory = logging.getLogRecordFactory()
        self._undo.callback(logging.setLogRecordFactory, factory)
        logging.setLogRecordFactory(self._record_factory(factory))
        self._handler.setLevel(min(_LEVELS[level] for level in (self._config.level, *self._config.levels.values())))
        self.adopt()
        logging.captureWarnings(capture=True)
        self._undo.callback(logging.captureWarnings, capture=False)
        self._install_structlog()
        self._install_hooks()

    def _adopt(self, logger: logging.Logger) -> None:
        if logger is logging.root:
            wanted: list[logging.Handler] = [self._handler]
        else:
            # Not counted: the placeholder that keeps `logging` quiet does no harm, and comes back each time.
            wanted = [handler for handler in logger.handlers if type(handler) is logging.NullHandler]
        if logger.handlers == wanted and logger.propagate:
            return
        if logger not in self._seen:
            self._seen.add(logger)
            self._undo.callback(setattr, logger, "handlers", logger.handlers)
            self._undo.callback(setattr, logger, "propagate", logger.propagate)
        logger.handlers = wanted
        logger.propagate = True

    def _record_factory(self, make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
        def record_of(*args: Any, **kwargs: Any) -> logging.LogRecord:
            # The one public place that every record passes before any handler sees it.
            record = make(*args, **kwargs)
            found = logging.root.manager.loggerDict.get(record.name or "")
            logger: logging.Logger | None = found if isinstance(found, logging.Logger) else logging.root
            while logger is not None:
                self._adopt(logger)
                logger = logger.parent
            return record

        return record_of

    def _install_structlog(self) -> None:
        before = structlog.get_config()
        processors = before["processors"]
        if not isinstance(processors, list):
            processors = list(processors)
        self._undo.callback(structlog.configure, **before)
        self._undo.callback(processors.__setitem__, slice(None), processors.copy())
        # In place, as structlog's own capture_logs does: loggers bound earlier hold this very list.
        processors[:] = [self._pipeline]
        structlog.configure(
            processors=processors,
            wrapper_class=BoundLogger,
            context_class=dict,
            logger_factory=lambda *args: logging.getLogger(str(args[0]) if args else "app"),
            cache_logger_on_first_use=True,
        )

    def _install_hooks(self) -> None:
        crash = logging.getLogger("app.crash")
        previous = sys.excepthook

        def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if issubclass(kind, KeyboardInterrupt):
                previous(kind, error, trace)
            else:
                crash.critical("uncaught exception", exc_info=error.with_traceback(trace))

        def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
            if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
                crash.error("uncaught exception in a thread", exc_info=args.exc_value)

        def unraisable(args: Any) -> None:
            crash.error("exception that could not be raised", exc_info=args.exc_value)

        hooks: tuple[tuple[Any, str, Any], ...] = (
            (sys, "excepthook", uncaught),
            (threading, "excepthook", uncaught_in_thread),
            (sys, "unraisablehook", unraisable),
        )
        for module, name, hook in hooks:
            self._undo.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, hook)


def configure_logging(
    config: LoggingConfig,
    *,
    redact: Redact,
    context: ContextVar[Mapping[str, Any] | None] = REQUEST_CONTEXT,
    fd: int = 1,
    clock: Callable[[], float] = time.time,
) -> Logging:
    """Make structlog and the standard library's `logging` of this process write through one pipeline.

    Logging is global, so a second call closes what the first one made.

    Args:
        config: how lines look and what bounds them.
        redact: takes an event's fields and returns them without secrets; runs once for each line, after arguments are
            formatted and exceptions described. May raise ``structlog.DropEvent`` to drop the line.
        context: holds the ASGI scope of the request being served.
        fd: descriptor the lines are written to; standard output by default.
        clock: seconds since the epoch.
    """
    return Logging(config, _Pipeline(config, redact=redact, context=context, clock=clock, fd=fd))
