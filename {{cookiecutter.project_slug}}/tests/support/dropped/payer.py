"""A handler that pays, as a model might have written it: it knows of nothing that stands round its calls."""

from fastapi import APIRouter, HTTPException

from app.dependencies import Fallback, PaymentDeclined, Payments, Web

router = APIRouter(prefix="/pay")


@router.post("", status_code=201)
async def pay(payments: Payments, reference: str = "order 7"):
    try:
        return await payments.charge(amount=500, currency="EUR", reference=reference)
    except PaymentDeclined:
        raise HTTPException(402, "Your bank declined.") from None


@router.get("/{charge_id}")
async def read(charge_id: str, payments: Payments):
    return await payments.read(charge_id)


@router.get("/{charge_id}/or-stale")
async def read_or_stale(charge_id: str, payments: Payments, fallback: Fallback):
    return await fallback.stale("charges", payments.read, charge_id)


@router.get("/{charge_id}/or-nothing")
async def read_or_nothing(charge_id: str, payments: Payments, fallback: Fallback):
    return await fallback.default("nothing", None, payments.read, charge_id)


@router.get("")
async def picture(url: str, web: Web):
    return len((await web.fetch(url)).body)
