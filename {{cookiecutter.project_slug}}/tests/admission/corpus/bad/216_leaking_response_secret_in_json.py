"""A JSON answer with the secret of a webhook."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/hooks", tags=["webhooks"])


class Hook(Owned, Base):
    __tablename__ = "hooks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    path: Mapped[str] = mapped_column(String(200))
    signing_secret: Mapped[str] = mapped_column(String(64))


class HookOut(BaseModel):
    path: str


@router.get("/{hook_id}", response_model=HookOut)
async def read_hook(hook_id: UUID, session: Session) -> JSONResponse:
    """Read a hook."""
    hook = await session.get(Hook, hook_id)
    if hook is None:
        raise HTTPException(404, "No such hook.")
    return JSONResponse({"path": hook.path, "signing_secret": hook.signing_secret})  # expect: leaking-response
