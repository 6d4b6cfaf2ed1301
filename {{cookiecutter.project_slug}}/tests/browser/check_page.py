"""The operator's page in a real browser: ``make browser``. Wants Debian's ``chromium``, or ``CHROMIUM`` with its path.

Not among ``make test``'s, because no package index has a browser; it fails where there is none, and is not skipped.
With ``SCREENSHOTS`` it leaves pictures in that folder.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from playwright.sync_api import sync_playwright

from tests.support.service import Service, copy_project, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = copy_project(tmp_path_factory.mktemp("service"))
    environ = {"APP_OPS": "true", "APP_PAYMENTS_URL": "http://127.0.0.1:9", "APP_MAX_IN_FLIGHT": "200"}
    with running(folder, environ=environ) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "no Chromium: apt install chromium, or set CHROMIUM to its path"
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
        started = playwright.chromium.launch(executable_path=path, args=flags)
        yield started
        started.close()


def opened(browser: Browser, service: Service, *roles: str, subject: str, scripts: bool = True) -> Page:
    """Open the page as somebody who types her token into the form. Whatever the browser complains of is a failure."""
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    complaints: list[str] = []
    page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    page.complaints = complaints  # type: ignore[attr-defined]
    page.goto(f"{service.url}/ops")
    page.fill("#token", service.token(*roles, subject=subject))
    page.click("text=Open")
    return page


def traffic(service: Service) -> None:
    headers = service.bearer("writer")
    with httpx2.Client(base_url=service.url, headers=headers) as client:
        for number in range(30):
            client.get(f"/probe/items/{number}")
            client.get("/probe/open")
        client.get("/probe/trial", params={"path": "/etc/passwd"})
        client.get("/probe/payments")
        client.post(f"/{HOSTILE}")
    httpx2.get(f"{service.url}/probe/items/1")


def shoot(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=False)


def test_it_is_live_with_javascript(service: Service, browser: Browser) -> None:
    traffic(service)
    page = opened(browser, service, "operator", subject="olga")
    before = page.inner_text(".moment")
    traffic(service)
    page.wait_for_function(
        "before => document.querySelector('.moment').innerText !== before", arg=before, timeout=15_000
    )
    page.wait_for_selector("svg.spark", timeout=30_000)
    assert "quarantined (strikes)" in page.inner_text("main")
    shoot(page, "operations")
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def test_it_works_without_javascript(service: Service, browser: Browser) -> None:
    page = opened(browser, service, "operator", subject="olga", scripts=False)
    row = page.locator("tr", has=page.locator("th", has_text="GET /probe/span"))
    row.locator("summary").click()
    row.locator("input[name=why]").fill("seen in a browser")
    row.locator("button[value=quarantine]").click()
    assert "held" in page.locator("tr", has=page.locator("th", has_text="GET /probe/span")).inner_text()
    shoot(page, "operations-held")
    row = page.locator("tr", has=page.locator("th", has_text="GET /probe/span"))
    row.locator("summary").click()
    row.locator("input[name=why]").fill("done")
    row.locator("button[value=release]").click()
    assert "serving" in page.locator("tr", has=page.locator("th", has_text="GET /probe/span")).inner_text()
    page.click("text=Leave")
    assert page.locator("#token").count() == 1
    page.context.close()


def test_another_role_sees_nothing(service: Service, browser: Browser) -> None:
    page = opened(browser, service, "writer", subject="mallory")
    assert page.locator("#live").count() == 0
    assert "ops:read is not among your permissions" in page.inner_text("main")
    assert "/probe" not in page.content()
    page.context.close()


def test_hostile_names_cannot_script_it(service: Service, browser: Browser) -> None:
    traffic(service)
    page = opened(browser, service, "operator", subject=HOSTILE)
    page.wait_for_timeout(6_000)  # one refresh by the script as well
    assert page.locator("img").count() == 0
    assert "<img" in page.inner_text("header")
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()
