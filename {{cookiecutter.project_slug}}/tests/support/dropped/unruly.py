"""Handlers that misbehave, each in its own way."""

from __future__ import annotations

import threading
import time

from fastapi import FastAPI

app = FastAPI()

LET_GO = threading.Event()
LEAKED: list[bytes] = []


def busy(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@app.get("/unruly/spin")
async def spin(seconds: float):
    busy(seconds)
    return {"done": True}


@app.get("/unruly/sleep")
async def sleep(seconds: float):
    time.sleep(seconds)
    return {"done": True}


@app.get("/unruly/stuck")
def stuck():
    LET_GO.wait()
    return {"done": True}


@app.post("/unruly/let-go")
async def let_go():
    LET_GO.set()
    return {"done": True}


@app.get("/unruly/sum")
def add(left: int, right: int) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": left + right}


@app.get("/unruly/raise")
async def raise_always():
    raise RuntimeError("always")


@app.get("/unruly/leak")
async def leak():
    LEAKED.append(bytes(1_000_000))
    return {"leaked": len(LEAKED)}


@app.get("/unruly/hang")
async def hang():
    import asyncio

    await asyncio.Event().wait()
