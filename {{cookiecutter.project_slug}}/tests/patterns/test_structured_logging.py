from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
import queue
import select
import subprocess
import sys
import textwrap
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest
import structlog
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from app.patterns.redaction import Redactor
from app.patterns.structured_logging import (
    REQUEST_CONTEXT,
    LineWriter,
    Logging,
    LoggingConfig,
    LoggingConfigError,
    configure_logging,
)
from tests.support.wide import examples

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2-Zx9"
NOON = 1795435773.123

EVIL = [
    'x\n{"level":"critical","event":"forged"}',
    "x\r\nforged",
    "\x1b[2J\x1b[31m",
    "\x9b31m",
    "x\u2028y\u2029z\x85w\x0b\x0c",
    "\u202eevil\u2066\u200b\ufeff",
    "\ud800 alone \udfff",
    "\x00\x07\x7f",
    "\x7f",
    "\U000e0041\U000e0042",
]


def unsafe(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


class Capture:
    """Logging into a file of the test's own."""

    def __init__(
        self, path: Path, config: LoggingConfig, redact: Callable[..., Any], clock: Callable[[], float]
    ) -> None:
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.logs: Logging = configure_logging(config, redact=redact, fd=self.fd, clock=clock)

    def raw(self) -> str:
        assert self.logs.writer.flush(timeout=10)
        return self.path.read_bytes().decode()

    def lines(self) -> list[dict[str, Any]]:
        raw = self.raw()
        assert not raw or raw.endswith("\n")
        return [orjson.loads(line) for line in raw.split("\n")[:-1]]

    def line(self) -> dict[str, Any]:
        (only,) = self.lines()
        return only

    def close(self) -> None:
        self.logs.close()
        os.close(self.fd)


Start = Callable[..., Capture]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Capture] = []

    def start(
        config: LoggingConfig | None = None,
        redact: Callable[..., Any] | None = None,
        clock: Callable[[], float] = lambda: NOON,
    ) -> Capture:
        path = tmp_path / f"log-{len(made)}"
        made.append(Capture(path, config or LoggingConfig(), redact or Redactor().redact, clock))
        return made[-1]

    yield start
    for capture in reversed(made):
        capture.close()


def same(event_dict: dict[str, Any]) -> dict[str, Any]:
    return event_dict


# -- the line


def test_a_line_says_when_how_bad_who_and_what(start: Start) -> None:
    capture = start()
    structlog.get_logger("app.orders").info("order_created", order="o-17", items=3, paid=True)
    expected = {
        "timestamp": "2026-11-23T12:09:33.123Z",
        "level": "info",
        "logger": "app.orders",
        "event": "order_created",
        "order": "o-17",
        "items": 3,
        "paid": True,
    }
    assert expected == capture.line()


def test_the_standard_library_says_it_the_same_way(start: Start) -> None:
    capture = start()
    logging.getLogger("app.orders").warning("order %s created", "o-17", extra={"items": 3})
    line = capture.line()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "warning", "logger": "app.orders", "event": "order o-17 created", "items": 3}


@pytest.mark.parametrize("name", ["debug", "info", "warning", "error", "critical"])
async def test_every_level_has_its_method_waiting_and_not(start: Start, name: str) -> None:
    capture = start(LoggingConfig(level="debug"))
    log = structlog.get_logger()
    getattr(log, name)("a")
    await getattr(log, "a" + name)("b")
    log.log(logging.getLevelName(name.upper()), "c")
    logging.getLogger().log(logging.getLevelName(name.upper()), "d")
    assert [(name, event) for event in "abcd"] == [(line["level"], line["event"]) for line in capture.lines()]


def test_what_is_below_its_level_is_dropped(start: Start) -> None:
    capture = start(LoggingConfig(level="info", levels={"noisy": "error", "watched": "debug"}))
    for name in ("app", "noisy.child", "watched.child"):
        structlog.get_logger(name).debug("1")
        logging.getLogger(name).debug("2")
        structlog.get_logger(name).warning("3")
        logging.getLogger(name).warning("4")
    expected = [("app", "3"), ("app", "4"), *(("watched.child", event) for event in "1234")]
    assert expected == [(line["logger"], line["event"]) for line in capture.lines()]


def test_the_servers_access_log_is_quiet_because_the_request_line_says_more(start: Start) -> None:
    capture = start()
    logging.getLogger("uvicorn.access").info("GET /x?token=1")
    logging.getLogger("uvicorn.error").info("started")
    assert [line["event"] for line in capture.lines()] == ["started"]


def test_arguments_that_do_not_fit_are_shown_and_do_not_raise(start: Start) -> None:
    capture = start()
    structlog.get_logger().info("%d items of %s", "three")
    logging.getLogger().info("%d items", "three")
    assert [line["event"] for line in capture.lines()] == ["%d items of %s ('three',)", "%d items ('three',)"]


def test_arguments_by_name_come_from_one_mapping(start: Start) -> None:
    capture = start()
    structlog.get_logger().info("%(n)d items by %(password)s", {"n": 3, "password": SECRET})
    logging.getLogger().info("%(n)d items by %(password)s", {"n": 3, "password": SECRET})
    assert [line["event"] for line in capture.lines()] == ["3 items by [redacted]"] * 2


def test_fields_of_any_name_are_kept(start: Start) -> None:
    capture = start()
    structlog.get_logger().info("x", self=1, method=2, fields=3, args=4, name=5, level=6)
    line = capture.line()
    assert [line[key] for key in ("self", "method", "fields", "args", "name", "level_", "level")] == [
        *range(1, 7),
        "info",
    ]


