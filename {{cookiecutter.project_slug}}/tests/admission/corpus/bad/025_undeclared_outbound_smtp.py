"""Mails a receipt over SMTP."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/receipts", tags=["receipts"])


class Sent(BaseModel):
    sent: bool


@router.post("/{order_id}/mail")
def mail_receipt(order_id: UUID) -> Sent:
    """Mail a receipt to the shop."""
    message = EmailMessage()
    message["Subject"] = "Receipt"
    message["To"] = "shop@example.com"
    message.set_content(f"Order {order_id}")
    with smtplib.SMTP("mail.example.com", timeout=5) as server:  # expect: undeclared-outbound
        server.send_message(message)
    return Sent(sent=True)
