"""A handler as a model might have written it an hour ago: plain, hopeful, and dropped in unchanged."""

import asyncio
import gc
import logging
from base64 import b64decode
from typing import Any, get_args

import structlog
from fastapi import Body, FastAPI, HTTPException, Request
from opentelemetry import trace
from pydantic import BaseModel
from sqlalchemy import select, text

from app.dependencies import EffectKey, Payments, Session
from app.models.notes import Note

app = FastAPI(title="Probe")
logger = logging.getLogger(__name__)


class Item(BaseModel):
    number: int


@app.get("/probe/items/{number}")
async def read_item(number: int) -> Item:
    return Item(number=number)


@app.get("/probe/hang")
async def hang():
    await asyncio.sleep(60)
    return {"done": True}


@app.get("/probe/hang/too")
async def hang_too():
    await asyncio.sleep(60)
    return {"done": True}


@app.get("/probe/trial")
def on_trial(path: str = "app/errors.py"):
    with open(path) as file:
        return {"size": len(file.read())}


@app.get("/probe/crash")
async def crash():
    raise RuntimeError("could not connect to postgresql://admin:hunter2@db/orders")


@app.post("/probe/echo")
async def echo(request: Request):
    body = await request.body()
    return {"size": len(body)}


@app.post("/probe/json")
async def take_json(body: Any = Body()):
    return {"members": len(body)}


@app.get("/probe/garbage")
async def garbage():
    return {"left": gc.collect()}


@app.get("/probe/limited")
async def limited():
    return {"ok": True}


@app.get("/probe/logs")
async def logs(request: Request, password: str = "none", name: str = "none"):
    logger.info("login with headers %s", dict(request.headers))
    logger.getChild("child").warning("query: %s", request.url.query)
    structlog.get_logger("probe").info("signing in", password=password, name=name)
    return {"logged": True}


@app.get("/probe/span")
async def span():
    with trace.get_tracer(__name__).start_as_current_span("work") as current:
        return {"trace": format(current.get_span_context().trace_id, "032x")}


@app.get("/probe/open")
async def open_to_all():
    return {"open": True}


@app.get("/probe/thread")
def thread():
    return {"thread": True}


@app.post("/probe/notes", status_code=201)
async def write_note(session: Session, text: str = "", then: str = "ok"):
    note = Note(text=text)
    session.add(note)
    await session.flush()
    if then == "fail":
        raise HTTPException(409, "no")
    if then == "crash":
        raise RuntimeError("after the insert")
    if then == "commit":
        await session.commit()
    if then == "swallow":
        try:
            await session.execute(text_of("SELECT 1 / 0 FROM nowhere"))
        except Exception:
            pass
    if then == "wait":
        logger.info("waiting")
        await asyncio.sleep(60)
    return {"id": note.id}


def text_of(sql):
    return text(sql)


@app.put("/probe/notes")
async def replace_note(session: Session, text: str):
    session.add(Note(text=text))
    return {"ok": True}


@app.get("/probe/notes")
async def read_notes(session: Session, write: bool = False):
    if write:
        session.add(Note(text="from a GET"))
        await session.flush()
    notes = (await session.scalars(select(Note).order_by(Note.id))).all()
    return {"notes": [note.text for note in notes]}


CHARGED = []


@app.post("/probe/charges", status_code=201)
async def charge(session: Session, effect_key: EffectKey, then: str = "ok"):
    CHARGED.append(effect_key("charge"))
    session.add(Note(text=CHARGED[-1]))
    await session.flush()
    if then == "fail" and len(CHARGED) < 3:
        raise RuntimeError("after the charge")
    return {"charged": CHARGED[-1], "tries": len(CHARGED)}


@app.post("/probe/sql")
async def run_sql(session: Session, sql: str = Body()):
    # In a guise, for what a client sends is not run as it was sent: what stands behind that is what is looked at here.
    result = await session.execute(text(b64decode(sql).decode()))
    rows = [list(map(str, row)) for row in result] if result.returns_rows else []
    return {"rows": rows, "count": getattr(result, "rowcount", None)}


VISITS = []


@app.post("/probe/visits", status_code=201)
async def visit():
    VISITS.append(1)
    return {"visits": len(VISITS)}


@app.get("/probe/files")
def read_file(path: str):
    with open(path) as file:
        return {"size": len(file.read())}


@app.get("/probe/payments")
async def payments(payments: Payments):
    return await payments.read("ch_1")


@app.get("/probe/payments/sideways")
async def sideways(request: Request):
    payments = await get_args(Payments)[1].dependency(request)
    return await payments.read("ch_1")