def test_an_extra_field_does_not_replace_the_event(start: Start) -> None:
    capture = start()
    logging.getLogger().info("real", extra={"event": "forged", "positional_args": 1, "stack_info_": 2})
    assert capture.line()["event"] == "real"
    assert capture.line()["event_"] == "forged"


def test_a_stack_is_told_by_its_innermost_frames(start: Start) -> None:
    capture = start(LoggingConfig(max_frames=3))
    structlog.get_logger().info("x", stack_info=True)
    logging.getLogger().info("x", stack_info=True)
    ours, theirs = (line["stack"] for line in capture.lines())
    assert (len(ours), len(theirs)) == (3, 6)
    assert ours[-1].endswith("in test_a_stack_is_told_by_its_innermost_frames")
    assert theirs[-2].endswith("in test_a_stack_is_told_by_its_innermost_frames")


def test_a_structlog_logger_round_a_standard_one_writes_once(start: Start) -> None:
    capture = start()
    structlog.wrap_logger(logging.getLogger("wrapped")).info("once", password=SECRET)
    structlog.wrap_logger(structlog.PrintLogger()).info("twice", password=SECRET)
    assert [line["event"] for line in capture.lines()] == ["once", "twice"]


def test_structlogs_own_capture_for_tests_works(start: Start) -> None:
    capture = start()
    log = structlog.get_logger()
    log.info("before")
    with structlog.testing.capture_logs() as entries:
        log.info("inside", n=1)
    log.info("after")
    assert entries == [{"event": "inside", "n": 1, "log_level": "info"}]
    assert [line["event"] for line in capture.lines()] == ["before", "after"]


# -- secrets, whichever way they come


class Message:
    """What a {}-style message object looks like to logging."""

    def __init__(self, text: str, **values: object) -> None:
        self.text, self.values = text, values

    def __str__(self) -> str:
        return self.text.format(**self.values)


def raise_secret() -> None:
    local = SECRET  # noqa: F841 - a local that must not be shown
    raise ValueError(f"login failed: password={SECRET}") from KeyError({"token": SECRET})


def log_exception() -> None:
    try:
        raise_secret()
    except ValueError:
        structlog.get_logger().exception("failed")


def log_exception_by_stdlib() -> None:
    try:
        raise_secret()
    except ValueError:
        logging.getLogger("app.x").exception("failed")


def log_group() -> None:
    structlog.get_logger().error("failed", exc_info=ExceptionGroup("many", [ValueError(f"password={SECRET}")]))


def warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"connecting to https://bob:{SECRET}@example.com", stacklevel=1)


def fail_in_a_task() -> None:
    async def fail() -> None:
        raise_secret()

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())


def fail_in_a_thread() -> None:
    thread = threading.Thread(target=raise_secret)
    thread.start()
    thread.join()


def fail_in_a_finalizer() -> None:
    class Sore:
        def __del__(self) -> None:
            raise_secret()

    Sore()
    gc.collect()


def log_in_context() -> None:
    structlog.contextvars.bind_contextvars(session_token=SECRET)
    structlog.get_logger().info("in")
    structlog.contextvars.clear_contextvars()


class Opaque:
    def __repr__(self) -> str:
        return f"Opaque {SECRET}"


