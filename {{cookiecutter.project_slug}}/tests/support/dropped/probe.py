"""A handler as a model might have written it an hour ago: plain, hopeful, and dropped in unchanged."""

import asyncio
import logging
from typing import Any

import structlog
from fastapi import Body, FastAPI, Request
from opentelemetry import trace
from pydantic import BaseModel

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
