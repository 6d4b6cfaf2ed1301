"""What a correct policy file means."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.patterns.authorization import parse_permission
from app.patterns.rate_limit import parse_rate as parse_enforced_rate
from app.policy import CLOSED, PolicyDefaults, RoutePolicy, load_policy, model, names, values
from app.upstreams import NAMES
from tests.support.wide import examples

if TYPE_CHECKING:
    from tests.policy.conftest import Load

SHIPPED = Path(__file__).parents[2] / "policy.toml"

ROLES = '[roles]\ncustomer = ["orders:read", "orders:write"]\nsupport = ["orders:read"]\n'


def entry(load: Load, lines: str, *, name: str = "GET /x", upstreams: frozenset[str] = frozenset()) -> RoutePolicy:
    policy = load(f'{ROLES}[routes."{name}"]\n{lines}\n', upstreams=upstreams)
    return policy.routes[tuple(name.split(" "))]  # type: ignore[index] # two words


def test_an_entry_opens_files_to_read_and_to_write_apart(load: Load) -> None:
    longest = "x" * model.MAX_PATH
    most = [f"data/{number}" for number in range(model.MAX_FILES)]
    lines = f'public = true\nfiles = {{ read = {[*most[1:], longest]}, write = ["/var/spool/x"] }}'
    assert entry(load, lines).files == model.Files(read=(*most[1:], longest), write=("/var/spool/x",))
    assert entry(load, "public = true").files == model.Files()
    job = load(f'{ROLES}[jobs."a.b"]\nfiles = {{ read = ["data"] }}\n').jobs["a.b"]
    assert job.files == model.Files(read=("data",))


def test_an_entry_says_everything_itself(load: Load) -> None:
    policy = load(
        ROLES
        + """
[routes."POST /v1/orders"]
allow = ["orders:write", "orders:read"]
rate = "10/minute; 100/hour"
timeout = "250ms"
max_body = "1MiB"
body_timeout = "100ms"
idempotency = "off"
idempotency_reason = "a second order is caught by its number"
outbound = ["payments"]
stage = "probation"
""",
        upstreams=frozenset({"payments", "stock"}),
    )
    assert {
        ("POST", "/v1/orders"): RoutePolicy(
            method="POST",
            path="/v1/orders",
            public=False,
            allow=frozenset({"orders:write", "orders:read"}),
            rate="10/minute;100/hour",
            timeout=0.25,
            max_body=1024 * 1024,
            body_timeout=0.1,
            idempotency="off",
            idempotency_reason="a second order is caught by its number",
            effects="local",
            outbound=frozenset({"payments"}),
            stage="probation",
            line=5,
        ),
    } == dict(policy.routes)
    assert {
        "customer": frozenset({"orders:read", "orders:write"}),
        "support": frozenset({"orders:read"}),
    } == dict(policy.roles)


def test_an_entry_that_says_only_who_may_call_gets_the_defaults(load: Load) -> None:
    policy = load(
        """