RECORD = {"name": "x", "levelno": logging.ERROR, "msg": f"pwd={SECRET}"}
WAYS: dict[str, Callable[[], object]] = {
    "headers": lambda: structlog.get_logger().info(
        "in", headers={"Authorization": f"Bearer {SECRET}", "cookie": SECRET}
    ),
    "raw headers": lambda: structlog.get_logger().info("in", headers=[(b"authorization", SECRET.encode())]),
    "query string": lambda: structlog.get_logger().info("in", path=f"/reset?a=1&token={SECRET}"),
    "body": lambda: structlog.get_logger().info("in", body={"user": {"password": SECRET, "cards": [{"cvv": SECRET}]}}),
    "json text": lambda: structlog.get_logger().info("in", body=f'{{"password": "{SECRET}"}}'),
    "bytes": lambda: structlog.get_logger().info("in", body=f'{{"api_key": "{SECRET}"}}'.encode()),
    "event": lambda: structlog.get_logger().info(f"login with password={SECRET}"),
    "own key": lambda: structlog.get_logger().info("in", api_key=SECRET),
    "bound": lambda: structlog.get_logger().bind(session=SECRET).info("in"),
    "contextvars": log_in_context,
    "structlog arguments": lambda: structlog.get_logger().info("login %s with %s", "bob", f"password={SECRET}"),
    "structlog mapping": lambda: structlog.get_logger().info("login %s %d", {"password": SECRET}, 3),
    "child logger": lambda: logging.getLogger("app.deep.child").info("password=%s", SECRET),
    "uvicorn.error": lambda: logging.getLogger("uvicorn.error").error("password=%s", SECRET),
    "sqlalchemy": lambda: logging.getLogger("sqlalchemy.engine.Engine").warning("[parameters: ('%s',)]", SECRET),
    "stdlib arguments": lambda: logging.getLogger("x").info("from %s: %s", {"token": SECRET}, [("cookie", SECRET)]),
    "arguments by key": lambda: logging.getLogger("x").info("%s", [{"password": Opaque()}]),
    "brace style": lambda: logging.getLogger("x").info(Message("password={word}", word=SECRET)),
    "extra": lambda: logging.getLogger("x").info("in", extra={"password": SECRET, "ctx": {"token": SECRET}}),
    "adapter": lambda: logging.LoggerAdapter(logging.getLogger("x"), {"api_key": SECRET}).info("in"),
    "record by hand": lambda: logging.getLogger("x").handle(logging.makeLogRecord(RECORD)),
    "exception": log_exception,
    "stdlib exception": log_exception_by_stdlib,
    "exception as a field": lambda: structlog.get_logger().info("in", error=ValueError(f"password={SECRET}")),
    "exception group": log_group,
    "warnings": warn,
    "task": fail_in_a_task,
    "thread": fail_in_a_thread,
    "finalizer": fail_in_a_finalizer,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("renderer", ["json", "console"])
def test_a_secret_does_not_arrive_whichever_way_it_is_logged(
    start: Start, capfd: pytest.CaptureFixture[str], way: Callable[[], object], renderer: Any
) -> None:
    capture = start(LoggingConfig(renderer=renderer))
    way()
    raw = capture.raw()
    assert "[redacted]" in raw
    assert SECRET not in raw
    assert capfd.readouterr() == ("", "")


def test_a_logger_that_somebody_bound_before_us_takes_our_way(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    bound = structlog.get_logger("early").bind(component="c")
    lazy = structlog.get_logger("early")
    capture = start()
    bound.info("one", password=SECRET)
    lazy.info("two", password=SECRET)
    bound.debug("below the level")
    assert [(line["event"], line["password"]) for line in capture.lines()] == [
        ("one", "[redacted]"),
        ("two", "[redacted]"),
    ]
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def library() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A library's logger with a handler of its own, cut off from the root."""
    logger = logging.getLogger("library.with.handler")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)
    logger.propagate = True


def test_a_logger_made_before_with_a_handler_of_its_own_takes_our_way(
    library: tuple[logging.Logger, io.StringIO], start: Start
) -> None:
    capture = start()
    logger, stream = library
    logger.getChild("child").error("password=%s", SECRET)
    assert capture.line()["event"] == "password=[redacted]"
    assert stream.getvalue() == ""


def test_a_logger_that_gains_a_handler_after_us_takes_our_way_too(start: Start, request: pytest.FixtureRequest) -> None:
    capture = start()
    logger, stream = request.getfixturevalue("library")
    logger.getChild("child").error("password=%s", SECRET)
    logger.error("password=%s", SECRET)
    assert [line["event"] for line in capture.lines()] == ["password=[redacted]"] * 2
    assert stream.getvalue() == ""


def test_a_handler_added_to_the_root_after_us_sees_nothing(start: Start) -> None:
    capture = start()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.root.addHandler(handler)
    logging.getLogger("x").error("password=%s", SECRET)
    assert capture.line()["event"] == "password=[redacted]"
    assert stream.getvalue() == ""


@pytest.mark.parametrize("adopt", [True, False])
def test_what_uvicorn_configures_after_us_is_taken_over(
    start: Start, capsys: pytest.CaptureFixture[str], *, adopt: bool
) -> None:
    capture = start()
    names = ("uvicorn", "uvicorn.error", "uvicorn.access")
    try:
        uvicorn.Config(app="none:none")  # its default log_config: own handlers, propagate=False
        assert logging.getLogger("uvicorn").handlers
        if adopt:
            capture.logs.adopt()
        for name in names:
            logging.getLogger(name).error("password=%s", SECRET)
        assert [(line["logger"], line["event"]) for line in capture.lines()] == [
            (name, "password=[redacted]") for name in names
        ]
        assert capsys.readouterr() == ("", "")
        assert logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO) is not adopt
    finally:
        capture.logs.close()
        for name in names:
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
            logging.getLogger(name).setLevel(logging.NOTSET)


# -- nothing forges, splits or floods


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize("renderer", ["json", "console"])
def test_nothing_that_a_client_sends_forges_or_splits_a_line(start: Start, evil: str, renderer: Any) -> None:
    capture = start(LoggingConfig(renderer=renderer))
    token = REQUEST_CONTEXT.set({"state": {"request_id": evil}, "route": evil})
    try:
        structlog.get_logger(evil).info(evil, **{evil: evil, "nested": {evil: [evil, evil.encode("utf-8", "replace")]}})
        logging.getLogger("x" + evil).info("path %s", evil, extra={evil: evil})
        capture.logs.emit("info", "request", caller=evil, route=evil)
    finally:
        REQUEST_CONTEXT.reset(token)
    raw = capture.raw()
    assert len(raw.splitlines()) == 3
    assert unsafe(raw.replace("\n", "")) == []
    if renderer == "json":
        for line in capture.lines():
            assert [unsafe(text) for text in texts(line) if unsafe(text)] == []
            assert line["level"] == "info"


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize("renderer", ["json", "console"])
def test_an_exceptions_text_forges_nothing(start: Start, evil: str, renderer: Any) -> None:
    capture = start(LoggingConfig(renderer=renderer))
    error = ValueError(evil)
    error.add_note(evil)
    error.__cause__ = ExceptionGroup(evil, [KeyError(evil)])
    structlog.get_logger().error("failed", exc_info=error)
    first, *rest = capture.raw().splitlines()
    assert "failed" in first
    assert all(line.startswith("    | ") for line in rest)
    assert bool(rest) is (renderer == "console")
    assert unsafe(capture.raw().replace("\n", "")) == []


