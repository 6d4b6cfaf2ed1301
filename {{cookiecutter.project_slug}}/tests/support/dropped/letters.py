"""The jobs of the tests' own."""

import asyncio

from pydantic import BaseModel

from app.dependencies import Jobs, Outbox, Payments, Session
from app.models.notes import Note

jobs = Jobs()


class Letter(BaseModel):
    text: str
    mode: str = "well"


@jobs.on("letter.written")
async def deliver(letter: Letter, session: Session, outbox: Outbox, payments: Payments) -> None:
    session.add(Note(text=letter.text))
    if letter.mode == "chain":
        await outbox.add("letter.written", Letter(text=f"{letter.text}, again"))
    if letter.mode == "pay":
        await payments.charge(amount=100, currency="EUR", reference=letter.text)
    if letter.mode == "fail":
        await session.flush()
        raise RuntimeError("secret of the job")
    if letter.mode == "cancel":
        waiting = asyncio.create_task(asyncio.Event().wait())
        waiting.cancel()
        await waiting


@jobs.on("letter.sent.inside")
async def reach_out(letter: Letter, session: Session) -> None:
    session.add(Note(text=letter.text))


@jobs.on("letter.lost")
async def lose(letter: Letter, session: Session) -> None:
    session.add(Note(text=letter.text))
    await asyncio.Event().wait()
