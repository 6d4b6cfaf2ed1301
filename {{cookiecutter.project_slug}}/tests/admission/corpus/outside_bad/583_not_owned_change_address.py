"""Add an endpoint where a driver corrects the home address in the driver file."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.fleets import DriverFile

router = APIRouter(prefix="/v1/driver-files", tags=["fleet"])


class AddressIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    home_address: Annotated[str, Field(min_length=5, max_length=300, pattern=r"^[^\x00]*$")]


class DriverFileOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    home_address: str


async def wanted_file(file_id: UUID, session: Session) -> DriverFile:
    """Return the driver file that the path names."""
    statement = select(DriverFile).where(DriverFile.id == file_id).with_for_update()  # expect: not-owned
    found = await session.scalar(statement)  # or: not-owned
    if found is None:
        raise HTTPException(404, "No such file.")
    return found


@router.put("/{file_id}/address", responses={404: {"description": "No such file."}})
async def change_address(
    wanted: AddressIn, driver_file: Annotated[DriverFile, Depends(wanted_file)]
) -> DriverFileOut:
    driver_file.home_address = wanted.home_address
    return DriverFileOut.model_validate(driver_file)
