"""Every mistake has its line, says what is wrong and what to write instead; all are told at once."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from app.policy import CLOSED, PolicyError, PolicyProblem, load_policy, model
from app.policy.values import REASON_TO_FILL_IN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.policy.conftest import Load, Problems

ROLES = '[roles]\ncustomer = ["orders:read", "orders:write"]\nadmin = ["orders:delete", "orders:read", "x:view"]\n'
CLOSED_LINE = f'allow = ["{CLOSED}"]'
UPSTREAMS = frozenset({"payments", "stock"})


def only(problems: list[PolicyProblem]) -> PolicyProblem:
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]


def in_route(problems: Problems, lines: str, *, method: str = "POST", public: bool = True) -> PolicyProblem:
    """Return the one problem of an entry; the lines begin on line 3 of the file's last table, line 6 in all."""
    access = "public = true" if public else "#"
    return only(problems(f'{ROLES}[routes."{method} /v1/orders"]\n{access}\n{lines}\n', upstreams=UPSTREAMS))


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ('rate = "60/min"', "is not a rate", 'rate = "60/minute"'),
        ('rate = "60 per minute"', "is not a rate", 'rate = "60/minute"'),
        ('rate = "60 / Minutes"', "is not a rate", 'rate = "60/minute"'),
        ('rate = "60/mniute"', "is not a rate", 'rate = "60/minute"'),
        ('rate = "5/s, 100/h"', "is not a rate", 'rate = "5/second;100/hour"'),
        ('rate = "60/minute;"', "is not a rate", 'rate = "60/minute"'),
        ('rate = ""', "is not a rate", 'rate = "60/minute"'),
        ('rate = "often"', "is not a rate", 'rate = "60/minute"'),
        ('rate = "٣/minute"', "is not a rate", 'rate = "60/minute"'),
        ("rate = 60", "a rate is text", 'rate = "60/minute"'),
        ("rate = true", "a rate is text", 'rate = "60/minute"'),
        ('rate = ["60/minute"]', "a rate is text", 'rate = "60/minute"'),
        (f'rate = "{"9" * 101}"', "a rate is text", 'rate = "60/minute"'),
        ('rate = "5/minute;6/minute"', "has two limits per minute", 'rate = "5/minute"'),
        ('rate = "0/minute"', "is out of bounds: 1 to 60000 per minute", 'rate = "60/minute"'),
        ('rate = "-5/minute"', "is not a rate", 'rate = "60/minute"'),
        ('rate = "1001/second"', "is out of bounds: 1 to 1000 per second", 'rate = "1000/second"'),
        ('rate = "60001/minute"', "is out of bounds", 'rate = "60000/minute"'),
        ('rate = "1000001/day"', "is out of bounds: 1 to 1000000 per day", 'rate = "1000000/day"'),
        ("timeout = 5", "is not a duration", 'timeout = "5s"'),
        ("timeout = 0.25", "is not a duration", 'timeout = "250ms"'),
        ('timeout = "5 sec"', "is not a duration", 'timeout = "5s"'),
        ('timeout = "1.5s"', "is not a duration", 'timeout = "1500ms"'),
        ('timeout = "2 minutes"', "is not a duration", 'timeout = "2m"'),
        ('timeout = "1h"', "is not a duration", 'timeout = "5m"'),
        ('timeout = "soon"', "is not a duration", 'timeout = "5s"'),
        ("timeout = inf", "is not a duration", 'timeout = "5s"'),
        ("timeout = nan", "is not a duration", 'timeout = "5s"'),
        ("timeout = false", "is not a duration", 'timeout = "5s"'),
        ('timeout = "0s"', "is out of bounds: 10ms to 5m", 'timeout = "5s"'),
        ('timeout = "9ms"', "is out of bounds: 10ms to 5m", 'timeout = "10ms"'),
        ('timeout = "300001ms"', "is out of bounds: 10ms to 5m", 'timeout = "5m"'),
        ('body_timeout = "6s"', "longer than the timeout of 5s", 'body_timeout = "5s"'),
        ("max_body = 65536", "is not a size", 'max_body = "64KiB"'),
        ("max_body = -1", "is not a size", 'max_body = "64KiB"'),
        ('max_body = "64KB"', "is not a size", 'max_body = "64KiB"'),
        ('max_body = "64k"', "is not a size", 'max_body = "64KiB"'),
        ('max_body = "1.5 mb"', "is not a size", 'max_body = "1536KiB"'),
        ('max_body = "1GiB"', "is not a size", 'max_body = "100MiB"'),
        ('max_body = "big"', "is not a size", 'max_body = "64KiB"'),
        ('max_body = "101MiB"', "is out of bounds: at most 100MiB", 'max_body = "100MiB"'),
        ('max_body = "104857601B"', "is out of bounds: at most 100MiB", 'max_body = "100MiB"'),
        ('files = ["data"]', "files is a table", "files = { read = [] }"),
        ('files = { read = "data" }', "read: it is a list", 'read = ["data"]'),
        ('files = { reed = ["data"] }', 'did you mean "read"?', 'read = ["data"]'),
        ('files = { read = ["data", "../x"] }', "leads elsewhere", 'read = ["data"]'),
        ('files = { write = ["~/x"] }', "leads elsewhere", "write = []"),
        ('files = { read = ["/"] }', "is no file or folder", "read = []"),
        ('files = { read = ["."] }', "is no file or folder", "read = []"),
        (f'files = {{ read = ["{"x" * 201}"] }}', "is no file or folder", "read = []"),
        (f"files = {{ read = {['x'] * 17} }}", "at most 16 paths", "read = []"),
        ('stage = "probaton"', "stage is one of active, probation", 'stage = "probation"'),
        ('stage = "retired"', "stage is one of active, probation", 'stage = "probation"'),
        ("stage = 1", "stage is one of active, probation", 'stage = "probation"'),
        ('idempotency = "requried"', "is one of required, optional, off", 'idempotency = "required"'),
        ('idempotency = "none"', "is one of required, optional, off", 'idempotency = "required"'),
        ("idempotency = false", "is one of required, optional, off", 'idempotency = "required"'),
        (
            'idempotency = "off"',
            "off needs a reason",
            f'idempotency = "off"\nidempotency_reason = "{REASON_TO_FILL_IN}"',
        ),
        ('idempotency_reason = "so"', 'is for idempotency = "off" only', '# idempotency_reason = "so"'),
        ('outbound = ["paymnets"]', 'did you mean "payments"?', 'outbound = ["payments"]'),
        ('outbound = ["mail"]', "declared: payments, stock", "outbound = []"),
        ('outbound = ["stock", "mail"]', 'no upstream "mail"', 'outbound = ["stock"]'),
        ('outbound = "stock"', "it is a list", 'outbound = ["stock"]'),
        ('outbound = ["stock", 1]', "it is a list of strings", 'outbound = ["stock"]'),
        (f"outbound = {['stock'] * 17}", "at most 16 upstreams", "outbound = []"),
        ('max_boby = "1KiB"', 'unknown key "max_boby"; did you mean "max_body"?', 'max_body = "1KiB"'),
        ('colour = "red"', 'unknown key "colour"; known are public, authenticated', '# colour = "red"'),
        ('Rate = "1/day"', 'did you mean "rate"?', 'rate = "1/day"'),
        ('"a\\nb" = 1', 'unknown key "a\\u000Ab"', '# "a\\u000Ab" = 1'),
        ("sub.key = 1979-05-27", 'unknown key "sub"', "# sub = { key = 1979-05-27 }"),
    ],
)
def test_a_wrong_line_in_an_entry(problems: Problems, line: str, message: str, fix: str) -> None:
    problem = in_route(problems, line)
    assert problem.line == 6
    assert message in problem.message
    assert problem.fix == fix


