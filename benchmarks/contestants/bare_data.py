"""Bare FastAPI with a plain session: the handler of the worked example, and nothing that keeps it once or its owner's.

``python bare_data.py PORT``; ``BENCH_DATABASE_URL`` says where. SQLite is as durable as the service's (WAL,
``synchronous=FULL``), so that what differs is not the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator  # noqa: TC003 - FastAPI reads annotations at run time
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String, event, insert, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ARTICLES = ("swatch-oak", "swatch-pine", "swatch-brass")


class Base(DeclarativeBase):
    """The base of the models."""


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sku: Mapped[str] = mapped_column(String(64))
    quantity: Mapped[int]
    note: Mapped[str | None] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(16), default="placed")
    amount: Mapped[int]
    placed_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))


class Event(Base):
    """What follows from an order, for somebody to do."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    payload: Mapped[str] = mapped_column(String(1000))


class Stock(Base):
    """How many of an article there are."""

    __tablename__ = "stock"
    sku: Mapped[str] = mapped_column(String(64), primary_key=True)
    available: Mapped[int]
    price: Mapped[int] = mapped_column(default=0)


class OrderIn(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    sku: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    quantity: int = Field(ge=1, le=1000, strict=True)
    note: str | None = Field(None, max_length=500)


class OrderOut(BaseModel):
    """What is answered."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    sku: str
    quantity: int
    note: str | None
    status: str
    amount: int
    placed_at: datetime


engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=10)
sessions = async_sessionmaker(engine, expire_on_commit=False)

if engine.dialect.name == "sqlite":

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's
        """Make it as durable as the service's."""
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Make the tables anew."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Stock), [{"sku": sku, "available": 1_000_000, "price": 0} for sku in ARTICLES])
    yield
    await engine.dispose()


async def session_of() -> AsyncIterator[AsyncSession]:
    """Give each request a session."""
    async with sessions() as session:
        yield session


app = FastAPI(title="bare", telemetry={"tracing": False, "metrics": False, "logs": False}, lifespan=lifespan)


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Answer once it serves."""
    return {"status": "alive"}


@app.post("/v1/orders", status_code=201)
async def place_order(wanted: OrderIn, session: Annotated[AsyncSession, Depends(session_of)]) -> OrderOut:
    """Look at the price, place the order, take it from the stock and note what follows: as most handlers do."""
    async with sessions() as glance:
        article = await glance.get(Stock, wanted.sku)
    if article is None or article.available < wanted.quantity:
        raise HTTPException(409, "Not enough in stock.")
    reserved = await session.scalar(
        update(Stock)
        .where(Stock.sku == wanted.sku, Stock.available >= wanted.quantity)
        .values(available=Stock.available - wanted.quantity)
        .returning(Stock.sku)
    )
    if reserved is None:
        raise HTTPException(409, "Not enough in stock.")
    amount = article.price * wanted.quantity
    order = Order(sku=wanted.sku, quantity=wanted.quantity, note=wanted.note, amount=amount)
    session.add(order)
    await session.flush()
    session.add(Event(name="order.placed", payload=json.dumps({"order_id": str(order.id)})))
    await session.commit()
    return OrderOut.model_validate(order)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="warning",
    )
