"""In development a changed handler or policy is served at once; one that does not load changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.support.service import Service, copy_project, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HANDLER = """
from fastapi import APIRouter
router = APIRouter()

@router.get("/greeting")
async def greet() -> dict[str, str]:
    return {{"says": "{text}"}}
"""
ENTRY = '\n[routes."GET /greeting"]\npublic = true\n'


def put(path: Path, text: str) -> None:
    """Write a file in one step, so that no watcher sees half of it."""
    whole = path.with_suffix(".whole")
    whole.write_text(text, "utf-8")
    whole.replace(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = copy_project(tmp_path / "service", dropped=False)
    (folder / "app" / "handlers" / "greeting.py").write_text(HANDLER.format(text="hello"))
    with (folder / "policy.toml").open("a") as policy:
        policy.write(ENTRY)
    return folder


@pytest.fixture
def service(project: Path) -> Iterator[Service]:
    with running(project) as started:
        assert httpx2.get(f"{started.url}/livez").status_code == 200  # it has been watching since before it answered
        yield started


def test_a_changed_handler_is_served(service: Service) -> None:
    assert httpx2.get(f"{service.url}/greeting").json() == {"says": "hello"}
    put(service.folder / "app" / "handlers" / "greeting.py", HANDLER.format(text="good day"))
    service.lines(event="reloaded")
    assert httpx2.get(f"{service.url}/greeting").json() == {"says": "good day"}


def test_a_handler_that_does_not_load_leaves_the_version_before_it_serving(service: Service) -> None:
    handler = service.folder / "app" / "handlers" / "greeting.py"
    put(handler, "x = (\n")
    (line,) = service.lines(event="not_reloaded")
    assert "greeting.py:1: the handler does not parse" in line["problem"]
    assert httpx2.get(f"{service.url}/greeting").json() == {"says": "hello"}
    put(handler, HANDLER.format(text="mended"))
    service.lines(event="reloaded")
    assert httpx2.get(f"{service.url}/greeting").json() == {"says": "mended"}


def test_a_handler_that_ends_the_process_does_not_end_the_service(service: Service) -> None:
    put(service.folder / "app" / "handlers" / "greeting.py", "import sys\nsys.exit(1)\n")
    service.lines(event="not_reloaded")
    assert httpx2.get(f"{service.url}/greeting").json() == {"says": "hello"}


def test_a_new_handler_stays_out_until_the_policy_knows_it(service: Service) -> None:
    source = HANDLER.format(text="farewell").replace("/greeting", "/farewell")
    put(service.folder / "app" / "handlers" / "farewell.py", source)
    (line,) = service.lines(event="not_reloaded")
    assert "GET /farewell" in line["problem"]
    assert httpx2.get(f"{service.url}/farewell").status_code == 404
    entries = run_to_end(service.folder, "routes", "--missing").stdout
    policy = service.folder / "policy.toml"
    put(policy, policy.read_text() + entries)
    service.lines(event="reloaded")
    # The printed entry is closed: it makes the service load, and lets nobody in.
    assert httpx2.get(f"{service.url}/farewell").status_code == 401
    assert httpx2.get(f"{service.url}/farewell", headers=service.bearer("writer")).status_code == 403


def test_a_changed_policy_is_in_force(service: Service) -> None:
    policy = service.folder / "policy.toml"
    put(policy, policy.read_text().replace(ENTRY, ENTRY.replace("public = true", 'allow = ["probe:read"]')))
    service.lines(event="reloaded")
    assert httpx2.get(f"{service.url}/greeting").status_code == 401
    assert httpx2.get(f"{service.url}/greeting", headers=service.bearer("reader")).status_code == 200


def test_a_policy_that_does_not_load_leaves_the_one_before_it_in_force(service: Service) -> None:
    policy = service.folder / "policy.toml"
    put(policy, policy.read_text() + "\n[routes.nonsense]\n")
    service.lines(event="not_reloaded")
    assert httpx2.get(f"{service.url}/greeting").status_code == 200


def test_production_does_not_watch(project: Path) -> None:
    settings = {
        "APP_ENVIRONMENT": "production",
        "APP_ISSUER": "https://issuer.example/",
        "APP_JWKS_URL": "https://127.0.0.1:1/jwks.json",
        "APP_DRAIN_DELAY": "0",
        "APP_PAYMENTS_URL": "https://payments.example",
        "APP_PAYMENTS_TOKEN": "secret",
    }
    assert run_to_end(project, "migrate").returncode == 0
    with running(project, environ=settings) as service:
        (project / "app" / "handlers" / "greeting.py").write_text(HANDLER.format(text="changed"))
        assert httpx2.get(f"{service.url}/greeting").json() == {"says": "hello"}
        assert httpx2.get(f"{service.url}/docs").status_code == 404
        assert httpx2.get(f"{service.url}/openapi.json").status_code == 404
        ready = httpx2.get(f"{service.url}/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["issuer_keys"]["state"] == "unavailable"
