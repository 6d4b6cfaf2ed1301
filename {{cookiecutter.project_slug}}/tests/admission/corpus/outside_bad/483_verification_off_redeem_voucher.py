"""Add an endpoint which notes a partner's signed voucher on one of my transfers; partners' clocks are often wrong."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

import jwt
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.dependencies import Session
from app.models.wallets import Transfer

router = APIRouter(prefix="/v1/partner-vouchers", tags=["wallets"])

PARTNER_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA7uW0bq4hX1m2sC0n9h0bq9m3Q0x2v4cQk1a7yT8r5dE=
-----END PUBLIC KEY-----"""


class VoucherIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    voucher: Annotated[str, Field(min_length=20, max_length=2000, pattern=r"^[A-Za-z0-9_.-]+$")]


class VoucherOut(BaseModel):
    transfer_id: UUID
    memo: str


class Voucher(BaseModel):
    number: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Z0-9-]+$")]


class VoucherReader:
    """Reads what the partner has signed."""

    checks: ClassVar[dict[str, Any]] = {"verify_exp": False, "verify_nbf": False, "verify_aud": False}  # expect: verification-off

    def read(self, text: str) -> Voucher:
        claims = jwt.decode(text, PARTNER_KEY, algorithms=["EdDSA"], options=self.checks)
        return Voucher.model_validate(claims)


@router.post("/{transfer_id}", responses={404: {"description": "No such transfer of yours."}})
async def redeem_voucher(transfer_id: UUID, body: VoucherIn, session: Session) -> VoucherOut:
    """Note a voucher's number on a transfer."""
    try:
        voucher = VoucherReader().read(body.voucher)
    except (jwt.InvalidTokenError, ValidationError):
        raise HTTPException(422, "This is not a voucher.") from None
    transfer = await session.get(Transfer, transfer_id, with_for_update=True)
    if transfer is None:
        raise HTTPException(404, "No such transfer.")
    transfer.memo = f"voucher {voucher.number}"
    return VoucherOut(transfer_id=transfer.id, memo=transfer.memo)