def test_letters_of_every_script_stay_readable(start: Start) -> None:
    capture = start()
    structlog.get_logger().info("Grüße, 你好, שלום, 🙂", who="Ольга")
    assert "Grüße, 你好, שלום, 🙂" in capture.raw()
    assert capture.line()["who"] == "Ольга"


def test_in_the_console_a_text_cannot_pretend_to_be_fields(start: Start) -> None:
    capture = start(LoggingConfig(renderer="console"))
    structlog.get_logger("app").info("done level=error user=root", plain="a-b", forged="x level=error", n=3)
    assert capture.raw() == (
        '12:09:33.123Z info     app            "done level=error user=root"     plain=a-b forged="x level=error" n=3\n'
    )


def test_in_the_console_an_exception_stands_below_its_line(start: Start) -> None:
    capture = start(LoggingConfig(renderer="console", colors=True))
    log_exception()
    first, *rest = capture.raw().splitlines()
    assert first.startswith("12:09:33.123Z \x1b[31merror   \x1b[0m app            failed")
    assert rest[0] == "    | ValueError: login failed: password=[redacted]"
    assert "in raise_secret" in rest[2]
    assert rest[3].startswith("    | cause: KeyError: {'token': [redacted]")


def test_a_value_is_kept_to_the_bound_and_cut_past_it(start: Start) -> None:
    capture = start(LoggingConfig(max_value_length=10, max_key_length=5))
    structlog.get_logger().info("x", a="y" * 10, b="y" * 11, abcde=1, abcdef=2)
    line = capture.line()
    assert (line["a"], line["b"]) == ("y" * 10, "y" * 10 + "...[1 more]")
    assert (line["abcde"], line["abcde...[1 more]"]) == (1, 2)


