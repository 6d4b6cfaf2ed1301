"""A handler that has work done later."""

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import select, text

from app.dependencies import Outbox, Session
from app.models.notes import Note

router = APIRouter(prefix="/post")


class Letter(BaseModel):
    text: str
    mode: str = "well"
    key: str | None = None
    count: int = 1
    fail: bool = False
    job: str = "letter.written"


@router.post("", status_code=201)
async def post(letter: Letter, outbox: Outbox) -> dict[str, int]:
    for number in range(letter.count):
        text = letter.text if letter.count == 1 else f"{letter.text} {number}"
        await outbox.add(letter.job, {"text": text, "mode": letter.mode}, key=letter.key)
    if letter.fail:
        raise HTTPException(409)
    return {"written": letter.count}


@router.get("")
async def read(session: Session) -> list[str]:
    return list((await session.scalars(select(Note.text).order_by(Note.id).limit(1000))).all())


@router.get("/peek/{table}")
async def peek(table: str, session: Session, below: bool = False) -> int:
    statement = f"SELECT count(*) FROM {table}"
    if below:
        return (await (await session.connection()).exec_driver_sql(statement)).scalar_one()
    return (await session.execute(text(statement))).scalar_one()


@router.post("/forge", status_code=201)
async def forge(session: Session) -> dict[str, bool]:
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql(
            "INSERT INTO outbox (name, payload, context, status, attempts, due_at)"
            """ VALUES ('letter.written', '{"text": "forged"}', '{"subject": "victim"}', 'todo', 0, 0)"""
        )
    else:
        await connection.exec_driver_sql(
            "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('outbox', 'message', 0, NULL, NULL, jsonb_build_object("
            """'name', 'letter.written', 'payload', '{"text": "forged"}', 'about', '{"subject": "victim"}'),"""
            " NULL)]::procrastinate_job_to_defer_v1[])"
        )
    return {"forged": True}
