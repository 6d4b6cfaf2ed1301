"""The operator's page, over a real socket: who sees it, what it does, and that nothing in it can script it."""

from __future__ import annotations

import contextlib
import html
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import httpx2
import pytest

from app.ops import page
from app.ops.snapshot import Refusal, RouteView, Sample, Snapshot, UpstreamView
from tests.support.service import Service, copy_project, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("service"))
    policy = folder / "policy.toml"
    text = policy.read_text("utf-8").replace("\n[roles]\n", '\n[roles]\nlooker = ["ops:read"]\n', 1)
    text = text.replace('[routes."GET /probe/hang/too"]', '[routes."GET /probe/hang/too"]\nstage = "probation"')
    policy.write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def service(project: Path) -> Iterator[Service]:
    with running(project, environ={"APP_OPS": "true", "APP_PAYMENTS_URL": "http://127.0.0.1:9"}) as started:
        yield started


@contextlib.contextmanager
def browser(service: Service, *roles: str) -> Iterator[httpx2.Client]:
    """Yield a client that has logged in as a browser would."""
    headers = {"sec-fetch-site": "same-origin"}
    with httpx2.Client(base_url=service.url, headers=headers, follow_redirects=True) as client:
        client.post("/ops/login", data={"token": service.token(*roles, subject="olga")})
        yield client


def test_it_is_off_unless_set(project: Path) -> None:
    with running(project) as off:
        for path in ("/ops", "/ops/live", "/ops/login", "/ops/style.css"):
            assert httpx2.get(f"{off.url}{path}").status_code == 404


def test_without_a_token_there_is_a_form_and_nothing_else(service: Service) -> None:
    for path in ("/ops", "/ops/live"):
        answer = httpx2.get(f"{service.url}{path}")
        assert answer.status_code == 401
        assert 'action="/ops/login"' in answer.text
        assert "/probe" not in answer.text
    assert httpx2.post(f"{service.url}/ops/act", data={"act": "quarantine"}).status_code == 401


def test_another_role_sees_nothing(service: Service) -> None:
    with browser(service, "writer") as client:
        assert client.cookies.get("ops") is None
    with httpx2.Client(base_url=service.url, cookies={"ops": service.token("writer")}) as client:
        for path in ("/ops", "/ops/live"):
            answer = client.get(path)
            assert answer.status_code == 403
            assert "/probe" not in answer.text


@pytest.mark.parametrize("token", ["nonsense", "", "a.b.c"])
def test_a_token_that_is_none_is_refused(service: Service, token: str) -> None:
    headers = {"sec-fetch-site": "same-origin"}
    answer = httpx2.post(f"{service.url}/ops/login", data={"token": token}, headers=headers)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_refused_tokens_are_counted_here_as_everywhere(project: Path) -> None:
    headers = {"sec-fetch-site": "same-origin"}
    settings = {"APP_OPS": "true", "APP_FAILED_AUTHENTICATION_RATE": "3/minute"}
    with running(project, environ=settings) as service, browser(service, "operator") as client:
        made_up = [{"token": f"made.up.{number}"} for number in range(4)]
        answers = [httpx2.post(f"{service.url}/ops/login", data=each, headers=headers) for each in made_up]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        refused = httpx2.get(f"{service.url}/ops", cookies={"ops": "made.up.4"})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_failures")
        # It is one count with that of the routes, and who is known already is not punished for it.
        assert httpx2.get(f"{service.url}/probe/items/1", headers=service.bearer("writer")).status_code == 429
        assert client.get("/ops").status_code == 200


def test_the_cookie_is_for_the_page_alone(service: Service) -> None:
    headers = {"sec-fetch-site": "same-origin"}
    answer = httpx2.post(f"{service.url}/ops/login", data={"token": service.token("operator")}, headers=headers)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    for attribute in ("httponly", "samesite=strict", "path=/ops"):
        assert attribute in cookie


def test_the_page_shows_every_route_and_service_and_allows_nothing_inline(service: Service) -> None:
    httpx2.get(f"{service.url}/probe/items/1")
    with browser(service, "operator") as client:
        answer = client.get("/ops")
        assert answer.status_code == 200
        shown = html.unescape(answer.text)
        for what in (
            "GET /probe/items/{number}",
            "GET /probe/hang/too",
            "probation",
            "payments",
            "unauthenticated",
            "olga",
        ):
            assert what in shown
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?! src=)|<style| on\w+=| style=", answer.text)
        assert client.get("/ops/style.css").headers["content-type"].startswith("text/css")
        assert client.get("/ops/live.js").headers["content-type"].startswith("text/javascript")
        assert client.get("/ops/live").text.startswith('<main id="live">')
        client.post("/ops/logout")
        assert client.get("/ops").status_code == 401


def test_who_may_look_may_not_act(service: Service) -> None:
    with browser(service, "looker") as client:
        assert '<form method="post" action="/ops/act"' not in client.get("/ops").text
        act = {"act": "quarantine", "route": "GET /probe/span", "why": "x"}
        assert client.post("/ops/act", data=act).status_code == 403
    assert httpx2.get(f"{service.url}/probe/span", headers=service.bearer("writer")).status_code == 200


