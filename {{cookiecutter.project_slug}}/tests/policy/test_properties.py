"""Whatever the file says, the answer is a policy or a ``PolicyError`` that can be followed."""

from __future__ import annotations

import string
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy import Policy, PolicyError, load_policy, names, route_key, values, write
from app.policy.route_entry import ROUTE_KEYS
from tests.support.wide import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

thorough = settings(derandomize=True, database=None, deadline=None, max_examples=examples(100))

SCALARS = (
    st.text(max_size=12)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.datetimes().map(lambda when: when.replace(fold=0))
    | st.dates()
    | st.times().map(lambda when: when.replace(fold=0))
    | st.sampled_from(["60/minute", "5s", "1KiB", "off", "required", "probation", "unlimited", "a:b", "-1s", "9m"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*ROUTE_KEYS, "alow", "outbuond", "x"])
ROUTES = st.text(max_size=8) | st.sampled_from(
    ["GET /x", "POST /x", "GET /x/", "get /{a}", "PUT /{b:int}", "HEAD /", "x", ""],
)
PERMISSIONS = st.lists(st.sampled_from(["a:b", "a:c", "A:b", "breakwater:closed", "ab", ":"]), max_size=3) | VALUES
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "roles": st.dictionaries(st.sampled_from(["r", "s", "R"]), PERMISSIONS, max_size=3) | VALUES,
        "defaults": st.dictionaries(KEYS, VALUES, max_size=5) | VALUES,
        "routes": st.dictionaries(ROUTES, st.dictionaries(KEYS, PERMISSIONS, max_size=6) | VALUES, max_size=4) | VALUES,
        "route": VALUES,
        "timeout": VALUES,
    },
)


def load(file: Path, content: bytes) -> Policy | PolicyError:
    file.write_bytes(content)
    try:
        return load_policy(file, upstreams=frozenset({"payments"}))
    except PolicyError as error:
        return error


def check_problems(error: PolicyError, lines: int) -> None:
    assert error.problems
    assert sorted(problem.line for problem in error.problems) == [problem.line for problem in error.problems]
    for problem in error.problems:
        assert 1 <= problem.line <= lines
        assert problem.message.isprintable()
        assert problem.fix.replace("\n", "").isprintable()
        assert len(problem.message) < 600


@thorough
@given(content=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_load_or_are_refused(policy_file: Path, content: bytes) -> None:
    result = load(policy_file, content)
    if isinstance(result, PolicyError):
        check_problems(result, content.count(b"\n") + 1)


@thorough
@given(text=st.text(alphabet="[]{}\"'=.,:#\\\n \tarolesut1/GE", max_size=60))
def test_anything_that_looks_like_toml_loads_or_is_refused(policy_file: Path, text: str) -> None:
    result = load(policy_file, b'[roles]\nr = ["a:b"]\n' + text.encode())
    if isinstance(result, PolicyError):
        check_problems(result, text.count("\n") + 3)


@thorough
@given(document=DOCUMENTS)
def test_any_toml_loads_or_is_refused_with_fixes_that_are_toml(policy_file: Path, document: dict[str, Any]) -> None:
    text = "".join(f"{write.toml_key(key)} = {write.toml_value(value)}\n" for key, value in document.items())
    result = load(policy_file, text.encode())
    if isinstance(result, PolicyError):
        check_problems(result, text.count("\n") + 1)
        for problem in result.problems:
            tomllib.loads(problem.fix)


@thorough
@given(value=VALUES)
def test_a_value_survives_being_written(value: Any) -> None:
    text = f"key = {write.toml_value(value)}"
    assert repr(value) == repr(tomllib.loads(text)["key"])


@pytest.mark.parametrize(
    "parse",
    [
        values.parse_rate,
        values.parse_duration,
        values.parse_size,
        values.parse_stage,
        values.parse_idempotency,
        values.parse_default_idempotency,
        values.parse_true,
        values.parse_texts,
    ],
)
@thorough
@given(value=VALUES | st.text(alphabet="0123456789/;., smhdinute KMGibB", max_size=14))
def test_a_suggested_value_is_itself_accepted(parse: Callable[[object], object], value: object) -> None:
    try:
        parse(value)
    except values.BadValue as error:
        parse(error.suggestion)


@thorough
@given(key=st.text(alphabet="GETPOS /{}:x<>?#.-" + string.digits, max_size=24) | st.text(max_size=12))
def test_a_suggested_route_is_itself_accepted(key: str) -> None:
    suggestion = suggested(key)
    if suggestion == key:
        method, path = route_key.parse_route_key(key)
        assert key == f"{method} {path}"
        assert names.is_permission(route_key.likely_permission(method, path))
    elif suggestion is not None:
        assert suggested(suggestion) == suggestion


def suggested(key: str) -> str | None:
    """Return the key itself if it is accepted."""
    try:
        route_key.parse_route_key(key)
    except values.BadValue as error:
        return None if error.suggestion is None else str(error.suggestion)
    return key
