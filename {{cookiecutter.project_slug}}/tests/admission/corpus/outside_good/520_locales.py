"""Add an endpoint which shows how a number and a date are written in a language of the product."""

from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/formats", tags=["translations"])


class Locale(StrEnum):
    EN = "en"
    DE = "de"
    FR = "fr"
    SV = "sv"


class Rules(NamedTuple):
    group: str
    decimal: str
    date: str


RULES = MappingProxyType(
    {
        Locale.EN: Rules(",", ".", "%m/%d/%Y"),
        Locale.DE: Rules(".", ",", "%d.%m.%Y"),
        Locale.FR: Rules("\u202f", ",", "%d/%m/%Y"),
        Locale.SV: Rules("\u00a0", ",", "%Y-%m-%d"),
    }
)


class Formatted(BaseModel):
    locale: Locale
    number: str
    day: str


@router.get("/{locale}")
async def show_formats(
    locale: Locale, day: date, number: Annotated[int, Query(ge=-(10**12), le=10**12)] = 1234567
) -> Formatted:
    """Every pattern comes from the table; the client picks one of four."""
    rules = RULES[locale]
    return Formatted(
        locale=locale, number=f"{number:,}".replace(",", rules.group), day=day.strftime(rules.date)
    )