@pytest.mark.parametrize("placeholder", ["", "  ", REASON_TO_FILL_IN])
def test_a_reason_that_nobody_wrote(problems: Problems, placeholder: str) -> None:
    problem = in_route(problems, f'idempotency = "off"\nidempotency_reason = "{placeholder}"')
    assert (problem.line, problem.message) == (7, "idempotency_reason: the reason is not filled in")
    assert f'idempotency_reason = "{REASON_TO_FILL_IN}"' == problem.fix


@pytest.mark.parametrize(
    ("reason", "fix"),
    [("x" * (model.MAX_REASON + 1), "x" * model.MAX_REASON), ("a\\nb\\u001bc", "a b c")],
)
def test_a_reason_that_is_no_line_of_text(problems: Problems, reason: str, fix: str) -> None:
    problem = in_route(problems, f'idempotency = "off"\nidempotency_reason = "{reason}"')
    assert (7, f'idempotency_reason = "{fix}"') == (problem.line, problem.fix)


def test_a_misspelt_reason_is_one_mistake(problems: Problems) -> None:
    problem = in_route(problems, 'idempotency = "off"\nidempotency_raeson = "none is needed"')
    assert (problem.line, problem.fix) == (7, 'idempotency_reason = "none is needed"')


@pytest.mark.parametrize("choice", ["off", "required", "optional"])
def test_a_get_has_no_idempotency_to_choose(problems: Problems, choice: str) -> None:
    problem = in_route(problems, f'idempotency = "{choice}"', method="GET")
    assert (6, f'# idempotency = "{choice}"') == (problem.line, problem.fix)
    assert "GET promises it already" in problem.message


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_put_and_delete_have_nothing_to_turn_off(problems: Problems, method: str) -> None:
    problem = in_route(problems, 'idempotency = "off"', method=method)
    assert (problem.line, problem.fix) == (6, '# idempotency = "off"')


