"""The policy and the mounted routes hold each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from app.patterns.authorization import Authorization, Roles
from app.policy import (
    CLOSED,
    MountedRoute,
    Policy,
    PolicyError,
    PolicyProblem,
    check_routes,
    model,
    render_missing,
)
from tests.support.live import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.policy.conftest import Load

POLICY = """
[roles]
customer = ["orders:read", "orders:write"]
admin = ["orders:read", "orders:delete"]

[routes."GET /v1/orders/{order_id}"]
allow = ["orders:read"]

[routes."GET /livez"]
public = true
"""


def mounted(
    key: str, *, file: str = "/srv/app/handlers/orders.py", line: int = 12, name: str = "handle"
) -> MountedRoute:
    method, path = key.split(" ", 1)
    return MountedRoute(method, path, file, line, name)


KNOWN = (mounted("GET /v1/orders/{order_id}"), mounted("GET /livez", file="/srv/app/health.py"))


def refused(policy: Policy, *routes: MountedRoute) -> list[PolicyProblem]:
    with pytest.raises(PolicyError) as raised:
        check_routes(policy, routes)
    return list(raised.value.problems)


def test_routes_and_entries_that_match_pass(load: Load) -> None:
    check_routes(load(POLICY), iter(KNOWN))


def test_a_check_of_no_routes_is_refused(load: Load, policy_file: Path) -> None:
    (problem,) = refused(load(POLICY))
    assert (str(policy_file), 1) == (problem.file, problem.line)
    assert problem.message == "no mounted routes were given: a check of nothing proves nothing"
    assert problem.fix == "routes = fastapi.routing.iter_route_contexts(app.routes)"
    assert len(refused(load(""))) == 1


def test_a_route_without_an_entry_names_its_handler_and_the_entry_to_add(load: Load) -> None:
    (problem,) = refused(load(POLICY), *KNOWN, mounted("POST /v1/refunds", line=40, name="refund"))
    assert (problem.file, problem.line) == ("/srv/app/handlers/orders.py", 40)
    assert problem.message == '"POST /v1/refunds" (refund) has no entry in policy.toml'
    assert (
        f'# /srv/app/handlers/orders.py:40 (refund) is closed to everyone: no role may hold "{CLOSED}".\n'
        '# To open it: allow = ["refunds:write"], and in [roles] for example:\n'
        '#   user = ["refunds:write"]\n'
        '[routes."POST /v1/refunds"]\n'
        f'allow = ["{CLOSED}"]\n'
        'stage = "probation"  # until `app evidence` speaks for it'
    ) == problem.fix


def test_a_role_that_has_nothing_to_do_with_a_resource_is_not_widened(load: Load) -> None:
    lean = POLICY.partition("[routes")[0]
    (problem,) = refused(load(lean.replace("[roles]", '[roles]\noperator = ["ops:read"]', 1)), mounted("GET /v1/notes"))
    assert problem.fix.split("\n")[2] == '#   user = ["notes:read"]'


def test_the_line_of_a_role_holds_all_that_is_asked_of_its_resource_and_how_far_it_reaches(load: Load) -> None:
    text = '[roles]\nclerk = { permissions = ["notes:read"], scope = "tenant" }\n'
    problems = refused(load(text), mounted("POST /v1/notes", line=3), mounted("DELETE /v1/notes/{note_id}", line=9))
    line = '#   clerk = { permissions = ["notes:read", "notes:delete", "notes:write"], scope = "tenant" }'
    for problem in problems:
        assert "and in [roles] in place of the line of clerk:" in problem.fix.split("\n")[1]
        assert problem.fix.split("\n")[2] == line


def test_a_permission_that_roles_hold_already_is_suggested_with_them(load: Load) -> None:
    (problem,) = refused(load(POLICY), *KNOWN, mounted("GET /v1/orders"))
    assert problem.fix.split("\n")[1] == '# To open it to admin, customer: allow = ["orders:read"]'


def test_a_handler_beside_the_policy_is_named_from_there(load: Load, policy_file: Path) -> None:
    file = policy_file.parent / "app" / "handlers" / "refunds.py"
    (problem,) = refused(load(POLICY), *KNOWN, mounted("POST /v1/refunds", file=str(file)))
    assert problem.file == "app/handlers/refunds.py"


def test_an_entry_without_a_route_has_its_line(load: Load, policy_file: Path) -> None:
    (problem,) = refused(load(POLICY), KNOWN[0])
    assert (str(policy_file), 9) == (problem.file, problem.line)
    assert problem.message == 'no mounted route answers "GET /livez"'
    assert problem.fix == '# delete the entry [routes."GET /livez"]'


def test_an_entry_without_a_route_is_told_the_nearest_route_without_an_entry(load: Load) -> None:
    missing, stale = refused(load(POLICY), KNOWN[0], mounted("GET /healthz"), mounted("GET /live"))[1:]
    assert missing.message == '"GET /live" (handle) has no entry in policy.toml'
    assert stale.message == 'no mounted route answers "GET /livez"; did you mean "GET /live"?'
    assert stale.fix == '[routes."GET /live"]'


@pytest.mark.parametrize("path", ["/v1/orders/{id}", "/v1/orders/{order_id}/", "/v1/orders/{id:int}"])
def test_an_entry_that_spells_the_path_otherwise_is_one_mistake(load: Load, policy_file: Path, path: str) -> None:
    (problem,) = refused(load(POLICY), KNOWN[1], mounted(f"GET {path}"))
    assert (str(policy_file), 6) == (problem.file, problem.line)
    assert "the entry does not spell the path as its route does" in problem.message
    assert f'[routes."GET {path.replace(":int", "")}"]' == problem.fix


def test_two_routes_for_the_same_requests_are_refused(load: Load) -> None:
    (problem,) = refused(load(POLICY), *KNOWN, mounted("GET /v1/orders/{id}", line=70))
    assert (
        problem.file,
        problem.line,
        problem.fix,
    ) == ("/srv/app/handlers/orders.py", 70, "# keep one of the routes")
    assert (
        problem.message
        == '"GET /v1/orders/{id}" answers the same requests as GET /v1/orders/{order_id}, line 6 of policy.toml'
    )
    missing, twin = refused(load(POLICY), *KNOWN, mounted("GET /x/{a}"), mounted("GET /x/{b}", line=70))
    assert missing.message == '"GET /x/{a}" (handle) has no entry in policy.toml'
    assert (
        twin.message
    ) == '"GET /x/{b}" answers the same requests as "/x/{a}" in /srv/app/handlers/orders.py:12 (handle)'


def test_a_convertor_of_the_router_is_not_part_of_the_name(load: Load) -> None:
    check_routes(load(POLICY), [mounted("GET /v1/orders/{order_id:int}"), KNOWN[1]])


def test_head_goes_with_get(load: Load) -> None:
    check_routes(load(POLICY), [*KNOWN, mounted("HEAD /livez")])
    check_routes(load(POLICY), [KNOWN[0], mounted("HEAD /livez")])
    (problem,) = refused(load(POLICY), *KNOWN, mounted("HEAD /x"), mounted("GET /x"))
    assert '[routes."GET /x"]' in problem.fix


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "get"])
def test_a_route_for_which_no_entry_can_be_written_is_refused(load: Load, method: str) -> None:
    (problem,) = refused(load(POLICY), *KNOWN, mounted(f"{method} /livez"))
    assert f'handle answers "{method}", for which no policy can be written' == problem.message
    assert f'# take "{method}" out of the route\'s methods' == problem.fix


@pytest.mark.parametrize("path", ["", "/a b", "/x\ny", "/" + "x" * model.MAX_PATH])
def test_a_path_that_no_entry_can_name_is_refused(load: Load, path: str) -> None:
    (problem,) = refused(load(POLICY), *KNOWN, mounted(f"GET {path}"))
    assert "cannot be named in the policy: " in problem.message
    assert problem.fix == "# give the route another path"


def test_everything_is_told_at_once_by_file_and_line(load: Load, policy_file: Path) -> None:
    routes = [mounted("PUT /b", file="/srv/b.py"), mounted("PUT /a", file="/srv/a.py", line=9)]
    routes.append(mounted("GET /a", file="/srv/a.py", line=2))
    found = refused(load(POLICY), *routes)
    assert [
        ("/srv/a.py", 2),
        ("/srv/a.py", 9),
        ("/srv/b.py", 12),
        (str(policy_file), 6),
        (str(policy_file), 9),
    ] == [(problem.file, problem.line) for problem in found]


NEW = (
    *KNOWN,
    mounted("POST /v1/orders/{order_id}/items", name="add_item"),
    mounted("HEAD /v1/orders"),
    mounted("GET /v1/orders"),
    mounted("GET /v1/orders/{id}", name="twin"),
    mounted("OPTIONS /v1/orders"),
    mounted("GET /x/{a}"),
    mounted("GET /x/{b}"),
    mounted("DELETE /2fa/{path:path}", file="/srv/a\n[roles]\nevil.py", name="odd\n[roles]\nname"),
    mounted('GET /"]\npublic = true'),
    mounted("GET /"),
)


def test_nothing_is_missing_from_a_complete_policy(load: Load) -> None:
    assert render_missing(load(POLICY), KNOWN) == ""


def test_missing_entries_pasted_as_they_are_load_and_let_nobody_in(load: Load) -> None:
    before = load(POLICY)
    text = render_missing(before, NEW)
    policy = load(POLICY + text)
    assert before.roles == policy.roles
    added = {key: route for key, route in policy.routes.items() if key not in before.routes}
    assert {
        ("POST", "/v1/orders/{order_id}/items"),
        ("GET", "/v1/orders"),
        ("GET", "/x/{a}"),
        ("DELETE", "/2fa/{path}"),
        ("GET", "/"),
    } == set(added)
    everything = frozenset().union(*policy.roles.values())
    for route in added.values():
        assert (False, frozenset({CLOSED})) == (route.public, route.allow)
        assert not route.allow & everything
    assert render_missing(policy, [route for route in NEW if route.name == "add_item"]) == ""
    # What cannot be pasted is told in comments.
    assert '# handle answers "OPTIONS", for which no policy can be written' in text
    assert '# "GET /v1/orders/{id}" answers the same requests as' in text


def test_a_misspelt_entry_is_not_doubled_by_the_missing_ones(load: Load) -> None:
    text = render_missing(load(POLICY), [KNOWN[1], mounted("GET /v1/orders/{id}")])
    assert '# [routes."GET /v1/orders/{id}"]' in text
    assert load(POLICY).routes == load(POLICY + text).routes


def test_a_pasted_entry_refuses_everyone_until_its_permission_is_changed(load: Load) -> None:
    route = mounted("POST /v1/orders")
    before = load(POLICY)
    closed = POLICY + render_missing(before, [*KNOWN, route])
    assert answer(load(closed), route) == 403
    opened = closed.replace(f'allow = ["{CLOSED}"]', 'allow = ["orders:write"]')
    assert answer(load(opened), route) == 204


def answer(policy: Policy, route: MountedRoute) -> int:
    """Return the status for a caller who holds every role there is."""
    check_routes(policy, [*KNOWN, route])
    entry = policy.find(route.method, route.path)
    assert entry is not None

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    caller = SimpleNamespace(roles=tuple(policy.roles))
    app = Authorization(
        handler,
        required=entry.allow,
        roles=Roles(policy.roles),
        principal=lambda _scope: caller,
    )
    with serve(app, lifespan="off") as url:
        return httpx2.post(f"{url}{route.path}").status_code
