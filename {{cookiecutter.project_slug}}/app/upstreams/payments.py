"""Payments: the worked example of a declared service. ``app simulate payments`` runs one to try it against."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.upstreams.client import HttpUpstream, a_model
from app.upstreams.declaration import Upstream

if TYPE_CHECKING:
    from app.patterns.http_client import Answer

DECLINED: Final = frozenset({HTTPStatus.PAYMENT_REQUIRED.value})


class PaymentDeclined(Exception):
    """The card's bank says no: an answer, and no failure of anything."""


class Charge(BaseModel):
    """A charge as the payments service has it. Of what else it may send nothing is used, so nothing depends on it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1, max_length=100)
    status: Literal["succeeded", "refunded"]
    amount: int = Field(ge=0)
    currency: str = Field(pattern="^[A-Z]{3}$")
    reference: str = Field(max_length=100)


_CHARGE = a_model(Charge)


class PaymentsClient(HttpUpstream):
    """Charges and refunds, each once for each request that asks for it."""

    upstream: ClassVar[Upstream] = Upstream(name="payments", simulated=True)

    async def charge(self, *, amount: int, currency: str, reference: str, name: str = "charge") -> Charge:
        """Charge an amount in the currency's smallest unit.

        Args:
            amount: in cents, say.
            currency: ISO 4217.
            reference: shown to whoever pays.
            name: tells apart the charges of one request.

        Raises:
            PaymentDeclined: the bank says no.
            UpstreamError: nobody knows whether it was charged; to try the request again is safe.
        """
        wanted = {"amount": amount, "currency": currency, "reference": reference}
        charge = await self.send("POST", "/v1/charges", _charged, json=wanted, once=name, accept=DECLINED)
        if charge is None:
            raise PaymentDeclined
        return charge

    async def refund(self, charge_id: str, *, name: str = "refund") -> Charge:
        """Give a charge back.

        Raises:
            UpstreamError: nobody knows whether it was given back; to try the request again is safe.
        """
        return await self.send("POST", "/v1/charges/{id}/refund", _CHARGE, values={"id": charge_id}, once=name)

    async def read(self, charge_id: str) -> Charge:
        """Read a charge.

        Raises:
            UpstreamError: in one of its four kinds.
        """
        return await self.send("GET", "/v1/charges/{id}", _CHARGE, values={"id": charge_id})


def _charged(answer: Answer) -> Charge | None:
    return None if answer.status in DECLINED else _CHARGE(answer)