@pytest.mark.parametrize(
    ("lines", "line", "message", "fix"),
    [
        ("", 4, "does not say who may call it", f'{CLOSED_LINE}  # closed, until it is e.g. "orders:write"'),
        ('allow = ["orders:read"]\npublic = true', 7, "public and allow exclude each other", "# public = true"),
        ("authenticated = true\npublic = true", 7, "public and authenticated exclude each other", "# public = true"),
        (
            'public = true\nauthenticated = true\nallow = ["orders:read"]',
            6,
            "public and authenticated and allow exclude each other",
            "# public = true\n# authenticated = true",
        ),
        ("public = false", 6, "public is true or absent", CLOSED_LINE),
        ("authenticated = false", 6, "authenticated is true or absent", CLOSED_LINE),
        ('public = "yes"', 6, "public: it is true or absent", "public = true"),
        ("authenticated = 1", 6, "authenticated: it is true or absent", "authenticated = true"),
        ("allow = []", 6, "allow = [] asks for nothing", "authenticated = true"),
        ('allow = "orders:read"', 6, "allow: it is a list", 'allow = ["orders:read"]'),
        ("allow = true", 6, "allow: it is a list of strings", CLOSED_LINE),
        ('allow = ["orders:read", 1]', 6, "allow: it is a list of strings", 'allow = ["orders:read"]'),
        ("allow = [1]", 6, "allow: it is a list of strings", CLOSED_LINE),
        ('alow = ["orders:read"]', 6, 'did you mean "allow"?', 'allow = ["orders:read"]'),
        ("publik = true", 6, 'did you mean "public"?', "public = true"),
        ('allow = ["Orders:Read"]', 6, '"Orders:Read" is no permission', 'allow = ["orders:read"]'),
        ('allow = ["orders.read"]', 6, "is no permission", 'allow = ["orders:read"]'),
        ('allow = ["orders:read:all"]', 6, "is no permission", 'allow = ["orders:read-all"]'),
        ('allow = ["orders"]', 6, "is no permission", 'allow = ["orders:read"]'),
        ('allow = ["2:3"]', 6, "is no permission", 'allow = ["things:read"]'),
        (f'allow = ["{"a" * 65}:read"]', 6, "is no permission", f'allow = ["{"a" * 64}:read"]'),
        ('allow = ["customer"]', 6, '"customer" is a role, not a permission', 'allow = ["orders:write"]'),
        (
            'allow = [\n  "orders:read",\n  "orders:wriet",\n]',
            8,
            'no role has "orders:wriet", so nobody could call it; did you mean "orders:write"?',
            'allow = ["orders:read", "orders:write"]',
        ),
        (
            'allow = ["orders:refund"]',
            6,
            'no role has "orders:refund", so nobody could call it; give it to a role',
            '# in [roles]\nadmin = ["orders:delete", "orders:read", "x:view", "orders:refund"]',
        ),
        (f"allow = {['orders:read'] * 17}", 6, "at most 16 permissions", CLOSED_LINE),
        (
            'allow = ["orders:read"]\nrate = "unlimited"',
            7,
            '"unlimited" is for public routes only',
            'rate = "60/minute"',
        ),
        (
            'authenticated = true\nrate = "unlimited"',
            7,
            '"unlimited" is for public routes only',
            'rate = "60/minute"',
        ),
    ],
)
def test_a_wrong_way_to_say_who_may_call(
    problems: Problems,
    lines: str,
    line: int,
    message: str,
    fix: str,
) -> None:
    problem = in_route(problems, lines, public=False)
    assert problem.line == line
    assert message in problem.message
    assert problem.fix == fix


