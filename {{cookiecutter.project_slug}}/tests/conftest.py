"""Fixtures that more than one test package needs."""

from __future__ import annotations

import functools
import os
import signal
from typing import TYPE_CHECKING

import httpcore2
from hypothesis import settings

from tests.support.databases import database_url, postgres, postgres_database, postgres_url, sqlite_url
from tests.support.redis_server import redis_url
from tests.support.wide import VARIABLE

if TYPE_CHECKING:
    import pytest

# Fixtures, found by name.
__all__ = ["database_url", "postgres", "postgres_database", "postgres_url", "redis_url", "sqlite_url"]

# The same examples each time, and no time limit for one of them: a loaded machine is no fault of the code.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


# Every client loads all authorities, which takes as long as a dozen requests, though it speaks plain HTTP to loopback.
httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wide", action="store_true", help="try twenty times as much, and the tests marked wide")


def pytest_configure(config: pytest.Config) -> None:
    os.environ[VARIABLE] = "1" if config.getoption("wide") else "0"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A job that a script put into the background ignores the interrupt, and so would all that tests start.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is only tried with ``--wide``; pytest says how many were deselected."""
    if config.getoption("wide"):
        return
    left_out = [item for item in items if item.get_closest_marker("wide")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("wide")]
