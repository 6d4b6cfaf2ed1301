from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.commands import OTHER_INDEXES, UV, environment, succeed
from tests.support.template import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCKS = ["uv.lock", f"{SERVICE}/uv.lock"]
PUBLIC_INDEX = "https://pypi.org/simple"
PUBLIC_FILES = "files.pythonhosted.org"


def urls(value: object) -> Iterator[str]:
    """Yield every string in a lock that stands for a place."""
    match value:
        case dict():
            for key, inner in value.items():
                if key in {"url", "registry", "git", "path"} and isinstance(inner, str):
                    yield inner
                else:
                    yield from urls(inner)
        case list():
            for inner in value:
                yield from urls(inner)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_the_public_index_and_nothing_else(template: Path, lock: str) -> None:
    text = (template / lock).read_text("utf-8")
    places = set(urls(tomllib.loads(text)))
    assert PUBLIC_INDEX in places
    assert {urlsplit(place)[:2] for place in places - {PUBLIC_INDEX}} == {("https", PUBLIC_FILES)}
    assert "file:" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_what_its_project_asks_for(template: Path, lock: str) -> None:
    project = (template / lock).parent
    env = environment(without=OTHER_INDEXES)
    succeed(
        UV,
        "--no-config",
        "lock",
        "--check",
        "--offline",
        "--default-index",
        PUBLIC_INDEX,
        cwd=project,
        env=env,
    )