def test_a_permission_that_is_not_a_misspelling_is_never_taken_for_a_wider_one(problems: Problems) -> None:
    for wanted in ("orders:refund", "x:review", "orders:read-all", "orders:head", "order-items:read", "y:read"):
        problem = in_route(problems, f'allow = ["{wanted}"]', public=False)
        assert "did you mean" not in problem.message
        assert f'"{wanted}"]' in problem.fix


def test_without_roles_a_permission_has_a_role_to_write(problems: Problems) -> None:
    problem = only(problems('[routes."GET /x"]\nallow = ["x:read"]\n'))
    assert (problem.line, problem.fix) == (2, '# in [roles]\nuser = ["x:read"]')


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("get /x", "is not spelt as a route", '[routes."GET /x"]'),
        ("GET  /x", "is not spelt as a route", '[routes."GET /x"]'),
        (" GET /x ", "is not spelt as a route", '[routes."GET /x"]'),
        ("/x", "does not name a route", '[routes."GET /x"]'),
        ("GET", "does not name a route", "# [routes.GET]"),
        ("", "does not name a route", '# [routes.""]'),
        ("GET x", "a path begins with /", '[routes."GET /x"]'),
        ("GTE /x", "is not one of GET, POST", '[routes."GET /x"]'),
        ("FOO /x", "is not one of GET, POST", '# [routes."FOO /x"]'),
        ("HEAD /x", "HEAD goes by the entry of GET", '[routes."GET /x"]'),
        ("OPTIONS /x", "OPTIONS has no entry", '# [routes."OPTIONS /x"]'),
        ("GET /x/{id:int}", "leave the convertor out", '[routes."GET /x/{id}"]'),
        ("GET /x/:id", "a parameter is written {name}", '[routes."GET /x/{id}"]'),
        ("GET /x/<int:id>", "is letters, digits", '[routes."GET /x/{id}"]'),
        ("GET /x?a=1", "is letters, digits", '[routes."GET /x"]'),
        ("GET //x", "is letters, digits", '[routes."GET /x"]'),
        ("GET /{x", "is letters, digits", '# [routes."GET /{x"]'),
        ("GET /%41", "is letters, digits", '# [routes."GET /%41"]'),
        ("GET /{a}/{a}", "a parameter appears twice", '# [routes."GET /{a}/{a}"]'),
        ("GET /\\u0007", "is letters, digits", '# [routes."GET /\\u0007"]'),
        (f"GET /{'x' * 200}", "a path has at most 200 characters", f'# [routes."GET /{"x" * 200}"]'),
    ],
)
def test_a_name_that_is_no_route(problems: Problems, name: str, message: str, fix: str) -> None:
    problem = only(problems(f'\n[routes."{name}"]\npublic = true\n'))
    assert problem.line == 2
    assert message in problem.message
    assert problem.fix == fix