def test_an_act_needs_a_reason_and_is_logged(service: Service, project: Path) -> None:
    url, headers = f"{service.url}/probe/span", service.bearer("writer")
    with browser(service, "operator") as client:
        act = {"act": "quarantine", "route": "GET /probe/span"}
        for why in ({}, {"why": "  "}):
            answer = client.post("/ops/act", data=act | why)
            assert answer.status_code == 422
            assert "Say why" in answer.text
        answer = client.post("/ops/act", data=act | {"why": HOSTILE})
        assert answer.status_code == 200
        assert httpx2.get(url, headers=headers).json()["code"] == "route_quarantined"
        (line,) = service.lines(event="route_order", entry="GET /probe/span")
        assert (line["act"], line["by"], line["why"]) == ("quarantine", "olga", HOSTILE)
        client.post("/ops/act", data={**act, "act": "release", "why": "mended"})
        assert httpx2.get(url, headers=headers).status_code == 200
        client.post("/ops/act", data={"act": "promote", "route": "GET /probe/trial", "why": "a good week"})
        assert service.lines(event="route_order", act="promote")
    assert "promote     GET /probe/trial  by olga: a good week" in run_to_end(project, "routes", "acts").stdout


def test_an_act_is_remembered_by_a_name_that_is_an_address_too(service: Service, project: Path) -> None:
    """The log has no e-mail addresses. What people did has to say who it was."""
    with httpx2.Client(base_url=service.url, headers={"sec-fetch-site": "same-origin"}) as client:
        client.cookies.set("ops", service.token("operator", subject="olga@service.example"))
        act = {"route": "GET /probe/span", "act": "quarantine", "why": "whose word"}
        assert client.post("/ops/act", data=act).status_code == 303
        (line,) = service.lines(event="route_order", why="whose word")
        assert "olga" not in line["by"]
        assert client.post("/ops/act", data={**act, "act": "release"}).status_code == 303
    acts = run_to_end(project, "routes", "acts").stdout
    assert "quarantine  GET /probe/span  by olga@service.example: whose word" in acts


def test_a_reason_cannot_forge_an_act_of_somebody_else(service: Service, project: Path) -> None:
    forged = "2026-01-01 00:00:00Z  promote     GET /probe/trial  by bob: a good week"
    with browser(service, "operator") as client:
        act = {"route": "GET /probe/span", "why": f"mended\n{forged}\x1b[2K\u202e"}
        client.post("/ops/act", data={**act, "act": "quarantine"})
        client.post("/ops/act", data={**act, "act": "release"})
    acts = run_to_end(project, "routes", "acts").stdout
    assert "by olga: mended" in acts
    assert forged not in acts.splitlines()
    assert "\x1b" not in acts
    assert "\u202e" not in acts


def test_a_circuit_is_isolated_and_reset(service: Service) -> None:
    with browser(service, "operator") as client:
        client.post("/ops/act", data={"act": "isolate", "upstream": "payments", "why": "they asked"})
        (line,) = service.lines(event="upstream_order")
        assert (line["upstream"], line["act"], line["by"], line["why"]) == ("payments", "isolate", "olga", "they asked")
        assert ">isolated<" in client.get("/ops").text
        client.post("/ops/act", data={"act": "reset", "upstream": "payments", "why": "done"})
        assert ">closed<" in client.get("/ops").text


@pytest.mark.parametrize(
    "act",
    [
        {"act": "explode", "route": "GET /probe/span"},
        {"act": "quarantine", "route": "GET /nowhere"},
        {"act": "isolate", "upstream": "nobody"},
        {"act": "quarantine", "upstream": "payments"},
        {},
    ],
)
def test_what_is_no_act_is_said(service: Service, act: dict[str, str]) -> None:
    with browser(service, "operator") as client:
        answer = client.post("/ops/act", data=act | {"why": "x"})
    assert answer.status_code == 422
    assert "There is no such" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://[nowhere"},
        {},
    ],
)
def test_a_form_of_somebody_elses_page_does_nothing(service: Service, headers: dict[str, str]) -> None:
    act = {"act": "quarantine", "route": "GET /probe/span", "why": "x"}
    with httpx2.Client(base_url=service.url, cookies={"ops": service.token("operator")}, headers=headers) as client:
        assert client.post("/ops/act", data=act).status_code == 403
        assert client.post("/ops/login", data={"token": service.token("operator")}).status_code == 403
    assert httpx2.get(f"{service.url}/probe/span", headers=service.bearer("writer")).status_code == 200


def test_a_form_of_the_page_works_by_its_origin_too(service: Service) -> None:
    """For browsers that do not say ``Sec-Fetch-Site``."""
    answer = httpx2.post(
        f"{service.url}/ops/login", data={"token": service.token("operator")}, headers={"origin": service.url}
    )
    assert answer.status_code == 303


class Tags(HTMLParser):
    """Collects what a browser would take for markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def snapshot(word: str) -> Snapshot:
    samples = tuple(Sample(number, number / 10, number / 100) for number in range(5))
    return Snapshot(
        service=word,
        process=1,
        at=0,
        routes=(RouteView(word, word, word, word, 1, 2, 3, 4, samples),),
        upstreams=(UpstreamView(word, word, 1, 2, 3, 4.0),),
        load={"limit": 1.0},
        checks={word: {"state": word, word: word}},
        refusals=(Refusal(0, word, 503, word, word),),
    )


def test_no_name_can_script_the_page() -> None:
    """The same markup comes out, whatever the names are."""
    seen = []
    for word in ("name", HOSTILE):
        tags = Tags()
        tags.feed(page.page(snapshot(word), subject=word, may_act=True, told=word))
        tags.feed(page.login(word))
        seen.append([(tag, sorted(attributes)) for tag, attributes in tags.tags])
    assert seen[0] == seen[1]
    assert {tag for tag, _ in seen[0]} >= {"svg", "table", "form", "details"}


def test_a_sparkline_says_what_it_shows() -> None:
    line = page.sparkline([Sample(1, 0, 0.01), Sample(1, 0.5, 0.25), Sample(1, 0, 0)])
    assert 'aria-label="p99 up to 250 ms"' in line
    assert line.count("<rect") == 1
    assert page.sparkline([Sample(1, 0, 1)]) == ""
    assert "nan" not in page.sparkline([Sample(0, 0, 0)] * 3)
