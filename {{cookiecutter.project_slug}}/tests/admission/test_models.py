"""The tables that a handler imports: read beside it, without running anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admission.cache import Cache
from admission.layers.source import judge_sources
from admission.source import check_source, read_models
from tests.admission.sources import write

if TYPE_CHECKING:
    from pathlib import Path

SHOP = """
from . import base
from .base import Base
class Mine(base.Owned, Base):
    __tablename__ = "mine"
class Letter(Mine):
    recipient = 1
class Seat(Base):
    __tablename__ = "seats"
"""
BASE = """
from sqlalchemy.orm import DeclarativeBase
from app.patterns.ownership import Owned
class Base(DeclarativeBase):
    pass
"""
HANDLER = """
from uuid import UUID
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from app.dependencies import Session
from app.models.post import Parcel
router = APIRouter()
class Out(BaseModel):
    ok: bool
@router.get("/v1/parcels/{parcel_id}")
async def read(parcel_id: UUID, session: Session) -> Out:
    return Out(ok=await session.get(Parcel, parcel_id) is not None)
"""
PARCEL = """
from app.models.base import Base, Owned
class Parcel({bases}):
    __tablename__ = "parcels"
    recipient: str
"""


def test_models_are_known_by_every_name_under_which_they_are_handed_on() -> None:
    models = read_models({"": "from app.models.shop import Letter as Post", "shop": SHOP, "base": BASE})
    assert models["app.models.Post"] is models["app.models.shop.Letter"]
    assert models["app.models.shop.Letter"].bases == ("app.models.shop.Mine",)
    assert models["app.models.shop.Mine"].bases == ("app.models.base.Owned", "app.models.base.Base")
    assert models["app.models.base.Base"].bases == ("sqlalchemy.orm.DeclarativeBase",)


def test_a_model_that_does_not_parse_adds_nothing() -> None:
    models = read_models({"broken": "class (", "deep": "x = " + "-" * 5000 + "1", "null": "\0", "shop": SHOP})
    assert {name.rpartition(".")[0] for name in models} == {"app.models.shop"}


def found(folder: Path, cache: Cache) -> list[str]:
    source = write(folder, "parcels.py", HANDLER)
    return [finding.rule for finding in judge_sources([source], cache, folder)]


def test_the_tables_beside_a_handler_decide_and_a_changed_table_is_looked_at_again(tmp_path: Path) -> None:
    models = tmp_path / "app" / "models"
    models.mkdir(parents=True)
    cache = Cache(tmp_path / "cache")
    (models / "post.py").write_text(PARCEL.format(bases="Base"), "utf-8")
    (models / "latin.py").write_bytes(b"# \xe9\n")
    assert found(tmp_path, cache) == ["BW414"]
    (models / "post.py").write_text(PARCEL.format(bases="Owned, Base"), "utf-8")
    assert found(tmp_path, cache) == []


def test_a_handler_is_judged_without_models_too() -> None:
    assert check_source(HANDLER, "parcels.py") == []
