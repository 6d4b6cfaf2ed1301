"""Handlers that misbehave, each in its own way."""

from __future__ import annotations

import asyncio
import os
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


@app.get("/unruly/stray")
async def stray():
    waiting = asyncio.create_task(asyncio.sleep(60))
    waiting.cancel()
    await waiting


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


BACKEND = asyncio.Semaphore(10)


@app.get("/unruly/work")
async def work(milliseconds: float):
    """Costs the processor so much."""
    busy(milliseconds / 1000)
    return {"done": True}


@app.get("/unruly/backend")
async def backend():
    """Waits for something that does ten at a time in 50 ms each: 200 a second."""
    async with BACKEND:
        await asyncio.sleep(0.05)
    return {"done": True}


@app.get("/unruly/fine")
async def fine():
    return {"done": True}


@app.get("/unruly/census")
async def census() -> dict[str, int]:
    return {"tasks": len(asyncio.all_tasks()), "threads": threading.active_count()}


@app.get("/unruly/raise")
async def raise_always():
    raise RuntimeError("always")


@app.get("/unruly/leak")
async def leak():
    LEAKED.append(b"x" * 1_000_000)  # written to: zeroes that nobody wrote take no memory
    return {"leaked": len(LEAKED)}


@app.get("/unruly/hoard")
async def hoard(megabytes: int):
    """Has so much at a time, and lets go of it."""
    everything = [b"x" * 1_000_000 for _ in range(megabytes)]
    return {"hoarded": len(everything)}


@app.get("/unruly/keep")
async def keep(megabytes: int):
    LEAKED.append(b"x" * (megabytes * 1_000_000))
    return {"kept": megabytes, "pid": os.getpid()}


@app.get("/unruly/hang")
async def hang():
    await asyncio.Event().wait()