def test_what_a_misspelt_route_says_is_checked_too(problems: Problems) -> None:
    found = problems('[routes."get /x"]\npublic = true\nrate = "5/mni"\n')
    assert [(one.line, one.fix) for one in found] == [(1, '[routes."GET /x"]'), (3, 'rate = "5/minute"')]


@pytest.mark.parametrize("other", ["GET /x/{other}", "GET /x/{id}/", "get /x/{id}"])
def test_two_entries_for_one_route(problems: Problems, other: str) -> None:
    entries = f'[routes."GET /x/{{id}}"]\npublic = true\n[routes."{other}"]\npublic = true\nrate = "1/day"\n'
    problem = problems(entries)[-1]
    assert problem.line == 3
    assert f'"{other}" and "GET /x/{{id}}" on line 1 are the same route: keep one entry' == problem.message
    assert f'# [routes."{other}"]\n# public = true\n# rate = "1/day"' == problem.fix


def test_an_entry_that_is_no_table(problems: Problems) -> None:
    problem = only(problems('[routes]\n"GET /x" = "public"\n'))
    assert (2, f'[routes."GET /x"]\n{CLOSED_LINE}') == (problem.line, problem.fix)
    assert problem.message == '"GET /x" is a table, not "public"'


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ("rate = 5", "a rate is text", 'rate = "5/minute"'),
        ('rate = "unlimited"', "is for single public routes", 'rate = "60/minute"'),
        ('timeout = "6m"', "is out of bounds", 'timeout = "5m"'),
        ('max_body = "1TB"', "is not a size", 'max_body = "1B"'),
        ('body_timeout = "10s"', "longer than the timeout of 5s", 'body_timeout = "5s"'),
        ('stage = "canary"', "stage is one of", 'stage = "probation"'),
        ('idempotency = "off"', "is one of required, optional, not", 'idempotency = "required"'),
        ("public = true", "has no default: each entry says it", "# public = true"),
        ('allow = ["x:y"]', "has no default: each entry says it", '# allow = ["x:y"]'),
        ('rates = "5/minute"', 'did you mean "rate"?', 'rate = "5/minute"'),
        ("colour = 1", "unknown key", "# colour = 1"),
    ],
)
def test_a_wrong_default(problems: Problems, line: str, message: str, fix: str) -> None:
    problem = only(problems(f"\n[defaults]\n{line}\n"))
    assert problem.line == 3
    assert message in problem.message
    assert problem.fix == fix


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ('admin = "orders:read"', 'role "admin": it is a list', 'admin = ["orders:read"]'),
        ("admin = 5", 'role "admin": it is a list of strings', "admin = []"),
        ('admin = ["orders:read", 5]', "it is a list of strings", 'admin = ["orders:read"]'),
        ('admin = ["orders read"]', '"orders read" is no permission', 'admin = ["orders-read:read"]'),
        ('admin = ["a:b", "orders:*"]', '"orders:*" is no permission', 'admin = ["a:b", "orders:read"]'),
        (f'admin = ["a:b", "{CLOSED}"]', f"{CLOSED} is reserved: no role may hold it", 'admin = ["a:b"]'),
        ('Admin = ["a:b"]', "is no role's name", 'admin = ["a:b"]'),
        ('"" = ["a:b"]', "is no role's name", 'name = ["a:b"]'),
        (f'{"r" * 65} = ["a:b"]', "is no role's name", f'{"r" * 64} = ["a:b"]'),
        ("admin.scope = 'own'", "does not say what it may do", 'permissions = ["things:read"]'),
        ('admin = { permissions = ["a:b"], scope = "world" }', "scope is one of own, tenant, all", 'scope = "own"'),
        ('admin = { permissions = ["a:b"], scop = "all" }', "did you mean", 'scope = "all"'),
        ('admin = { permissions = "a:b" }', "it is a list, not", 'admin = ["a:b"]'),
        (
            'admin = { permissions = ["a.b"], scope = "all" }',
            "is no permission",
            'admin = { permissions = ["a:b"], scope = "all" }',
        ),
        (f"admin = {['a:b'] * 201}", "has more than 200 permissions", "# admin = []"),
    ],
)
def test_a_wrong_role(problems: Problems, line: str, message: str, fix: str) -> None:
    problem = only(problems(f"[roles]\n\n{line}\n"))
    assert problem.line == 3
    assert message in problem.message
    assert problem.fix == fix


