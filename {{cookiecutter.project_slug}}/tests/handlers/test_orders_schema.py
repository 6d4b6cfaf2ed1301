"""The service keeps to its own documentation, whatever is sent: no 5xx, no undocumented status, shape or type."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.service import Service, copy_project, environment, running
from tests.support.wide import examples, is_wide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = copy_project(tmp_path_factory.mktemp("schema"), dropped=False)
    policy = folder / "policy.toml"
    # Rates so high that what is found is what the handlers answer, and not 429.
    policy.write_text(
        policy.read_text().replace('"10/minute"', '"60000/minute"').replace('"60/minute"', '"60000/minute"')
    )
    settings = {"APP_FAILED_AUTHENTICATION_RATE": "50000/minute"}
    with running(folder, environ=settings) as started:
        yield started


@pytest.mark.parametrize(
    "who", ["customer", *(pytest.param(who, marks=pytest.mark.wide) for who in ("nobody", "admin"))]
)
def test_generated_requests_find_no_fault(service: Service, who: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", "--no-color"]
    command += [
        "--max-examples",
        str(examples(10)),
        "--seed",
        "7",
        "--generation-database",
        "none",
        "--phases",
        "examples,coverage,fuzzing,stateful" if is_wide() else "examples,fuzzing",
    ]
    # JSON Schema calls 38.0 an integer, the example's strict quantity does not: valid data may be refused there.
    unfit = ["positive_data_acceptance"]
    if who == "nobody":
        # Without credentials nothing that is sent gets as far as being judged by its schema.
        unfit += ["negative_data_rejection", "missing_required_header"]
    else:
        command += ["--header", f"Authorization: Bearer {service.token(who)}"]
    command += ["--exclude-checks", ",".join(unfit)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=120 if not is_wide() else 900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert [line for line in service.parsed() if line.get("status", 0) >= 500] == []
