"""Fixtures that more than one test package needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.redis_server import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a real Redis that the whole run shares: use keys of your own, and do not stop it."""
    with redis_server() as server:
        yield server.url
