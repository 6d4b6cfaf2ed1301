"""Add an endpoint which mails an applicant's confirmation to the address in the application."""

import smtplib
from email.message import EmailMessage
from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from app.dependencies import Look
from app.models.applications import Application

router = APIRouter(prefix="/v1/applications", tags=["applications"])


class Sent(BaseModel):
    application_id: UUID
    sent: bool


class Mailer:
    """Sends our mails."""

    def __init__(self, host: str = "mail.internal", sender: str = "jobs@example.org") -> None:
        self.host = host
        self.sender = sender

    def send(self, to: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = to
        message["Subject"] = subject
        message.set_content(text)
        with smtplib.SMTP(self.host, 25, timeout=3) as smtp:  # expect: undeclared-outbound
            smtp.send_message(message)


mailer = Mailer()


@router.post("/{application_id}/confirmation", responses={404: {"description": "No such application of yours."}})
async def send_confirmation(application_id: UUID, look: Look) -> Sent:
    async with look() as glance:
        application = await glance.get(Application, application_id)
    if application is None:
        raise HTTPException(404, "No such application.")
    await run_in_threadpool(mailer.send, application.email, "We have your application", "Thank you for applying.")
    return Sent(application_id=application.id, sent=True)