def test_a_misspelt_permission_of_a_role_is_one_mistake(problems: Problems) -> None:
    roles = '[roles]\na = [\n"orders.read",\n]\nb = "orders:write"\n'
    found = problems(roles + '[routes."GET /x"]\nallow = ["orders:read", "orders:write"]\n')
    assert [problem.line for problem in found] == [3, 5]


@pytest.mark.parametrize(
    ("text", "line", "message", "fix"),
    [
        ('\n[route."GET /x"]\npublic = true', 2, 'did you mean "routes"?', '[routes."GET /x"]'),
        ("[role]\na = []", 1, 'did you mean "roles"?', "[roles]"),
        ('[role]\na = ["x:y"]\n[routes."GET /x"]\nallow = ["x:y"]', 1, 'did you mean "roles"?', "[roles]"),
        ("[colours]\na = 1", 1, "known are the tables roles, defaults, routes, jobs", "# [colours]"),
        ("colours = 1", 1, "known are the tables roles, defaults, routes, jobs", "# colours = 1"),
        ('rate = "1/day"', 1, "rate stands in no table", '[defaults]\nrate = "1/day"'),
        ("\nroles = 1", 2, "roles is a table, not 1", '[roles]\ncustomer = ["things:read"]'),
        ("defaults = 1", 1, "defaults is a table, not 1", '[defaults]\nrate = "60/minute"'),
        ("[[routes]]", 1, "routes is a table, not [{  }]", f'[routes."GET /v1/things"]\n{CLOSED_LINE}'),
        ('roles = 1\n[routes."GET /x"]\nallow = ["a:b"]', 1, "roles is a table", '[roles]\ncustomer = ["things:read"]'),
    ],
)
def test_a_wrong_table(problems: Problems, text: str, line: int, message: str, fix: str) -> None:
    problem = only(problems(text))
    assert problem.line == line
    assert message in problem.message
    assert problem.fix == fix


def test_too_many_roles_and_routes(problems: Problems) -> None:
    roles = "".join(f"r{number} = []\n" for number in range(model.MAX_ROLES + 1))
    problem = only(problems("[roles]\n" + roles))
    assert (problem.line, problem.message, problem.fix) == (102, "more than 100 roles", "# r100 = []")
    routes = "".join(f'[routes."GET /{number}"]\npublic = true\n' for number in range(model.MAX_ROUTES + 1))
    problem = only(problems(routes))
    assert (problem.line, problem.message, problem.fix) == (2001, "more than 1000 routes", '# [routes."GET /1000"]')


def test_a_file_with_nothing_right_in_it_stops_at_the_bound(problems: Problems) -> None:
    found = problems(
        "[roles]\n"
        + "".join(f"r{number} = 1\n" for number in range(99))
        + "[defaults]\n"
        + "".join(f"k{number} = 1\n" for number in range(500))
    )
    assert len(found) == model.MAX_PROBLEMS + 1
    assert found[-1].message == "the first 200 problems; there may be more"


TEN_FAULTS = """# a file that somebody wrote in a hurry
[roles]
customer = ["orders:read", "orders.write"]
admin = "orders:delete"

[defaults]
rate = "60/min"
timeout = 5

[routes."POST /v1/orders"]
alow = ["orders:write"]
idempotency = "off"

[routes."get /v1/orders"]
allow = [
  "orders:read",
  "orders:raed",
]

[routes."GET /v1/orders/{id}"]
max_body = "64KiB"

[routes."GET /v1/orders/{order_id}/"]
public = true
"""


