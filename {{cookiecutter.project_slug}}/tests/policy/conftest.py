from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from app.policy import Policy, PolicyError, PolicyProblem, load_policy

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., Policy]
Problems = Callable[..., list[PolicyProblem]]


@pytest.fixture(scope="session")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy") / "policy.toml"


@pytest.fixture(scope="session")
def load(policy_file: Path) -> Load:
    """Load a policy from text or bytes."""

    def from_content(content: str | bytes, *, upstreams: frozenset[str] = frozenset()) -> Policy:
        policy_file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return load_policy(policy_file, upstreams=upstreams)

    return from_content


@pytest.fixture(scope="session")
def problems(load: Load) -> Problems:
    """Load a policy that must not load, and return what is wrong with it."""

    def of(content: str | bytes, *, upstreams: frozenset[str] = frozenset()) -> list[PolicyProblem]:
        with pytest.raises(PolicyError) as raised:
            load(content, upstreams=upstreams)
        return list(raised.value.problems)

    return of
