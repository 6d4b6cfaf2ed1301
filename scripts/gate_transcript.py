"""Writes docs/gate-transcript.md: a handler with many faults, mended step by step from what the gate says in JSON.

``uv run python scripts/gate_transcript.py``. The handlers of each step stand here; what the gate says of them is what
it says now. Ends with 1 if the last step is not admitted, or if one before it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICE = ROOT / "{{cookiecutter.project_slug}}"
TARGET = ROOT / "docs" / "gate-transcript.md"
LAYERS = ("source", "lint", "boot")

FAULTY = '''"""Refunds."""

import structlog
from fastapi import APIRouter, BackgroundTasks, HTTPException
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/refunds")
log = structlog.get_logger()
SEEN = {}


class RefundIn(BaseModel):
    order_id: str
    email: str
    amount: float
    role: str = "customer"


def send_mail(address: str) -> None:
    print("mail to", address)


@router.post("")
async def refund(body: RefundIn, session: Session, tasks: BackgroundTasks):
    log.info("refund", email=body.email)
    try:
        query = f"SELECT quantity FROM orders WHERE id = '{body.order_id}'"
        row = (await session.execute(text(query))).first()
    except Exception as error:
        raise HTTPException(500, str(error))
    SEEN[body.order_id] = row
    await session.commit()
    tasks.add_task(send_mail, body.email)
    return {"refunded": body.amount}
'''

HALF = '''"""Refunds."""

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/refunds")
log = structlog.get_logger()


class RefundIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    order_id: str = Field(max_length=36)
    quantity: int = Field(ge=1, le=1000)


class RefundOut(BaseModel):
    quantity: int


@router.post("", status_code=201)
async def refund(body: RefundIn, session: Session) -> RefundOut:
    order = await session.get(Order, body.order_id)
    if order is None:
        raise HTTPException(404, "No such order.")
    if order.quantity < body.quantity:
        raise HTTPException(409, "More than was ordered.")
    order.quantity -= body.quantity
    log.info("refunded", order_id=body.order_id)
    return RefundOut(quantity=order.quantity)
'''

MENDED = '''"""Refunds: some articles of an order are given back."""

from __future__ import annotations

from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/refunds", tags=["refunds"])
log = structlog.get_logger()


class RefundIn(BaseModel):
    """What is given back."""

    model_config = ConfigDict(extra="forbid")

    order_id: UUID
    quantity: int = Field(ge=1, le=1000, strict=True)


class RefundOut(BaseModel):
    """What is left of the order."""

    quantity: int


@router.post("", status_code=201, responses={404: {"description": "No such order of yours."}})
async def refund(wanted: RefundIn, session: Session) -> RefundOut:
    """Give articles of an order back."""
    order = await session.get(Order, wanted.order_id, with_for_update=True)
    if order is None:
        raise HTTPException(404, "No such order.")
    if order.quantity < wanted.quantity:
        raise HTTPException(409, "More than was ordered.")
    order.quantity -= wanted.quantity
    log.info("refunded", order_id=str(wanted.order_id))
    return RefundOut(quantity=order.quantity)
'''

STEPS = (
    ("As a model wrote it", FAULTY),
    ("Mended from the report above", HALF),
    ("Mended from the report above, again", MENDED),
)


def check(folder: Path, handler: str) -> tuple[int, dict[str, Any]]:
    """Let the gate judge a handler that is not in the service yet; return its status and report."""
    file = folder / "refunds.py"
    file.write_text(handler, "utf-8")
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    command = [uv, "run", "--frozen", "app", "check", "--no-cache", "--format", "json", str(file)]
    command += [part for layer in LAYERS for part in ("--layer", layer)]
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    environment |= {"UV_PROJECT_ENVIRONMENT": str(ROOT / ".venv" / "service"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=SERVICE, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout.replace(f"{folder}/", ""))


def shown(report: dict[str, Any]) -> str:
    """Return what of a report a model acts on."""
    kept = ("rule", "severity", "line", "message", "mend")
    findings = [{key: finding[key] for key in kept} for finding in report["findings"]]
    lines = ",\n".join(f"  {json.dumps(finding, ensure_ascii=False)}" for finding in findings)
    return f'{{"verdict": {json.dumps(report["verdict"])}, "findings": [\n{lines}\n]}}'


HEAD = """# A faulty handler, mended from the JSON report alone

Written by `uv run python scripts/gate_transcript.py`, which runs each step: what the gate says below is what it said.
Of each finding the page shows what one acts on; the report has more. The handler
is not in the service yet, so `uv run app check --format json refunds.py` judges it as a candidate; shown are the layers
source, lint and boot.
"""

FOOT = """What is left is a remark: the route has no entry in `policy.toml`. Who may call it is a person's decision, and
the report has the entry to begin with.
"""


def main() -> int:
    """Play the steps and write the page."""
    page, verdicts = [HEAD], []
    with tempfile.TemporaryDirectory(prefix="gate-") as name:
        for number, (title, handler) in enumerate(STEPS, 1):
            status, report = check(Path(name), handler)
            verdicts.append(report["verdict"])
            refused = sum(finding["severity"] == "refuse" for finding in report["findings"])
            sys.stdout.write(f"step {number}: status {status}, {report['verdict']}, {refused} refused\n")
            page += [f"## {number}. {title}\n", f"```python\n{handler}```\n"]
            page += [f"The gate ends with {status}: {report['verdict']}; findings that refuse it: {refused}.\n"]
            page += [f"```json\n{shown(report)}\n```\n"]
    TARGET.write_text("\n".join([*page, FOOT]), "utf-8")
    return 0 if verdicts[:-1] == ["refused"] * (len(STEPS) - 1) and verdicts[-1] != "refused" else 1


if __name__ == "__main__":
    sys.exit(main())
