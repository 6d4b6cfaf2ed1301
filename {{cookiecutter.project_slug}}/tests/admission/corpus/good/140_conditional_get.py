"""An ETag of the content, compared with what the client has."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

router = APIRouter(prefix="/v1/price-list", tags=["prices"])

PRICES = {"chair-oak": 12_900}


class PriceList(BaseModel):
    cents: dict[str, int]


@router.get("", response_model=PriceList, responses={304: {"description": "As you have it."}})
async def price_list(
    response: Response, if_none_match: Annotated[str | None, Header(max_length=80)] = None
) -> PriceList | Response:
    """Return the prices, unless the client has them."""
    etag = '"' + hashlib.sha256(json.dumps(PRICES, sort_keys=True).encode()).hexdigest()[:16] + '"'
    if if_none_match == etag:
        return Response(status_code=304)
    response.headers["ETag"] = etag
    return PriceList(cents=PRICES)