[roles]
customer = ["orders:write"]
[defaults]
rate = "5/second"
timeout = "1m"
max_body = "512B"
body_timeout = "2s"
stage = "probation"
idempotency = "optional"
[routes."PATCH /x"]
allow = ["orders:write"]
""",
    )
    assert PolicyDefaults("5/second", 60.0, 512, 2.0, "probation", "optional") == policy.defaults
    route = policy.routes["PATCH", "/x"]
    assert (
        route.rate,
        route.timeout,
        route.max_body,
        route.body_timeout,
        route.stage,
        route.idempotency,
    ) == ("5/second", 60.0, 512, 2.0, "probation", "optional")
    assert ("", frozenset(), False) == (route.idempotency_reason, route.outbound, route.public)


def test_a_file_without_defaults_has_the_built_in_ones(load: Load) -> None:
    assert PolicyDefaults("60/minute", 5.0, 65_536, 5.0, "active", "required") == load("").defaults


def test_an_empty_file_is_a_policy_that_opens_nothing(load: Load) -> None:
    policy = load("")
    assert (dict(policy.roles), dict(policy.routes)) == ({}, {})
    assert policy.find("GET", "/") is None


def test_a_policy_is_frozen_and_its_entries_are_slotted(load: Load) -> None:
    policy = load(ROLES + '[routes."GET /x"]\nallow = ["orders:read"]')
    route = policy.routes["GET", "/x"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        route.public = True  # type: ignore[misc] # the type is frozen too
    with pytest.raises(TypeError):
        policy.routes["GET", "/y"] = route  # type: ignore[index] # likewise
    with pytest.raises(TypeError):
        policy.roles["support"] = frozenset({"orders:write"})  # type: ignore[index] # likewise
    assert not hasattr(route, "__dict__")


@pytest.mark.parametrize(
    ("method", "default"),
    [("POST", "required"), ("PATCH", "required"), ("GET", "none"), ("PUT", "none"), ("DELETE", "none")],
)
def test_idempotency_defaults_by_method(load: Load, method: str, default: str) -> None:
    assert default == entry(load, "public = true", name=f"{method} /x").idempotency


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("choice", ["required", "optional"])
def test_put_and_delete_may_ask_for_a_key(load: Load, method: str, choice: str) -> None:
    assert choice == entry(load, f'public = true\nidempotency = "{choice}"', name=f"{method} /x").idempotency


def test_authenticated_lets_every_caller_in_and_is_not_public(load: Load) -> None:
    route = entry(load, "authenticated = true")
    assert (False, frozenset()) == (route.public, route.allow)


def test_a_public_route_may_be_unlimited(load: Load) -> None:
    assert entry(load, 'public = true\nrate = "unlimited"').rate is None


def test_the_reserved_permission_needs_no_role(load: Load) -> None:
    assert frozenset({CLOSED}) == entry(load, f'allow = ["{CLOSED}"]').allow


def test_a_role_that_nothing_uses_is_fine(load: Load) -> None:
    assert frozenset({"reports:read"}) == load('[roles]\nauditor = ["reports:read"]').roles["auditor"]


def test_head_goes_by_the_entry_of_get(load: Load) -> None:
    policy = load('[routes."GET /x"]\npublic = true')
    assert policy.routes["GET", "/x"] is policy.find("HEAD", "/x")
    assert policy.find("OPTIONS", "/x") is None
    assert policy.find("POST", "/x") is None


def test_an_entry_is_found_by_the_path_as_the_router_spells_it(load: Load) -> None:
    policy = load('[routes."GET /files/{name}"]\npublic = true')
    assert policy.routes["GET", "/files/{name}"] is policy.find("GET", "/files/{name:path}")
    assert policy.find("GET", "/files/{other}") is None


def test_a_shorter_timeout_shortens_the_bodys(load: Load) -> None:
    route = entry(load, 'public = true\ntimeout = "100ms"')
    assert (route.timeout, route.body_timeout) == (0.1, 0.1)


@pytest.mark.parametrize(
    ("key", "text", "attribute", "value"),
    [
        ("timeout", "10ms", "timeout", 0.01),
        ("timeout", "5m", "timeout", 300.0),
        ("timeout", "300s", "timeout", 300.0),
        ("max_body", "0B", "max_body", 0),
        ("max_body", "100MiB", "max_body", 104_857_600),
        ("max_body", "104857600B", "max_body", 104_857_600),
        ("rate", "1/day", "rate", "1/day"),
        ("rate", "1000/second", "rate", "1000/second"),
        ("rate", "60000/minute", "rate", "60000/minute"),
        ("rate", "1000000/day", "rate", "1000000/day"),
        ("rate", "1/second;2/minute;3/hour;4/day", "rate", "1/second;2/minute;3/hour;4/day"),
        ("rate", "007/minute", "rate", "7/minute"),
    ],
)
def test_a_value_at_its_bound_is_accepted(load: Load, key: str, text: str, attribute: str, value: object) -> None:
    assert value == getattr(entry(load, f'public = true\n{key} = "{text}"'), attribute)


def test_counts_and_lengths_at_their_bounds_are_accepted(load: Load) -> None:
    held = [f"a{number}:read" for number in range(model.MAX_ROLE_PERMISSIONS)]
    roles = [f"r{number} = {held}" for number in range(model.MAX_ROLES - 1)]
    roles.append(f'{"r" * model.MAX_NAME} = ["{"a" * model.MAX_NAME}:{"b" * model.MAX_NAME}"]')
    routes = [f'[routes."GET /{number}"]\npublic = true' for number in range(model.MAX_ROUTES - 1)]
    path = "/" + "p" * (model.MAX_PATH - 1)
    upstreams = frozenset(f"u{number}" for number in range(model.MAX_OUTBOUND))
    routes.append(
        f'[routes."POST {path}"]\nallow = {held[: model.MAX_ALLOW]}\noutbound = {sorted(upstreams)}\n'
        f'idempotency = "off"\nidempotency_reason = "{"x" * model.MAX_REASON}"',
    )
    policy = load("\n".join(["[roles]", *roles, *routes]), upstreams=upstreams)
    assert (len(policy.roles), len(policy.routes)) == (model.MAX_ROLES, model.MAX_ROUTES)
    assert upstreams == policy.routes["POST", path].outbound


def test_a_file_and_a_line_at_their_bounds_are_accepted(load: Load) -> None:
    line = "#" * model.MAX_LINE
    lines = "\n".join([line] * (model.MAX_FILE // (model.MAX_LINE + 1)))
    assert load(lines + "\n" * (model.MAX_FILE - len(lines))).routes == {}


def test_windows_newlines_are_accepted_and_lines_still_counted(load: Load) -> None:
    assert load('[roles]\r\n\r\n[routes."GET /x"]\r\npublic = true\r\n').routes["GET", "/x"].line == 3


def test_the_shipped_policy_loads_and_keeps_the_probes_open() -> None:
    policy = load_policy(SHIPPED, upstreams=NAMES)
    assert all(policy.routes["GET", path].public for path in ("/livez", "/readyz"))


def test_the_shipped_defaults_are_the_built_in_ones(load: Load) -> None:
    assert load("").defaults == load_policy(SHIPPED, upstreams=NAMES).defaults


@settings(derandomize=True, database=None, deadline=None, max_examples=examples(80))
@given(
    st.dictionaries(
        st.sampled_from(["second", "minute", "hour", "day"]),
        st.integers(1, 2_000_000),
        min_size=1,
        max_size=4,
    ),
)
def test_a_rate_that_is_accepted_here_is_accepted_by_the_rate_limit(windows: dict[str, int]) -> None:
    text = ";".join(f"{amount}/{unit}" for unit, amount in windows.items())
    try:
        rate = values.parse_rate(text)
    except values.BadValue:
        assert max(windows.values()) > 1_000
        return
    assert rate is not None
    assert len(windows) == len(parse_enforced_rate(rate))


@settings(derandomize=True, database=None, deadline=None, max_examples=examples(80))
@given(st.from_regex(r"[a-z0-9_-]{0,66}:[a-z0-9_-]{0,66}", fullmatch=True) | st.text(max_size=20))
def test_a_permission_that_is_accepted_here_is_accepted_by_the_authorization(text: str) -> None:
    for permission in (text, names.suggest_permission(text)):
        if names.is_permission(permission):
            assert permission == parse_permission(permission)
        else:
            assert permission == text, "a suggestion is always a permission"


SCOPED = """
[roles]
customer = ["orders:read", "orders:write"]
support = { permissions = ["orders:read", "orders:refund"], scope = "tenant" }
[roles.admin]
permissions = ["orders:read"]
scope = "all"
"""


def test_a_role_may_reach_further_than_the_callers_own(load: Load) -> None:
    policy = load(SCOPED)
    assert policy.roles["support"] == {"orders:read", "orders:refund"}
    assert dict(policy.scopes) == {"support": "tenant", "admin": "all"}


@pytest.mark.parametrize(
    ("required", "roles", "scope"),
    [
        ({"orders:read"}, ("customer",), "own"),
        ({"orders:read"}, ("customer", "support"), "tenant"),
        ({"orders:read"}, ("support", "admin"), "all"),
        # What a role does not grant, it does not widen.
        ({"orders:write"}, ("customer", "admin"), "own"),
        ({"orders:read", "orders:write"}, ("customer", "admin"), "own"),
        ({"orders:read", "orders:refund"}, ("support", "admin"), "tenant"),
        (set(), ("admin",), "own"),
        ({"orders:read"}, ("stranger",), "own"),
        ({"orders:read"}, (), "own"),
    ],
)
def test_a_role_widens_only_what_it_grants(load: Load, required: set[str], roles: tuple[str, ...], scope: str) -> None:
    assert load(SCOPED).scope(frozenset(required), roles) == scope
