"""Fixtures that more than one test package needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.databases import database_url, postgres, postgres_database, postgres_url, sqlite_url
from tests.support.redis_server import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["database_url", "postgres", "postgres_database", "postgres_url", "sqlite_url"]  # fixtures, found by name

# The same examples each time, and no time limit for one of them: a loaded machine is no fault of the code.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a real Redis that the whole run shares: use keys of your own, and do not stop it."""
    with redis_server() as server:
        yield server.url