def test_items_are_kept_to_the_bound_and_counted_past_it(start: Start) -> None:
    capture = start(LoggingConfig(max_items=3))
    structlog.get_logger().info("x", fits=[1, 2, 3], more={"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
    structlog.get_logger().info("y", **{f"k{n}": n for n in range(5)})
    first, second = capture.lines()
    assert (first["fits"], first["more"]) == ([1, 2, 3], {"a": 1, "b": 2, "c": 3, "...": "[2 more]"})
    assert (second["event"], second["k1"], second["..."]) == ("y", 1, "[3 more]")


def test_the_exception_is_kept_however_many_fields_there_are(start: Start) -> None:
    capture = start(LoggingConfig(max_items=3))
    structlog.get_logger().error("x", exc_info=ValueError("why"), **{f"k{n}": n for n in range(100)})
    assert capture.line()["exception"]["message"] == "why"


def test_nesting_is_kept_to_the_bound_and_replaced_past_it(start: Start) -> None:
    capture = start(LoggingConfig(max_depth=3), redact=same)
    structlog.get_logger().info("x", fits=[["leaf"]], more=[[["leaf"]]])
    line = capture.line()
    assert (line["fits"], line["more"]) == ([["leaf"]], [["[too deep]"]])


@pytest.mark.parametrize("renderer", ["json", "console"])
def test_a_line_is_kept_to_the_bound_and_truncated_past_it(start: Start, renderer: Any) -> None:
    capture = start(LoggingConfig(renderer=renderer, max_line_bytes=4096))
    log = structlog.get_logger()
    log.info("x", a="y" * 2000, b="")
    empty = len(capture.raw())
    if renderer == "console":
        empty -= 2  # the quotes of the empty value
    log.info("x", a="y" * 2000, b="z" * (4096 - empty))
    log.info("x", a="y" * 2000, b="z" * (4097 - empty))
    lines = capture.raw().splitlines(keepends=True)
    assert [len(line) for line in lines[:2]][1] == 4096
    assert "truncated" not in lines[1]
    assert len(lines[2]) < 4096
    assert "truncated" in lines[2]


def test_numbers_that_json_cannot_hold_become_text(start: Start) -> None:
    capture = start(redact=same)
    values = {"a": 2**64 - 1, "b": 2**64, "c": -(2**63), "d": -(2**63) - 1, "e": float("nan"), "f": float("-inf")}
    structlog.get_logger().info("x", **values)
    line = capture.line()
    assert [line[key] for key in "abcdef"] == [
        2**64 - 1, "[integer of 65 bits]", -(2**63), "[integer of 64 bits]", "nan", "-inf",
    ]  # fmt: skip


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("renderer", ["json", "console"])
@pytest.mark.parametrize("redact", [same, Redactor().redact], ids=["not redacted", "redacted"])
def test_any_fields_become_exactly_one_valid_line_under_the_cap(
    start: Start, redact: Callable[..., Any], renderer: Any
) -> None:
    capture = start(LoggingConfig(renderer=renderer, max_line_bytes=4096), redact=redact)
    log = structlog.get_logger()
    written = 0

    @settings(deadline=None, derandomize=True, database=None, max_examples=examples(30))
    @given(st.text(), st.dictionaries(st.text(), VALUES | st.text(min_size=200)), st.integers(1, 60))
    def every(event: str, fields: dict[str, Any], times: int) -> None:
        nonlocal written
        fields.pop("exc_info", None)
        log.info(event, **{key * times: value for key, value in fields.items()})
        raw = capture.raw()[written:]
        written += len(raw)
        assert len(raw.splitlines()) == 1
        assert raw.endswith("\n")
        assert len(raw.encode()) <= 4096
        if renderer == "json":
            line = orjson.loads(raw)
            assert (line["level"], line["logger"]) == ("info", "app")
            assert "log_rendering_failed" not in raw

    every()


# -- exceptions


def dig(depth: int) -> None:
    if depth == 0:
        raise ValueError("bottom")
    dig(depth - 1)


@pytest.mark.parametrize(("depth", "shown"), [(2, 4), (3, 5), (4, 5), (300, 5)])
def test_frames_are_told_to_the_bound_the_innermost_of_them(start: Start, depth: int, shown: int) -> None:
    capture = start(LoggingConfig(max_frames=5))
    try:
        dig(depth)
    except ValueError:
        structlog.get_logger().exception("failed")
    exception = capture.line()["exception"]
    assert (exception["type"], exception["message"]) == ("ValueError", "bottom")
    assert len(exception["frames"]) == shown
    assert exception["frames"][-1].endswith(f":{dig.__code__.co_firstlineno + 2} in dig")


def test_causes_contexts_and_groups_are_told_to_the_bound(start: Start) -> None:
    capture = start(LoggingConfig(max_exceptions=3, max_depth=20))
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first  # a circle
    structlog.get_logger().error("circle", exc_info=first)
    structlog.get_logger().error("group", exc_info=ExceptionGroup("g", [ValueError(str(n)) for n in range(9)]))
    circle, group = (line["exception"] for line in capture.lines())
    assert circle["cause"]["cause"]["message"] == "first"
    assert "cause" not in circle["cause"]["cause"]
    assert [member["message"] for member in group["exceptions"]] == ["0", "1"]


def test_a_context_that_was_suppressed_is_not_told(start: Start) -> None:
    capture = start()
    for suppress in (False, True):
        error = ValueError("x")
        error.__context__ = KeyError("y")
        error.__suppress_context__ = suppress
        structlog.get_logger().error("failed", exc_info=error)
    assert ["context" in line["exception"] for line in capture.lines()] == [True, False]


def test_locals_are_never_told(start: Start) -> None:
    capture = start(redact=same)
    local = "a-local-value"
    try:
        len(local) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    assert local not in capture.raw()


def test_an_exception_that_cannot_say_itself_is_told_by_its_type(start: Start) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError(SECRET)

    capture = start()
    structlog.get_logger().error("failed", exc_info=Mute())
    assert capture.line()["exception"]["message"] == "[not readable: RuntimeError]"
    assert capture.line()["exception"]["type"].endswith("Mute")


@pytest.mark.parametrize("given", [True, (None, None, None), "text", 0, ()])
def test_no_exception_at_hand_is_no_fault(start: Start, given: Any) -> None:
    capture = start()
    structlog.get_logger().error("failed", exc_info=given)
    assert "exception" not in capture.line()


# -- a log call does not fail


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


@pytest.mark.parametrize("renderer", ["json", "console"])
def test_what_cannot_be_rendered_is_reported_by_a_line_of_its_own(start: Start, renderer: Any) -> None:
    def broken(event_dict: object) -> dict[str, Any]:
        raise ValueError(SECRET)

    capture = start(LoggingConfig(renderer=renderer), redact=broken)
    structlog.get_logger("app.x").info("lost")
    logging.getLogger("app.x").info("lost")
    raw = capture.raw()
    assert raw.count("log_rendering_failed") == raw.count("ValueError") == raw.count("app.x") == 2
    assert SECRET not in raw


def test_a_value_that_cannot_be_read_is_reported_too(start: Start) -> None:
    capture = start(redact=same)
    structlog.get_logger().info("x", value=Hostile())
    logging.getLogger().info(Hostile())
    assert [(line["event"], line["error"]) for line in capture.lines()] == [
        ("log_rendering_failed", "RuntimeError")
    ] * 2


def test_redaction_may_drop_a_line(start: Start) -> None:
    def drop(event_dict: dict[str, Any]) -> dict[str, Any]:
        if event_dict["event"] == "noise":
            raise structlog.DropEvent
        return event_dict

    capture = start(redact=drop)
    structlog.get_logger().info("noise")
    logging.getLogger().info("noise")
    structlog.get_logger().info("signal")
    assert capture.line()["event"] == "signal"


# -- context


class Route:
    path_format = "/v1/orders/{order_id}"


def test_the_requests_context_is_in_every_line_and_cannot_be_overridden(start: Start) -> None:
    capture = start()
    scope: dict[str, Any] = {"state": {"request_id": "r-1", "trace_id": "t-1", "principal": SECRET}}
    token = REQUEST_CONTEXT.set(scope)
    try:
        scope["route"] = Route()  # the router does so, after the context was set
        structlog.get_logger().info("x", request_id="forged", route="forged", logger="forged")
        logging.getLogger("y").info("x", extra={"trace_id": "forged"})
    finally:
        REQUEST_CONTEXT.reset(token)
    structlog.get_logger().info("outside")
    first, second, outside = capture.lines()
    assert (first["request_id"], first["trace_id"], first["route"]) == ("r-1", "t-1", "/v1/orders/{order_id}")
    assert (first["request_id_"], first["route_"], first["logger_"]) == ("forged", "forged", "forged")
    assert (second["request_id"], second["trace_id"], second["trace_id_"]) == ("r-1", "t-1", "forged")
    assert "principal" not in first
    assert "request_id" not in outside


def test_a_job_sets_the_keys_themselves(start: Start) -> None:
    capture = start()
    token = REQUEST_CONTEXT.set({"request_id": "job-1"})
    structlog.get_logger().info("x")
    REQUEST_CONTEXT.reset(token)
    assert capture.line()["request_id"] == "job-1"


def test_structlogs_own_context_works(start: Start) -> None:
    capture = start()
    with structlog.contextvars.bound_contextvars(job="j-1"):
        structlog.get_logger().info("x")
        logging.getLogger().info("x")
    structlog.get_logger().info("x")
    assert [line.get("job") for line in capture.lines()] == ["j-1", "j-1", None]


async def test_context_does_not_leak_between_tasks_that_run_at_once(start: Start) -> None:
    capture = start()
    inside = 0
    everybody = anyio.Event()

    async def serve(number: int) -> None:
        nonlocal inside
        REQUEST_CONTEXT.set({"state": {"request_id": f"r-{number}"}})
        inside += 1
        if inside == 20:
            everybody.set()
        await everybody.wait()
        structlog.get_logger().info("x", number=number)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(serve, number)
    assert {f"r-{n}": n for n in range(20)} == {line["request_id"]: line["number"] for line in capture.lines()}
    assert REQUEST_CONTEXT.get() is None


# -- the short chain


def test_flat_fields_take_the_short_chain(start: Start) -> None:
    capture = start(redact=lambda event: pytest.fail("not on the short chain"))
    capture.logs.emit("warning", "request", status=200, duration_ms=1.5, caller=None)
    expected = {
        "timestamp": "2026-11-23T12:09:33.123Z",
        "level": "warning",
        "logger": "app.request",
        "event": "request",
        "status": 200,
        "duration_ms": 1.5,
        "caller": None,
    }
    assert expected == capture.line()


def test_a_long_text_on_the_short_chain_is_cut_when_the_line_is_long(start: Start) -> None:
    capture = start()
    capture.logs.emit("info", "request", caller="x" * 5000)
    assert capture.line()["caller"] == "x" * 256 + "...[4744 more]"


def test_what_is_not_flat_goes_the_long_way(start: Start) -> None:
    capture = start()
    capture.logs.emit("info", "request", caller={1: {"password": SECRET}}, order=object())
    line = capture.line()
    assert line["caller"] == {"1": {"password": "[redacted]"}}
    assert (line["event"], line["logger"], line["level"]) == ("request", "app.request", "info")


def test_the_short_chain_keeps_to_the_level(start: Start) -> None:
    capture = start(LoggingConfig(level="warning"))
    capture.logs.emit("info", "request")
    capture.logs.emit("error", "request")
    assert capture.line()["level"] == "error"


# -- configuration


@pytest.mark.parametrize(
    "build",
    [
        lambda: LoggingConfig(renderer="xml"),  # type: ignore[arg-type]
        lambda: LoggingConfig(level="loud"),
        lambda: LoggingConfig(levels={"x": "loud"}),
        lambda: LoggingConfig(max_line_bytes=4095),
        lambda: LoggingConfig(max_line_bytes=4096, queue_bytes=4095),
        lambda: LoggingConfig(max_value_length=0),
        lambda: LoggingConfig(max_key_length=0),
        lambda: LoggingConfig(max_items=0),
        lambda: LoggingConfig(max_depth=0),
        lambda: LoggingConfig(max_frames=0),
        lambda: LoggingConfig(max_exceptions=0),
        lambda: LoggingConfig(flush_delay=-0.1),
        lambda: LoggingConfig(flush_delay=1.1),
    ],
)
def test_a_setting_that_cannot_work_is_refused(build: Callable[[], LoggingConfig]) -> None:
    LoggingConfig(max_line_bytes=4096, queue_bytes=4096, flush_delay=1)
    with pytest.raises(LoggingConfigError):
        build()


def test_closing_puts_back_what_was_configured_before(start: Start) -> None:
    def state() -> list[object]:
        return [
            logging.root.handlers,
            logging.root.level,
            logging.getLogger("uvicorn.access").level,
            logging.getLogRecordFactory(),
            list(structlog.get_config()["processors"]),
            structlog.get_config()["wrapper_class"],
            sys.excepthook,
            threading.excepthook,
            sys.unraisablehook,
            warnings.showwarning,
        ]

    before = state()
    capture = start()
    assert all(was is not now and was != now for was, now in zip(before, state(), strict=True))
    capture.logs.adopt()
    capture.logs.close()
    assert before == state()


def test_configuring_again_closes_what_was_configured_first(start: Start) -> None:
    first, second = start(), start()
    log = structlog.get_logger()
    log.info("once")
    assert first.path.read_bytes() == b""
    assert second.line()["event"] == "once"
    assert not first.logs.writer.write(b"late\n")
    second.logs.close()
    third = start()
    log.info("again")  # the same logger, which had been used already
    assert third.line()["event"] == "again"


# -- the writer


def writer_to(fd: int, **options: Any) -> LineWriter:
    settings: dict[str, Any] = {"max_bytes": 1 << 20, "delay": 0.0, "report": lambda count: b"dropped %d\n" % count}
    return LineWriter(fd, **(settings | options))


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.received = bytearray()
        self._thread: threading.Thread | None = None

    def read_all(self) -> None:
        """Start reading, in a thread, until the writing end is closed."""

        def run() -> None:
            while data := os.read(self.reader, 65536):
                self.received += data

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.reader], [], [], 10)[0], f"nothing came after {line!r}"
            line += os.read(self.reader, 1)
        return line

    def finish(self) -> list[bytes]:
        os.close(self.writer)
        self.writer = -1
        assert self._thread is not None
        self._thread.join(10)
        return bytes(self.received).splitlines(keepends=True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for fd in (pipe.reader, pipe.writer):
        if fd >= 0:
            os.close(fd)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_stalls_holds_nobody_up_and_what_is_dropped_is_counted(pipe: Pipe, *, blocking: bool) -> None:
    os.set_blocking(pipe.writer, blocking)
    writer = writer_to(pipe.writer, max_bytes=100_000)
    # Ten megabytes into a pipe that nobody reads: it holds 64 KiB, the queue 100 kB. A call that waits hangs the test.
    taken = [writer.write(b"%06d %s\n" % (number, b"x" * 1000)) for number in range(10_000)]
    assert writer.dropped == taken.count(False) > 9_000
    pipe.read_all()
    assert writer.close(timeout=10)
    lines = pipe.finish()
    reports = [line for line in lines if line.startswith(b"dropped ")]
    kept = [int(line[:6]) for line in lines if not line.startswith(b"dropped ")]
    assert kept == [number for number, was_taken in enumerate(taken) if was_taken]
    assert sum(int(line.split()[1]) for line in reports) == writer.dropped


def test_logging_to_a_stalled_pipe_returns_and_the_loss_is_a_line_of_its_own(pipe: Pipe) -> None:
    logs = configure_logging(LoggingConfig(queue_bytes=65536, flush_delay=0), redact=same, fd=pipe.writer)
    log = structlog.get_logger()
    for _ in range(1000):
        log.error("x", text="y" * 1000)
    assert logs.writer.dropped > 0
    pipe.read_all()
    assert logs.close(timeout=10)
    lines = [orjson.loads(line) for line in pipe.finish()]
    reports = [line for line in lines if line["event"] == "log_lines_dropped"]
    assert sum(line["dropped"] for line in reports) == logs.writer.dropped
    assert reports[0]["level"] == "warning"
    assert len(lines) - len(reports) + logs.writer.dropped == 1000


def test_the_queue_takes_lines_to_the_bound_and_not_past_it() -> None:
    gate = threading.Event()
    entered = threading.Event()

    def stalled(_fd: int, data: memoryview) -> int:
        entered.set()
        gate.wait(10)
        return len(data)

    writer = writer_to(-1, max_bytes=30, write=stalled)
    writer.write(b"taken off at once\n", urgent=True)
    assert entered.wait(10)
    assert writer.write(b"ten bytes\n")
    assert writer.write(b"nineteen more bytes\n")
    assert not writer.write(b"\n")
    assert writer.dropped == 1
    gate.set()
    assert writer.close(timeout=10)


def test_closing_flushes(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer, delay=3600)
    for number in range(100):
        writer.write(b"%d\n" % number)
    pipe.read_all()
    assert writer.close(timeout=10)
    assert pipe.finish() == [b"%d\n" % number for number in range(100)]
    assert writer.close(timeout=10)
    assert writer.flush(timeout=10)


def test_closing_gives_up_when_the_reader_stalls(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer)
    writer.write(b"x" * 200_000 + b"\n")
    assert not writer.close(timeout=0.01)
    os.close(pipe.reader)  # lets the thread go
    pipe.reader = -1
    assert writer._thread is not None
    writer._thread.join(10)


def test_a_line_after_closing_is_dropped_and_counted(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer)
    writer.close()
    assert not writer.write(b"late\n")
    assert writer.dropped == 1


def test_many_lines_are_written_at_once() -> None:
    writes: list[bytes] = []

    def record(_fd: int, data: memoryview) -> int:
        writes.append(bytes(data))
        return len(data)

    writer = writer_to(-1, delay=3600, write=record)
    for number in range(100):
        writer.write(b"%d\n" % number)
    assert writer.flush(timeout=10)
    assert writes == [b"".join(b"%d\n" % number for number in range(100))]
    writer.close()


class Tokens(queue.SimpleQueue[Any]):
    """Remembers how long the writer's thread was ready to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - the queue's own
        self.waits.append(timeout)
        return super().get(block, timeout)


def test_only_a_calm_line_waits_for_company(pipe: Pipe) -> None:
    for urgent, waits in ((False, [None, 3600]), (True, [None])):
        writer = writer_to(pipe.writer, delay=3600)
        writer._tokens = tokens = Tokens()
        writer.write(b"x\n", urgent=urgent)
        assert writer.close(timeout=10)
        assert tokens.waits[: len(waits)] == waits
        assert tokens.waits[len(waits) :].count(3600) == 0


def test_many_urgent_lines_wake_the_thread_once() -> None:
    gate, entered = threading.Event(), threading.Event()

    def stalled(_fd: int, data: memoryview) -> int:
        entered.set()
        gate.wait(10)
        return len(data)

    writer = writer_to(-1, write=stalled)
    writer.write(b"x\n", urgent=True)
    assert entered.wait(10)
    for _ in range(100):
        writer.write(b"x\n", urgent=True)
    assert writer._tokens.qsize() == 1
    gate.set()
    assert writer.close(timeout=10)


def test_an_urgent_line_does_not_wait_for_company(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer, delay=3600)
    writer.write(b"calm\n")
    writer.write(b"urgent\n", urgent=True)
    assert (pipe.read_line(), pipe.read_line()) == (b"calm\n", b"urgent\n")
    writer.write(b"urgent first\n", urgent=True)
    assert pipe.read_line() == b"urgent first\n"
    writer.close()


@pytest.mark.parametrize("say", [lambda: structlog.get_logger().error("x"), lambda: logging.getLogger().critical("x")])
def test_an_error_is_urgent(pipe: Pipe, say: Callable[[], None]) -> None:
    logs = configure_logging(LoggingConfig(), redact=same, fd=pipe.writer)
    logs.writer._delay = 3600
    structlog.get_logger().info("calm")
    say()
    assert [orjson.loads(pipe.read_line())["event"] for _ in range(2)] == ["calm", "x"]
    logs.close()


def test_a_calm_line_comes_by_itself_after_the_delay(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer, delay=0.01)
    for _ in range(3):
        writer.write(b"calm\n")
        assert pipe.read_line() == b"calm\n"
    writer.close()


def test_a_write_that_took_a_part_is_continued() -> None:
    written = bytearray()

    def slow(_fd: int, data: memoryview) -> int:
        written.extend(data[:3])
        return len(data[:3])

    writer = writer_to(-1, write=slow)
    writer.write(b"a whole line\n")
    writer.close()
    assert bytes(written) == b"a whole line\n"


def test_a_reader_that_is_gone_costs_lines_and_no_exception(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.reader = -1
    writer = writer_to(pipe.writer)
    for _ in range(3):
        assert writer.write(b"x\n")
    assert writer.flush(timeout=10)
    assert writer.dropped == 3
    writer.close()


def test_a_line_that_failed_half_way_does_not_spoil_the_next() -> None:
    written = bytearray()
    replies: list[int | OSError] = [12, OSError(28, "no space"), OSError(28, "no space")]

    def failing(_fd: int, data: memoryview) -> int:
        reply = replies.pop(0) if replies else len(data)
        if isinstance(reply, OSError):
            raise reply
        written.extend(data[:reply])
        return reply

    writer = writer_to(-1, delay=3600, write=failing)
    writer.write(b"whole line\n")
    writer.write(b"torn line\n")
    writer.write(b"lost line\n")
    assert writer.flush(timeout=10)
    assert writer.dropped == 2
    writer.write(b"next line\n")
    assert writer.flush(timeout=10)
    assert bytes(written) == b"whole line\nt\nnext line\ndropped 2\n"
    writer.close()


def test_logging_in_the_middle_of_logging_does_not_hang(pipe: Pipe) -> None:
    class Interrupting(bytes):
        """Logs while its own length is taken, as a signal handler or a finalizer may."""

        def __len__(self) -> int:
            if not interrupted:
                interrupted.append(True)
                writer.write(b"inner\n", urgent=True)
            return super().__len__()

    interrupted: list[bool] = []
    writer = writer_to(pipe.writer)
    writer.write(Interrupting(b"outer\n"))
    assert {pipe.read_line(), pipe.read_line()} == {b"inner\n", b"outer\n"}
    assert writer.close(timeout=10)
    assert writer._size == 0


def test_lines_of_many_threads_arrive_whole(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer, delay=0.001)
    pipe.read_all()

    def produce(name: int) -> None:
        for number in range(500):
            writer.write(b"%d %d %s\n" % (name, number, b"x" * 100))

    threads = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert writer.close(timeout=10)
    lines = pipe.finish()
    assert sorted(lines) == sorted(b"%d %d %s\n" % (a, b, b"x" * 100) for a in range(4) for b in range(500))


# -- the process's end


def run(script: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    preamble = """
        import logging, os, sys, threading
        import structlog
        from app.patterns.structured_logging import LoggingConfig, configure_logging
        logs = configure_logging(LoggingConfig(flush_delay=1), redact=lambda event: event)
        log = structlog.get_logger()
    """
    code = textwrap.dedent(preamble) + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=False, capture_output=True, timeout=60, **options
    )


def events(output: bytes) -> list[str]:
    return [orjson.loads(line)["event"] for line in output.splitlines()]


def test_lines_are_written_when_the_process_ends() -> None:
    done = run("log.info('last words')")
    assert (events(done.stdout), done.stderr) == (["last words"], b"")


def test_an_exception_that_ends_the_process_is_a_line() -> None:
    done = run("raise ValueError('why\\nforged')")
    line = orjson.loads(done.stdout)
    assert (line["level"], line["event"], line["exception"]["message"]) == (
        "critical",
        "uncaught exception",
        "why\\nforged",
    )
    assert (done.stderr, done.returncode) == (b"", 1)


def test_a_forked_child_writes_its_own_lines_and_not_its_parents() -> None:
    done = run(
        """
        log.info("before the fork")
        child = os.fork()
        if child == 0:
            log.info("child")
            logs.writer.close()
            os._exit(0)
        os.waitpid(child, 0)
        log.info("parent")
        """
    )
    assert sorted(events(done.stdout)) == ["before the fork", "child", "parent"]


def test_a_stalled_reader_does_not_keep_the_process_alive(pipe: Pipe) -> None:
    script = """
        for _ in range(1000):
            log.info("x", text="y" * 1000)
        logs.close(timeout=0.01)
        sys.stderr.write("ended")
    """
    code = (
        "import sys, structlog\n"
        "from app.patterns.structured_logging import LoggingConfig, configure_logging\n"
        f"logs = configure_logging(LoggingConfig(), redact=lambda event: event, fd={pipe.writer})\n"
        "log = structlog.get_logger()\n" + textwrap.dedent(script)
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, timeout=60, pass_fds=[pipe.writer]
    )
    assert (done.returncode, done.stderr) == (0, b"ended")