def test_ten_faults_are_ten_problems_in_the_order_of_their_lines(problems: Problems, policy_file: Path) -> None:
    found = problems(TEN_FAULTS)
    assert {str(policy_file)} == {problem.file for problem in found}
    assert [
        (3, 'customer = ["orders:read", "orders:write"]'),
        (4, 'admin = ["orders:delete"]'),
        (7, 'rate = "60/minute"'),
        (8, 'timeout = "5s"'),
        (11, 'allow = ["orders:write"]'),
        (12, f'idempotency = "off"\nidempotency_reason = "{REASON_TO_FILL_IN}"'),
        (14, '[routes."GET /v1/orders"]'),
        (17, 'allow = ["orders:read"]'),
        (20, f'{CLOSED_LINE}  # closed, until it is e.g. "orders:read"'),
        (23, '# [routes."GET /v1/orders/{order_id}/"]\n# public = true'),
    ] == [(problem.line, problem.fix) for problem in found]


def test_problems_are_in_the_order_of_the_file_whatever_is_checked_first(problems: Problems) -> None:
    found = problems('[routes."GET /x"]\npublic = 1\n[defaults]\nrate = 5\n[roles]\na = 1\n[x]\n')
    assert [problem.line for problem in found] == [2, 4, 6, 7]


def test_an_error_reads_as_a_list_of_places_and_lines_to_write(policy_file: Path) -> None:
    policy_file.write_text('[defaults]\ntimeout = 5\n[routes."POST /x"]\npublic = true\nidempotency = "off"\n')
    with pytest.raises(PolicyError) as raised:
        load_policy(policy_file)
    assert (
        "The policy is not accepted: 2 problems.\n"
        f'{policy_file}:2: timeout: 5 is not a duration: write a whole number with ms, s or m, e.g. "250ms" or "5s"\n'
        '    write: timeout = "5s"\n'
        f"{policy_file}:5: idempotency: off needs a reason\n"
        '    write: idempotency = "off"\n'
        f'           idempotency_reason = "{REASON_TO_FILL_IN}"'
    ) == str(raised.value)


def test_what_is_to_be_written_is_toml(problems: Problems) -> None:
    for problem in problems(TEN_FAULTS):
        tomllib.loads(problem.fix)


def test_a_value_too_long_to_show_is_cut(problems: Problems) -> None:
    problem = in_route(problems, f'colour = "{"x" * 5000}"')
    assert problem.fix == "# colour = ..."
    problem = in_route(problems, f'stage = "{"x" * 5000}"')
    assert len(problem.message) < 150


def test_the_corrected_file_loads(load: Load) -> None:
    policy = load(
        TEN_FAULTS.replace('"orders.write"', '"orders:write"')
        .replace('"orders:delete"', '["orders:delete"]')
        .replace("60/min", "60/minute")
        .replace("timeout = 5", 'timeout = "5s"')
        .replace("alow", "allow")
        .replace('idempotency = "off"', 'idempotency = "off"\nidempotency_reason = "why"')
        .replace("get /v1", "GET /v1")
        .replace("raed", "read")
        .replace('max_body = "64KiB"', f'{CLOSED_LINE}\nmax_body = "64KiB"')
        .replace('[routes."GET /v1/orders/{order_id}/"]\npublic = true', ""),
    )
    assert len(policy.routes) == 3


def test_external_effects_need_a_key(problems: Problems) -> None:
    entry = '[routes."POST /x"]\nallow = ["a:b"]\nidempotency = "optional"\neffects = "external"\n'
    problem = only(problems(f'[roles]\nr = ["a:b"]\n{entry}'))
    assert (problem.line, problem.fix) == (6, 'idempotency = "required"')


def test_unknown_effects_are_taken_for_the_stricter_kind(problems: Problems) -> None:
    problem = only(problems('[roles]\nr = ["a:b"]\n[routes."POST /x"]\nallow = ["a:b"]\neffects = "some"\n'))
    assert (problem.line, problem.fix) == (5, 'effects = "external"')
